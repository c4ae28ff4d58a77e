"""The contents of the dashboards in deploy/grafana/dashboards.

`python -m tests.deploy.dashboards` writes their files. Rates cover `$__rate_interval`, which Grafana derives from the
width of the panel. Frequent queries are recorded by deploy/prometheus/rules/recording.yml.
"""

from tests.deploy.dashboard_model import Dashboard, Panel, Variable, rendered
from tests.deploy.promtool import DEPLOY

DIRECTORY = DEPLOY / "grafana" / "dashboards"
OURS = 'job=~"ingest|ingest-admin|ingest-worker|flow-runner|notifier"'


def rate(metric: str, by: str, selector: str = "") -> str:
    """The rate per second, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str, selector: str = "") -> str:
    """The value below which a share of the observations of a histogram lies."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'{by}, le' if by else 'le', selector)})"


def average(metric: str, by: str, selector: str = "") -> str:
    """The mean of the observations of a histogram."""
    return f"{rate(f'{metric}_sum', by, selector)} / {rate(f'{metric}_count', by, selector)}"


PIPELINE = Dashboard(
    "filas-pipeline",
    "Filas: pipeline",
    "From webhook to message at a glance: received, waiting, sent, and the state of the processes.",
    [
        Panel(
            "Webhooks accepted", "Requests per second that were answered 200 and stored.", "reqps",
            {'sum(outcome:filas_webhooks:rate5m{outcome="accepted"}) or vector(0)': ""}, "stat",
        ),
        Panel(
            "Oldest waiting job", "How long the oldest job of any queue has been due.", "s",
            {"max(queue:filas_oldest_waiting_seconds:max)": ""}, "stat", alarm=60,
        ),
        Panel(
            "Dead letters", "Jobs that became dead letters within the time shown.", "short",
            {"sum(increase(filas_dead_letters_total[$__range]))": ""}, "stat", alarm=1,
        ),
        Panel(
            "Alerts", "Alerts of Filas that fire now.", "short",
            {'count(ALERTS{alertname=~"Filas.+",alertstate="firing"}) or vector(0)': ""}, "stat", alarm=1,
        ),
        Panel(
            "Throughput", "Accepted webhooks, ended executions and sent messages per second.", "ops",
            {
                'sum(outcome:filas_webhooks:rate5m{outcome="accepted"})': "webhooks",
                "sum(status:filas_executions:rate5m)": "executions",
                'sum(type_outcome:filas_notifications:rate5m{outcome=~"delivered|sent"})': "messages",
            },
        ),
        Panel(
            "Backlog", "Jobs that are due and not claimed, by queue.", "short",
            {"queue:filas_backlog:max": "{{queue}}"}, stacked=True,
        ),
        Panel(
            "Age of the oldest job", "How long the oldest waiting job has been due, by queue.", "s",
            {"queue:filas_oldest_waiting_seconds:max": "{{queue}}"},
        ),
        Panel(
            "Failures",
            "Executions that failed or timed out, messages that failed, and webhooks answered 5xx.", "ops",
            {
                'sum(status:filas_executions:rate5m{status=~"failed|timed-out"})': "executions",
                'sum(type_outcome:filas_notifications:rate5m{outcome=~"failed|uncertain"})': "messages",
                "sum(outcome:filas_webhooks:rate5m{"
                'outcome=~"stores-unavailable|not-loaded|unusable|error"})': "webhooks",
            },
        ),
        Panel(
            "Instances", "Processes that answer scrapes, by kind.", "short",
            {f"sum by (job) (up{{{OURS}}})": "{{job}}"},
        ),
        Panel(
            "Stores", "1 while every instance of the kind can use the store.", "short",
            {f"min by (job, store) (filas_store_up{{{OURS}}})": "{{job}}: {{store}}"},
        ),
        Panel(
            "CPU", "Processor time per second, by instance: 100 % is one core.", "percentunit",
            {f"rate(process_cpu_seconds_total{{{OURS}}}[$__rate_interval])": "{{job}} {{instance}}"},
        ),
        Panel(
            "Memory", "Resident memory, by instance.", "bytes",
            {f"process_resident_memory_bytes{{{OURS}}}": "{{job}} {{instance}}"},
        ),
        Panel(
            "Event loop lag", "Delay of the event loop, 99th percentile, by instance.", "s",
            {"instance:filas_event_loop_lag_seconds:p99_5m": "{{job}} {{instance}}"},
        ),
        Panel(
            "Spans dropped", "Lost spans per second, by reason; none while tracing is off.", "ops",
            {rate("filas_spans_dropped_total", "job, reason"): "{{job}}: {{reason}}"},
        ),
        Panel(
            "Index of words", "The age of the oldest new event that searches do not find through the index yet.", "s",
            {"max(filas_search_index_behind_seconds)": "behind"},
        ),
    ],
)  # fmt: skip

