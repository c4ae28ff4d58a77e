"""Every Prometheus metric of Filas. Labels are few and never an id.

All of them are declared here, so that a name means the same in every process; a process shows the ones that
it has set. `queue` is a queue's full name, `function` the name of a job's function.
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
    """A histogram of what comes in batches: one visit to each bucket that is met, and not two a value."""

    def observe_many(self, amounts: Sequence[float]) -> None:
        """`observe` for each of `amounts`."""
        self._sum.inc(sum(amounts))
        for bucket, number in Tally([bisect_left(self._upper_bounds, amount) for amount in amounts]).items():
            self._buckets[bucket].inc(number)


# ---- the queue -------------------------------------------------------------------------------------

JOBS = Counter(
    "filas_jobs_total",
    "Tries of jobs that ended, by how: completed, retried, failed, given-back, lost",
    ["queue", "function", "outcome"],
    registry=REGISTRY,
)
JOB_WAIT = BatchHistogram(
    "filas_job_wait_seconds",
    "From when a job was due until it was claimed",
    ["queue", "function"],
    buckets=_SLOW,
    registry=REGISTRY,
)
JOB_RUN = BatchHistogram(
    "filas_job_run_seconds", "How long a try of a job ran", ["queue", "function"], buckets=_SLOW, registry=REGISTRY
)
JOBS_ENQUEUED = Counter(
    "filas_jobs_enqueued_total", "Jobs put, by outcome: enqueued, duplicate", ["queue", "outcome"], registry=REGISTRY
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
WORKERS = Gauge("filas_workers", "Workers of the queue that are there", ["queue"], registry=REGISTRY)
WORKER_SLOTS = Gauge(
    "filas_worker_slots",
    "Slots for handlers of all of the queue's workers together, by state: running, free",
    ["queue", "state"],
    registry=REGISTRY,
)
LEASES_LOST = Counter(
    "filas_leases_lost_total",
    "Leases of jobs that ran out, so that somebody else took the job",
    ["queue"],
    registry=REGISTRY,
)
DEAD_LETTERS = Counter("filas_dead_letters_total", "Jobs that were given up", ["queue"], registry=REGISTRY)
RELAYED = Counter(
    "filas_relayed_total", "Unfinished rows whose job was absent and was put back", ["table"], registry=REGISTRY
)

# ---- ingest ----------------------------------------------------------------------------------------

WEBHOOKS = Counter(
    "filas_webhooks_total",
    "Requests to webhooks by outcome: accepted, duplicate, or the reason of the refusal",
    ["outcome"],
    registry=REGISTRY,
)
WEBHOOK_SECONDS = Histogram(
    "filas_webhook_seconds", "From a webhook's request to its answer", buckets=_FAST, registry=REGISTRY
)
WEBHOOK_BATCH_SIZE = Histogram(
    "filas_webhook_batch_size", "Events written in one statement", buckets=_SIZES, registry=REGISTRY
)
AUTH_FAILURES = Counter(
    "filas_auth_failures_total",
    "Wrong signatures and tokens, by listener: webhook, api",
    ["listener"],
    registry=REGISTRY,
)

RESUME_CALLS = Counter(
    "filas_resume_calls_total",
    "Calls of addresses that flows wait at, by outcome: accepted, repeated, over, page, or the reason of the refusal",
    ["outcome"],
    registry=REGISTRY,
)

CONNECTIONS_SHED = Counter(
    "filas_connections_shed_total",
    "Connections that the public listener has closed by itself, by outcome: silent, crowded",
    ["outcome"],
    registry=REGISTRY,
)

# ---- flow-runner -----------------------------------------------------------------------------------

EXECUTIONS = Counter("filas_executions_total", "Executions that ended, by final status", ["status"], registry=REGISTRY)
STEPS = Counter(
    "filas_steps_total",
    "Visits of nodes that ended, by type of node and outcome",
    ["type", "outcome"],
    registry=REGISTRY,
)
FENCES_LOST = Counter(
    "filas_fences_lost_total", "Writes that were refused because another worker holds the execution", registry=REGISTRY
)
SCHEDULE_RUNS = Counter(
    "filas_schedule_runs_total", "Ticks of schedules by outcome: started, failed", ["outcome"], registry=REGISTRY
)
SCHEDULE_MISFIRES = Counter(
    "filas_schedule_misfires_total",
    "How often a schedule was found to have missed ticks, by what it then does: skip, run-once, catch-up",
    ["misfire"],
    registry=REGISTRY,
)
SCHEDULE_LAG = Histogram(
    "filas_schedule_lag_seconds",
    "From a schedule's tick until its execution was being written",
    buckets=_SLOW,
    registry=REGISTRY,
)

# ---- notifier --------------------------------------------------------------------------------------

NOTIFICATIONS = Counter(
    "filas_notifications_total",
    "Tries to deliver that ended, by type of channel and outcome: delivered, sent, retry, failed, uncertain",
    ["type", "outcome"],
    registry=REGISTRY,
)
NOTIFICATIONS_INTERRUPTED = Counter(
    "filas_notifications_interrupted_total",
    "Tries to deliver that were found unfinished: they may have arrived, and were made again",
    registry=REGISTRY,
)
NOTIFICATION_SECONDS = Histogram(
    "filas_notification_seconds",
    "How long one try to deliver took, by type of channel",
    ["type"],
    buckets=_SLOW,
    registry=REGISTRY,
)

NOTIFICATIONS_PUT_OFF = Counter(
    "filas_notifications_put_off_total",
    "Messages that had to wait for their destination before a try, by reason: paused, half-open, rate, receiver, slow",
    ["reason"],
    registry=REGISTRY,
)
DESTINATIONS = Gauge(
    "filas_destinations",
    "Channels by the state of their circuit: closed, open, half-open",
    ["state"],
    registry=REGISTRY,
)
DESTINATION_CHANGES = Counter(
    "filas_destination_changes_total",
    "How often circuits changed, by type of channel and the state since: closed, open",
    ["type", "state"],
    registry=REGISTRY,
)
DELIVERY_STATUSES = Counter(
    "filas_delivery_statuses_total",
    "Delivery statuses that providers sent, by outcome: recorded, stale, unknown",
    ["outcome"],
    registry=REGISTRY,
)

# ---- the outside and the stores --------------------------------------------------------------------

OUTBOUND_REQUESTS = Counter(
    "filas_outbound_requests_total",
    "Calls to the outside by outcome: answered, refused, timeout, failed",
    ["outcome"],
    registry=REGISTRY,
)
STORE_UP = Gauge(
    "filas_store_up", "1 when this process can use the store: redis, postgres", ["store"], registry=REGISTRY
)

# ---- every process ---------------------------------------------------------------------------------

EVENT_LOOP_LAG = Histogram(
    "filas_event_loop_lag_seconds",
    "How much later than asked the event loop woke a sleeper, tried twice a second",
    buckets=_FAST,
    registry=REGISTRY,
)
SPANS_DROPPED = Counter(
    "filas_spans_dropped_total",
    "Spans of traces that were lost, by reason: queue-full, not-taken (the collector is away)",
    ["reason"],
    registry=REGISTRY,
)
