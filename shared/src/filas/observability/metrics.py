"""All Prometheus metrics of Filas. Labels are few and never contain an id.

All metrics are declared here, so that a name has the same meaning in every process. A process exports those that it has
set. `queue` is the full name of a queue, `function` the name of a job's function.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class BatchHistogram(Histogram):
    """A histogram for batches of values: it updates each bucket once per batch instead of once per value."""

    def observe_many(self, amounts: Sequence[float]) -> None:
        """Observes each of `amounts`."""
        self._sum.inc(sum(amounts))
        for bucket, number in Tally([bisect_left(self._upper_bounds, amount) for amount in amounts]).items():
            self._buckets[bucket].inc(number)


# ---- the queue -------------------------------------------------------------------------------------

JOBS = Counter(
    "filas_jobs_total",
    "Attempts of jobs that ended, by outcome: completed, retried, failed, requeued, lost",
    ["queue", "function", "outcome"],
    registry=REGISTRY,
)
JOB_WAIT = BatchHistogram(
    "filas_job_wait_seconds",
    "Time from the moment when a job was due until it was claimed",
    ["queue", "function"],
    buckets=_SLOW,
    registry=REGISTRY,
)
JOB_RUN = BatchHistogram(
    "filas_job_run_seconds", "Run time of an attempt of a job", ["queue", "function"], buckets=_SLOW, registry=REGISTRY
)
JOBS_ENQUEUED = Counter(
    "filas_jobs_enqueued_total",
    "Enqueued jobs by outcome: enqueued, duplicate",
    ["queue", "outcome"],
    registry=REGISTRY,
)
QUEUE_JOBS = Gauge(
    "filas_queue_jobs",
    "Jobs of a queue by state: waiting, active, delayed, failed",
    ["queue", "state"],
    registry=REGISTRY,
)
QUEUE_OLDEST_WAITING = Gauge(
    "filas_queue_oldest_waiting_seconds",
    "The age of the oldest job that is due and not claimed",
    ["queue"],
    registry=REGISTRY,
)
QUEUE_PAUSED = Gauge("filas_queue_paused", "1 while the queue is paused", ["queue"], registry=REGISTRY)
WORKERS = Gauge("filas_workers", "Running workers of the queue", ["queue"], registry=REGISTRY)
WORKER_SLOTS = Gauge(
    "filas_worker_slots",
    "Slots of all workers of the queue together, by state: running, free",
    ["queue", "state"],
    registry=REGISTRY,
)
LEASES_LOST = Counter(
    "filas_leases_lost_total",
    "Leases of jobs that expired before the attempt ended",
    ["queue"],
    registry=REGISTRY,
)
JOBS_NEWER_VERSION = Counter(
    "filas_jobs_newer_version_total",
    "Attempts that left a job to a worker of a newer version, because this version does not know it",
    ["queue"],
    registry=REGISTRY,
)
DEAD_LETTERS = Counter("filas_dead_letters_total", "Jobs that became dead letters", ["queue"], registry=REGISTRY)
RELAYED = Counter(
    "filas_relayed_total", "Unfinished rows whose missing job the relay enqueued", ["table"], registry=REGISTRY
)

# ---- ingest ----------------------------------------------------------------------------------------

WEBHOOKS = Counter(
    "filas_webhooks_total",
    "Requests to webhooks by outcome: accepted, duplicate, or the reason of the rejection",
    ["outcome"],
    registry=REGISTRY,
)
REFUSALS_UNRECORDED = Counter(
    "filas_refusals_unrecorded_total",
    "Refused requests that were counted and not stored, by reason: limit (many alike in one minute), queue "
    "(Postgres is slower than they arrive), store (Postgres rejected them)",
    ["reason"],
    registry=REGISTRY,
)
WEBHOOK_DUPLICATES = Counter(
    "filas_webhook_duplicates_total",
    "Duplicate events by kind: repeated, conflict (the key of an event with another content), "
    "replayed (the signed content of an event under another key)",
    ["kind"],
    registry=REGISTRY,
)
WEBHOOK_SECONDS = Histogram(
    "filas_webhook_seconds", "Time from the request of a webhook to its answer", buckets=_FAST, registry=REGISTRY
)
WEBHOOK_BATCH_SIZE = Histogram(
    "filas_webhook_batch_size", "Events written in one statement", buckets=_SIZES, registry=REGISTRY
)
EVENTS_IGNORED = Counter(
    "filas_events_ignored_total",
    "Events that started nothing, by reason, such as kind:reaction",
    ["reason"],
    registry=REGISTRY,
)
AUTH_FAILURES = Counter(
    "filas_auth_failures_total",
    "Wrong signatures and tokens, by where they were sent: webhook, api, dashboard",
    ["listener"],
    registry=REGISTRY,
)

RESUME_CALLS = Counter(
    "filas_resume_calls_total",
    "Calls of resume addresses by outcome: accepted, repeated, over, page, or the reason of the rejection",
    ["outcome"],
    registry=REGISTRY,
)

CONNECTIONS_SHED = Counter(
    "filas_connections_shed_total",
    "Connections that the public listener closed, by outcome: slow-client, connection-limit, body-budget",
    ["outcome"],
    registry=REGISTRY,
)

# ---- flow-runner -----------------------------------------------------------------------------------

EXECUTIONS = Counter("filas_executions_total", "Ended executions by final status", ["status"], registry=REGISTRY)
EXECUTIONS_FAILED = Counter(
    "filas_executions_failed_total",
    "Executions that failed or timed out, by flow and kind of error; `other` after 500 pairs",
    ["flow", "error"],
    registry=REGISTRY,
)
STEPS = Counter(
    "filas_steps_total",
    "Visits of nodes that ended, by type of node and outcome",
    ["type", "outcome"],
    registry=REGISTRY,
)
FENCES_LOST = Counter(
    "filas_fences_lost_total",
    "Writes that were rejected because another worker has claimed the execution",
    registry=REGISTRY,
)
SCHEDULE_RUNS = Counter(
    "filas_schedule_runs_total", "Ticks of schedules by outcome: started, failed", ["outcome"], registry=REGISTRY
)
SCHEDULE_MISFIRES = Counter(
    "filas_schedule_misfires_total",
    "Schedules that missed ticks, by their misfire rule: skip, run-once, catch-up",
    ["misfire"],
    registry=REGISTRY,
)
SCHEDULE_LAG = Histogram(
    "filas_schedule_lag_seconds",
    "Time from a tick of a schedule until its execution is written",
    buckets=_SLOW,
    registry=REGISTRY,
)

# ---- notifier --------------------------------------------------------------------------------------

NOTIFICATIONS = Counter(
    "filas_notifications_total",
    "Delivery attempts that ended, by type of channel and outcome: delivered, sent, retry, failed, uncertain",
    ["type", "outcome"],
    registry=REGISTRY,
)
NOTIFICATIONS_INTERRUPTED = Counter(
    "filas_notifications_interrupted_total",
    "Delivery attempts without a recorded end: the message may have arrived, and was sent again",
    registry=REGISTRY,
)
NOTIFICATION_SECONDS = Histogram(
    "filas_notification_seconds",
    "Time of a delivery attempt, by type of channel",
    ["type"],
    buckets=_SLOW,
    registry=REGISTRY,
)

ALERTS_FIRING = Gauge(
    "filas_alerts_firing", "Alerts that fire, as the evaluating notifier knows them", registry=REGISTRY
)
ALERT_EVALUATOR = Gauge("filas_alert_evaluator", "1 in the notifier that evaluates the alert rules", registry=REGISTRY)
NOTIFICATIONS_DEFERRED = Counter(
    "filas_notifications_deferred_total",
    "Notifications that waited for their channel, by reason: paused, half-open, rate, recipient, slow",
    ["reason"],
    registry=REGISTRY,
)
CHANNEL_CIRCUITS = Gauge(
    "filas_channel_circuits",
    "Channels by the state of their circuit: closed, open, half-open",
    ["state"],
    registry=REGISTRY,
)
CHANNEL_CIRCUIT_CHANGES = Counter(
    "filas_channel_circuit_changes_total",
    "Changes of circuits by type of channel and new state: closed, open",
    ["type", "state"],
    registry=REGISTRY,
)
DELIVERY_STATUSES = Counter(
    "filas_delivery_statuses_total",
    "Delivery receipts of providers by outcome: recorded, stale, unknown",
    ["outcome"],
    registry=REGISTRY,
)

# ---- outbound calls and stores --------------------------------------------------------------------

OUTBOUND_REQUESTS = Counter(
    "filas_outbound_requests_total",
    "Outbound calls by outcome: answered, refused, timeout, failed",
    ["outcome"],
    registry=REGISTRY,
)
SEARCH_INDEX_BEHIND = Gauge(
    "filas_search_index_behind_seconds",
    "The age of the oldest new event that is not in the index of words; 0 if all are",
    registry=REGISTRY,
)
STORE_UP = Gauge(
    "filas_store_up", "1 while this process can use the store: redis, postgres", ["store"], registry=REGISTRY
)
STORE_CIRCUITS = Gauge(
    "filas_store_circuits",
    "1 for the present state of the circuit of a store: closed (in use), open (skipped), probing",
    ["store", "state"],
    registry=REGISTRY,
)
ROWS_LOCKED = Counter(
    "filas_rows_locked_total",
    "Items of a batch that were not written because another session held a lock, and are tried again, by table",
    ["table"],
    registry=REGISTRY,
)

# ---- every process ---------------------------------------------------------------------------------

EVENT_LOOP_LAG = Histogram(
    "filas_event_loop_lag_seconds",
    "Delay of the event loop: how late it wakes a sleeping task, measured twice per second",
    buckets=_FAST,
    registry=REGISTRY,
)
SPANS_DROPPED = Counter(
    "filas_spans_dropped_total",
    "Spans of traces that were lost, by reason: queue-full, rejected (the collector is unavailable)",
    ["reason"],
    registry=REGISTRY,
)