Q = 'queue=~"$queue"'
QUEUES = Dashboard(
    "filas-queues",
    "Filas: queues",
    "The work of each queue, its speed, and its workers.",
    [
        Panel(
            "Waiting", "Jobs that are due and not claimed.", "short",
            {f"sum(queue:filas_backlog:max{{{Q}}})": ""}, "stat",
        ),
        Panel(
            "Oldest", "How long the oldest waiting job has been due.", "s",
            {f"max(queue:filas_oldest_waiting_seconds:max{{{Q}}})": ""}, "stat", alarm=60,
        ),
        Panel(
            "Workers", "Workers that reported themselves within six seconds.", "short",
            {f"sum(queue:filas_workers:max{{{Q}}})": ""}, "stat",
        ),
        Panel(
            "Paused", "Queues that an operator paused.", "short",
            {f"sum(max by (queue) (filas_queue_paused{{{Q}}}))": ""}, "stat", alarm=1,
        ),
        Panel(
            "Enqueued and ended", "Enqueued and ended jobs per second.", "ops",
            {
                f"queue:filas_jobs_enqueued:rate5m{{{Q}}}": "{{queue}} enqueued",
                f"queue:filas_jobs_finished:rate5m{{{Q}}}": "{{queue}} ended",
            },
        ),
        Panel(
            "Jobs by state",
            "Waiting (due), active (claimed), delayed (due later), failed (within seven days).", "short",
            {f"max by (queue, state) (filas_queue_jobs{{{Q}}})": "{{queue}} {{state}}"},
        ),
        Panel(
            "Age of the oldest job", "How long the oldest waiting job has been due.", "s",
            {f"queue:filas_oldest_waiting_seconds:max{{{Q}}}": "{{queue}}"},
        ),
        Panel(
            "Wait",
            "Time from a job's due time to its claim: median and 99th percentile.", "s",
            {
                quantile(0.5, "filas_job_wait_seconds", "queue", Q): "{{queue}} p50",
                f"queue:filas_job_wait_seconds:p99_5m{{{Q}}}": "{{queue}} p99",
            },
        ),
        Panel(
            "Run", "Run time of an attempt: median and 99th percentile.", "s",
            {
                quantile(0.5, "filas_job_run_seconds", "queue", Q): "{{queue}} p50",
                f"queue:filas_job_run_seconds:p99_5m{{{Q}}}": "{{queue}} p99",
            },
        ),
        Panel(
            "Attempts by outcome", "Completed, retried, failed, requeued without an attempt, lost to another.", "ops",
            {rate("filas_jobs_total", "queue, outcome", Q): "{{queue}} {{outcome}}"},
        ),
        Panel(
            "Busy slots",
            "The share of all workers' slots that run a job; above 80 %, add workers.", "percentunit",
            {f"queue:filas_worker_slots_busy:ratio{{{Q}}}": "{{queue}}"},
        ),
        Panel(
            "Dead letters and lost leases", "Dead letters, and expired leases, in five minutes.", "short",
            {
                f"sum by (queue) (increase(filas_dead_letters_total{{{Q}}}[5m]))": "{{queue}} dead letters",
                f"sum by (queue) (increase(filas_leases_lost_total{{{Q}}}[5m]))": "{{queue}} leases",
            },
        ),
        Panel(
            "Enqueued by the relay", "Unfinished rows per second whose job was missing in Redis, by table.", "ops",
            {rate("filas_relayed_total", "table"): "{{table}}"},
        ),
        Panel(
            "Waiting for a newer version",
            "Attempts per second that left a job to a newer worker. They end when the upgrade is complete.", "ops",
            {rate("filas_jobs_newer_version_total", "queue", Q): "{{queue}}"},
        ),
        Panel(
            "Locked rows", "Rows per second that another session held, by table: each delays its own job.", "ops",
            {rate("filas_rows_locked_total", "table"): "{{table}}"},
        ),
    ],
    [Variable("queue", "filas_queue_jobs", "queue")],
)  # fmt: skip

