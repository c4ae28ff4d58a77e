"""A job that this worker has claimed, until its end is written to Redis."""

import asyncio
from typing import Any, Literal

from filas.errors import FilasError, JobDecodeError
from filas.queue.job_functions import JobContext, JobFunction

CancelReason = Literal["timeout", "abort", "lease", "drain"]


class JobAborted(FilasError):
    """The job was cancelled, by an operator or by a stock client's `Job.abort()`."""


async def _never_decoded(context: JobContext, _: Any) -> None:
    raise JobDecodeError(f"{context.function} was not decoded")


NOT_DECODED = JobFunction("<unknown>", _never_decoded)
"""The function of a job that has not been decoded, or cannot be decoded."""


class ClaimedJob:
    """A claimed job. Ids and tokens are bytes as in Redis.

    `claimed` is the time of the claim in monotonic seconds, `claimed_at` the same time in Unix seconds by the clock of
    Redis. `attempts_used` counts the attempts before this one. `history` has their errors as JSON. `lease_lost` is true
    when another worker may have claimed the job, so that nothing of it may be written any more. `held_bytes` is the
    memory that the job counts for in the process's budget.
    """

    __slots__ = (
        "aborted", "attempts_used", "claimed", "claimed_at", "context", "due", "function", "group", "held_bytes",
        "history",
        "lease_lost", "lost_leases", "message", "payload", "raw_id", "score", "token",
    )  # fmt: skip

    def __init__(
        self, raw_id: bytes, score: bytes, payload: bytes | None, token: bytes, claimed: float, claimed_at: float
    ) -> None:
        self.raw_id = raw_id
        self.score = score
        self.payload = payload
        self.token = token
        self.claimed = claimed
        self.claimed_at = claimed_at
        self.due = float(score) / 1000
        self.attempts_used = 0
        self.lost_leases = 0
        self.group = b""
        self.aborted = False
        self.history: list[bytes] = []
        self.function = NOT_DECODED
        self.message: Any = None
        self.context = JobContext(raw_id.decode("utf-8", "backslashreplace"), NOT_DECODED.name)
        self.lease_lost = False
        self.held_bytes = 0

    def set_progress(
        self, attempts_used: int, lost_leases: int, position: bytes, aborted: int, history: list[bytes]
    ) -> None:
        """Stores what `claim.lua` returns for a job that is not an ordinary first attempt.

        `position` is `score|group`, or empty for a job without a group.
        """
        context = self.context
        self.attempts_used, context.attempt = attempts_used, attempts_used + 1
        self.lost_leases = context.lost_leases = lost_leases
        self.aborted, self.history = bool(aborted), history
        if position:
            self.group = position.partition(b"|")[2]
            context.group = self.group.decode("utf-8", "backslashreplace")

    def unix(self, monotonic: float) -> float:
        """Returns a monotonic time of this process in Unix seconds by the clock of Redis."""
        return self.claimed_at + (monotonic - self.claimed)

    @property
    def job_id(self) -> str:
        """The id as text. Bytes that are not UTF-8 become escapes."""
        return self.context.job_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.context.attempt

    @property
    def enqueued_ms(self) -> int:
        """When the job was enqueued, in Unix ms. 0 until the job is decoded."""
        return self.context.enqueued_at_ms


class HandlerCall:
    """One call of a handler, with one job or with the jobs of a batch function. Times are monotonic seconds."""

    __slots__ = ("deadline", "jobs", "reason", "started", "task")

    def __init__(self, jobs: list[ClaimedJob], task: "asyncio.Task[Any]", started: float, timeout_s: float) -> None:
        self.jobs = jobs
        self.task = task
        self.started = started
        self.deadline = started + timeout_s
        self.reason: CancelReason | None = None

    def cancel(self, reason: CancelReason) -> None:
        """Interrupts the handler. The first reason is kept. A handler that ignores it is interrupted again."""
        self.reason = self.reason or reason
        self.task.cancel()
