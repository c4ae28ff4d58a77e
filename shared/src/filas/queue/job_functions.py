"""What a worker is made of, seen from the service: its functions and the narrow interfaces it needs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from filas.contract.jobs import JobMessage
from filas.models.dead_letters import NewDeadLetter


class JobContext:
    """What a handler is told about its try.

    `attempt` counts from 1; tries that ended by a fault of a store, by a drain or by a lost lease don't
    count. `enqueued_at_ms` is when the job was put. `lost_leases`: how often its worker vanished.
    """

    __slots__ = ("attempt", "enqueued_at_ms", "function", "group", "job_id", "lost_leases", "max_attempts")

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
    ) -> None:
        self.job_id = job_id
        self.function = function
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.enqueued_at_ms = enqueued_at_ms
        self.group = group
        self.lost_leases = lost_leases

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure of this try makes the job a dead letter."""
        return self.attempt >= self.max_attempts

    def __repr__(self) -> str:
        return f"JobContext({self.job_id!r}, {self.function!r}, attempt={self.attempt}/{self.max_attempts})"


Handler = Callable[[JobContext, Any], Awaitable[Any]]
"""`handler(context, message)`; its answer is the job's result."""

BatchHandler = Callable[[list[tuple[JobContext, Any]]], Awaitable[Sequence[Any]]]
"""`handler([(context, message), …])`; answers one outcome a job, in their order: a result or an exception."""


@dataclass(frozen=True, slots=True)
class JobFunction:
    """A function that jobs name.

    `message_type`: decoded strictly into it; None: the handler gets a `wire.Call` with the arguments of a
    stock producer. `batch`: the handler is a BatchHandler and takes up to `batch_limit` jobs at once; when
    it raises, every job of that call gets the error. `timeout_s`, `max_attempts`: the policy's unless given.
    `keep_result_s`: how long the result stays in Redis for `Job.result()`; 0: not at all.
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
    """Where dead letters go for good: `DeadLetterRepository.insert_many`, say."""

    async def __call__(self, letters: list[NewDeadLetter], /) -> object:
        """Keep `letters`; a repetition must change nothing. Raises StoreUnavailable to be asked again."""


class PauseSource(Protocol):
    """Who knows which queues are paused."""

    async def all(self) -> set[str]:
        """The full names of the paused queues. Raises StoreUnavailable: then what was known stays."""


StoreProblem = Callable[[], str | None]
"""Why a store that the handlers need can't be used now, or None (`Database.problem`, say)."""