INGEST = Dashboard(
    "filas-ingest",
    "Filas: receiving",
    "Webhooks as they arrive: number, time to the answer, and rejections.",
    [
        Panel(
            "Requests by outcome", "Accepted, duplicate, or the reason of the rejection.", "reqps",
            {"outcome:filas_webhooks:rate5m": "{{outcome}}"}, stacked=True,
        ),
        Panel(
            "Time to the answer", "Time from a request to its answer: median and 99th percentile.", "s",
            {"filas_webhook_seconds:p50_5m": "p50", "filas_webhook_seconds:p99_5m": "p99"},
        ),
        Panel(
            "Rejected", "The share of requests that were answered 4xx.", "percentunit",
            {
                "sum(rate(filas_webhooks_total{outcome!~"
                '"accepted|duplicate|handshake|stores-unavailable|not-loaded|error|unusable"}[$__rate_interval]))'
                " / sum(rate(filas_webhooks_total[$__rate_interval]))": "rejected"
            },
        ),
        Panel(
            "Events per statement", "Events that one statement writes on average: they rise with the load.", "short",
            {average("filas_webhook_batch_size", "job", 'job="ingest"'): "events"},
        ),
        Panel(
            "Wrong credentials", "Wrong signatures and tokens per second, by listener.", "ops",
            {rate("filas_auth_failures_total", "listener"): "{{listener}}"},
        ),
        Panel(
            "Calls of resume addresses", "Calls per second of the addresses at which flows wait, by outcome.", "reqps",
            {rate("filas_resume_calls_total", "outcome"): "{{outcome}}"},
        ),
        Panel(
            "Connections closed", "By the listener, per second: slow clients, connection limit, body budget.", "ops",
            {rate("filas_connections_shed_total", "outcome"): "{{outcome}}"},
        ),
        Panel(
            "Jobs enqueued", "Jobs per second from ingest and the relay, new and duplicate.", "ops",
            {rate("filas_jobs_enqueued_total", "outcome", 'queue="webhook-processing"'): "{{outcome}}"},
        ),
        Panel(
            "From acceptance to a worker", "Time that webhooks wait for a worker, 99th percentile.", "s",
            {'queue:filas_job_wait_seconds:p99_5m{queue="webhook-processing"}': "p99"},
        ),
        Panel(
            "Open file descriptors", "Connections and files of the ingest processes, and their limit.", "short",
            {'process_open_fds{job="ingest"}': "{{instance}}", 'process_max_fds{job="ingest"}': "{{instance}} limit"},
        ),
        Panel(
            "Duplicates", "Duplicate events per second: repeated, a known key with another content, captured.", "ops",
            {rate("filas_webhook_duplicates_total", "kind"): "{{kind}}"},
        ),
        Panel(
            "Ignored events", "Events per second that started nothing, by reason: reactions, receipts, echoes.", "ops",
            {rate("filas_events_ignored_total", "reason"): "{{reason}}"},
        ),
        Panel(
            "Refusals that are not stored", "Refused requests per second that were only counted, by reason.", "ops",
            {rate("filas_refusals_unrecorded_total", "reason"): "{{reason}}"},
        ),
        Panel(
            "Alerts", "Alerts that fire, and the notifier that evaluates the rules.", "short",
            {
                "max(filas_alerts_firing)": "firing",
                "max by (instance) (filas_alert_evaluator)": "{{instance}} evaluates",
            },
        ),
        Panel(
            "Circuits of the stores", "1 for a store that a process skips, because it does not answer.", "short",
            {'max by (job, store) (filas_store_circuits{state!="closed"})': "{{job}} {{store}}"},
        ),
    ],
)  # fmt: skip

