"""A job that is to be enqueued, without its encoding."""

from dataclasses import dataclass

from filas.contract.jobs import JobMessage
from filas.contract.policies import QueuePolicy


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. Its id is `policy.job_id(key)`.

    `group`: jobs of one group run one at a time, in the order in which they were enqueued. `defer_until_ms`: the Unix
    time in milliseconds at which the job is due, by the clock of Redis; None means now. `delay_ms`: how many
    milliseconds after it is enqueued the job is due, instead of `defer_until_ms`: the clock of the producer has no
    effect. `priority`: 1, 2 or 3, the order among the jobs that
    are due when they are enqueued; None is 3, the level of stock producers too. `function`: None is the queue's main
    function. `message`: None is a call without arguments.
    """

    policy: QueuePolicy
    key: str
    message: JobMessage | None
    group: str | None = None
    defer_until_ms: int | None = None
    priority: int | None = None
    function: str | None = None
    delay_ms: int | None = None

    @property
    def job_id(self) -> str:
        """The id of the job in Redis."""
        return self.policy.job_id(self.key)
