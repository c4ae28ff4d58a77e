"""A job that this worker has claimed, from the claim until its end is written."""

import asyncio
from typing import Any, Literal

from filas.errors import FilasError, JobDecodeError
from filas.queue.job_functions import JobContext, JobFunction

CancelReason = Literal["timeout", "abort", "lease", "drain"]


class JobAborted(FilasError):
    """Somebody cancelled the job."""


async def _never(context: JobContext, _: Any) -> None:
    raise JobDecodeError(f"{context.function} was never decoded")


UNKNOWN = JobFunction("<unknown>", _never)
"""The function of a job that has not been decoded, or never can be."""


class HeldJob:
    """What is known of a claimed job. Times are Unix seconds; ids and tokens are bytes as Redis has them."""

    __slots__ = (
        "aborted", "claimed", "context", "due", "function", "group", "history", "lost_leases", "message", "payload",
        "raw_id", "score", "spent", "token", "token_gone",
    )  # fmt: skip

    def __init__(self, raw_id: bytes, score: bytes, payload: bytes | None, token: bytes, claimed: float) -> None:
        self.raw_id = raw_id
        self.score = score
        self.payload = payload
        self.token = token
        self.claimed = claimed
        self.due = float(score) / 1000
        self.spent = 0
        self.lost_leases = 0
        self.group = b""
        self.aborted = False
        self.history: list[bytes] = []
        self.function = UNKNOWN
        self.message: Any = None
        self.context = JobContext(raw_id.decode("utf-8", "backslashreplace"), UNKNOWN.name)
        self.token_gone = False

    def tell(self, spent: int, lost_leases: int, place: bytes, aborted: int, history: list[bytes]) -> None:
        """What `claim.lua` says of a job that is not a plain first try."""
        context = self.context
        self.spent, context.attempt = spent, spent + 1
        self.lost_leases = context.lost_leases = lost_leases
        self.aborted, self.history = bool(aborted), history
        if place:
            self.group = place.partition(b"|")[2]
            context.group = self.group.decode("utf-8", "backslashreplace")

    @property
    def job_id(self) -> str:
        """The id as text; bytes that are no UTF-8 show as escapes."""
        return self.context.job_id

    @property
    def attempt(self) -> int:
        """The number of this try, from 1."""
        return self.context.attempt

    @property
    def enqueued_ms(self) -> int:
        """When it was put; 0 until that is known."""
        return self.context.enqueued_at_ms


class Run:
    """One call of a handler: of one job, or of many for a batch function."""

    __slots__ = ("deadline", "jobs", "reason", "started", "task")

    def __init__(self, jobs: list[HeldJob], task: "asyncio.Task[Any]", started: float, timeout_s: float) -> None:
        self.jobs = jobs
        self.task = task
        self.started = started
        self.deadline = started + timeout_s
        self.reason: CancelReason | None = None

    def cancel(self, reason: CancelReason) -> None:
        """Interrupt the handler. The first reason counts; a handler that goes on is interrupted again."""
        self.reason = self.reason or reason
        self.task.cancel()