FLOWS = Dashboard(
    "filas-flows",
    "Filas: flows and nodes",
    "Executions of flows, the nodes that they visit, and the calls that they make.",
    [
        Panel(
            "Executions by final status", "Executions that ended, per second.", "ops",
            {"status:filas_executions:rate5m": "{{status}}"}, stacked=True,
        ),
        Panel(
            "Failing executions", "The share of executions that failed or timed out.", "percentunit",
            {
                'sum(rate(filas_executions_total{status=~"failed|timed-out"}[$__rate_interval]))'
                " / sum(rate(filas_executions_total[$__rate_interval]))": "failing"
            },
        ),
        Panel(
            "Failures by flow and error", "Executions that failed or timed out, per second.", "ops",
            {rate("filas_executions_failed_total", "flow, error"): "{{flow}} {{error}}"}, stacked=True,
        ),
        Panel(
            "Time of a run",
            "Time of one run of an execution, from the claim of its job to its end or its next wait.", "s",
            {
                quantile(0.5, "filas_job_run_seconds", "queue", 'queue="flow-processing"'): "p50",
                'queue:filas_job_run_seconds:p99_5m{queue="flow-processing"}': "p99",
            },
        ),
        Panel(
            "Visits by type of node", "Visits of nodes that ended, per second.", "ops",
            {rate("filas_steps_total", "type"): "{{type}}"},
        ),
        Panel(
            "Failed visits by type of node", "Visits per second that did not succeed, by type and outcome.", "ops",
            {rate("filas_steps_total", "type, outcome", 'outcome!="succeeded"'): "{{type}} {{outcome}}"},
        ),
        Panel(
            "Outgoing calls",
            "By outcome: answered (with any status), refused by the outbound guard, timed out, failed.", "ops",
            {rate("filas_outbound_requests_total", "outcome", 'job="flow-runner"'): "{{outcome}}"},
        ),
        Panel(
            "Waiting and delayed runs", "Runs that are due, and runs that are due later.", "short",
            {'max by (state) (filas_queue_jobs{queue="flow-processing",state=~"waiting|delayed"})': "{{state}}"},
        ),
        Panel(
            "Rejected writes", "Checkpoints of workers that had lost their lease, in five minutes.", "short",
            {"sum(increase(filas_fences_lost_total[5m]))": "rejected"},
        ),
        Panel(
            "Schedules", "Ticks that started an execution, failed, or were missed, in five minutes.", "short",
            {
                "sum by (outcome) (increase(filas_schedule_runs_total[5m]))": "{{outcome}}",
                "sum by (misfire) (increase(filas_schedule_misfires_total[5m]))": "missed: {{misfire}}",
            },
        ),
        Panel(
            "Lateness of schedules", "Time from a tick to its execution: median and 99th percentile.", "s",
            {
                quantile(0.5, "filas_schedule_lag_seconds", ""): "p50",
                quantile(0.99, "filas_schedule_lag_seconds", ""): "p99",
            },
        ),
    ],
)  # fmt: skip

NOTIFIER = Dashboard(
    "filas-notifier",
    "Filas: messages and channels",
    "Deliveries by type of channel, and the channels' circuits.",
    [
        Panel(
            "Attempts by outcome", "Per second: delivered, sent to the provider, retried, failed, uncertain.", "ops",
            {'sum by (outcome) (type_outcome:filas_notifications:rate5m{type=~"$type"})': "{{outcome}}"}, stacked=True,
        ),
        Panel(
            "Sent by type of channel", "Messages delivered or sent, per second.", "ops",
            {
                'sum by (type) (type_outcome:filas_notifications:rate5m{type=~"$type",outcome=~"delivered|sent"})': (
                    "{{type}}"
                )
            },
        ),
        Panel(
            "Time of an attempt", "Time of a delivery attempt, 99th percentile.", "s",
            {quantile(0.99, "filas_notification_seconds", "type", 'type=~"$type"'): "{{type}}"},
        ),
        Panel(
            "Channels by state",
            "Channels whose circuit is closed (messages flow), open (paused), half-open (one probe).", "short",
            {"max by (state) (filas_channel_circuits)": "{{state}}"},
        ),
        Panel(
            "Changes of circuits",
            "Circuits that opened or closed, in five minutes.", "short",
            {
                'sum by (type, state) (increase(filas_channel_circuit_changes_total{type=~"$type"}[5m]))': (
                    "{{type}} {{state}}"
                )
            },
        ),
        Panel(
            "Deferred", "Notifications per second that had to wait for their channel, by reason.", "ops",
            {rate("filas_notifications_deferred_total", "reason"): "{{reason}}"},
        ),
        Panel(
            "What providers report",
            "Delivery receipts: recorded, older than a recorded one (stale), for an unknown message.", "ops",
            {rate("filas_delivery_statuses_total", "outcome"): "{{outcome}}"},
        ),
        Panel(
            "Interrupted attempts", "Attempts that were found unfinished and repeated, in five minutes.", "short",
            {"sum(increase(filas_notifications_interrupted_total[5m]))": "interrupted"},
        ),
        Panel(
            "Wait for a notifier", "Time that notifications wait for a notifier, 99th percentile.", "s",
            {'queue:filas_job_wait_seconds:p99_5m{queue="notifications"}': "p99"},
        ),
    ],
    [Variable("type", "filas_notifications_total", "type")],
)  # fmt: skip

DASHBOARDS = (PIPELINE, QUEUES, INGEST, FLOWS, NOTIFIER)

if __name__ == "__main__":
    for dashboard in DASHBOARDS:
        (DIRECTORY / f"{dashboard.uid}.json").write_text(rendered(dashboard))
