"""The policy of each queue: its owner, its attempts, its backoff and its timeout. Workers, relays and manifests use it.

| queue                | owner       | attempts | backoff   | timeout |
|----------------------|-------------|----------|-----------|---------|
| `webhook-processing` | ingest      | 3        | 2 s, 4 s  | 30 s    |
| `flow-processing`    | flow-runner | 3        | 2 s, 4 s  | 60 s    |
| `notifications`      | notifier    | 2        | 2 s       | 15 s    |
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How the jobs of a queue are run. Times are in seconds.

    `name` is the Redis key of the queue, `short` its name in the statistics, `function` its main function. `priority`
    is 1 (high) to 3 (low): the part of the machine that a deployment reserves for the owner. `max_attempts` is how
    often a job is run before it becomes a dead letter.
    """

    name: str
    short: str
    function: str
    priority: int
    max_attempts: int
    backoff_s: float
    timeout_s: float

    def job_id(self, key: str) -> str:
        """The id of the job with the key `key`.

        The braces place all keys of a job in the hash slot of its queue on a Redis Cluster.
        """
        return f"{{{self.name}}}:{key}"


WEBHOOKS = QueuePolicy("webhook-processing", "webhook", "process_webhook", 1, 3, 2.0, 30.0)
FLOWS = QueuePolicy("flow-processing", "flow", "run_flow", 2, 3, 2.0, 60.0)
NOTIFICATIONS = QueuePolicy("notifications", "notification", "deliver_notification", 3, 2, 2.0, 15.0)

QUEUES: tuple[QueuePolicy, ...] = (WEBHOOKS, FLOWS, NOTIFICATIONS)
BY_NAME: dict[str, QueuePolicy] = {policy.name: policy for policy in QUEUES}
BY_SHORT: dict[str, QueuePolicy] = {policy.short: policy for policy in QUEUES}

LEASE_S = 8.0
"""How long a claim lasts without renewal, so that the jobs of a dead worker are available again within 10 s."""

MAX_LOST_LEASES = 5
"""How many leases a job may lose (its worker crashed) before it becomes a dead letter."""

NEWER_VERSION_FIRST_S = 1.0
NEWER_VERSION_LONGEST_S = 60.0
NEWER_VERSION_MAX_AGE_S = 24 * 3600.0
"""When a worker that does not know a job's function or version looks at the job again: after 1 s, and then after the
time for which the job has waited (1, 2, 4, … 60 s). The job becomes a dead letter after a day, by the store's clock."""

COMPLETED_RETENTION_S = 24 * 3600
FAILED_RETENTION_S = 7 * 24 * 3600
"""How long the statistics count finished jobs."""


def find(queue: str) -> QueuePolicy | None:
    """The policy of a queue by its full or its short name, or None."""
    return BY_NAME.get(queue) or BY_SHORT.get(queue)
