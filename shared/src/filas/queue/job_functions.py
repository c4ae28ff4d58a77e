"""What a service passes to a worker: its job functions, and the narrow interfaces that the worker uses."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from filas.contract.jobs import JobMessage
from filas.models.dead_letters import NewDeadLetter


class JobContext:
    """The attempt that a handler runs.

    `attempt` counts from 1. Attempts that ended by an unavailable store, a drain or a lost lease do not count.
    `enqueued_at_ms` is the Unix time in ms at which the job was enqueued, `age_s` the seconds from then to the claim;
    both are by the clock of Redis, unless a stock producer enqueued the job. `lost_leases` is how often a worker that
    ran the job lost its lease, usually because the worker crashed.
    """

    __slots__ = ("age_s", "attempt", "enqueued_at_ms", "function", "group", "job_id", "lost_leases", "max_attempts")

    def __init__(
        self,
        job_id: str,
        function: str,
        *,
        attempt: int = 1,
        max_attempts: int = 1,
        enqueued_at_ms: int = 0,
        group: str | None = None,
        lost_leases: int = 0,
        age_s: float = 0.0,
    ) -> None:
        self.job_id = job_id
        self.function = function
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.enqueued_at_ms = enqueued_at_ms
        self.group = group
        self.lost_leases = lost_leases
        self.age_s = age_s

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure of this attempt makes the job a dead letter."""
        return self.attempt >= self.max_attempts

    def __repr__(self) -> str:
        return f"JobContext({self.job_id!r}, {self.function!r}, attempt={self.attempt}/{self.max_attempts})"


Handler = Callable[[JobContext, Any], Awaitable[Any]]
"""`handler(context, message)` returns the job's result, or raises."""

BatchHandler = Callable[[list[tuple[JobContext, Any]]], Awaitable[Sequence[Any]]]
"""`handler([(context, message), …])` returns one outcome per job, in order: a result or an exception."""


@dataclass(frozen=True, slots=True)
class JobFunction:
    """A function that jobs can name.

    `message_type`: the type into which the message is decoded strictly. None: the handler gets a `job_format.Call` with
    the arguments of a stock arq producer. `batch`: the handler is a BatchHandler and gets up to `batch_limit` jobs in
    one call; if it raises, every job of that call gets the error. `timeout_s`, `max_attempts`: the policy's, unless
    they are given. `keep_result_s`: how long the result is stored in Redis for `Job.result()`; 0 stores no result.
    """

    name: str
    handler: Handler | BatchHandler
    message_type: type[JobMessage] | None = None
    batch: bool = False
    batch_limit: int = 100
    timeout_s: float | None = None
    max_attempts: int | None = None
    keep_result_s: float = 0.0


class DeadLetterSink(Protocol):
    """Stores dead letters permanently (`DeadLetterRepository.insert_many`)."""

    async def __call__(self, letters: list[NewDeadLetter], /) -> Sequence[Exception | None] | None:
        """Stores `letters`. A repeated call changes nothing. Returns None if all were stored; otherwise one result for
        each, which is None or the reason why it was not stored. Raises StoreUnavailable: the call is repeated later."""


class PauseSource(Protocol):
    """Knows which queues are paused (`PauseRepository`)."""

    async def all(self) -> set[str]:
        """Returns the full names of the paused queues. Raises StoreUnavailable: the last known answer stays valid."""


class CancelSource(Protocol):
    """The cancels of jobs that have not ended (`CancelRepository`). Every method raises StoreUnavailable."""

    async def jobs(self, queue: str, limit: int, after: bytes = b"") -> list[bytes]:
        """Returns up to `limit` ids of jobs, those after the id `after`, in their order."""

    async def delete_jobs(self, queue: str, job_ids: Sequence[bytes]) -> None:
        """Deletes the cancels of jobs that have ended."""


StoreProblem = Callable[[], str | None]
"""Returns why a store that the handlers need is unavailable, or None (`Database.problem`)."""
