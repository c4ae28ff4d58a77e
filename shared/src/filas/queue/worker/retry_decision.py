"""Decides what happens after a failed attempt. Pure: it reads no clock and no store.

| error                                     | action      | due                       | uses an attempt |
|-------------------------------------------|-------------|---------------------------|-----------------|
| `StoreBusy`                               | retry       | after its `delay_s`       | no              |
| `StoreUnavailable`                        | requeue     | at the job's former place | no              |
| `NewerVersionRequired`                    | await-newer | see `finish.lua`          | no              |
| `RetryLater(uses_attempt=False)`          | retry       | after its `delay_s`       | no              |
| `PermanentError`, `JobAborted`            | dead letter |                           | yes             |
| any other error, last attempt             | dead letter |                           | yes             |
| `RetryLater`                              | retry       | after its `delay_s`       | yes             |
| any other error                           | retry       | after the queue's backoff | yes             |
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

from filas.backoff import exponential
from filas.contract.policies import QueuePolicy
from filas.contract.storable_text import escape_surrogates
from filas.errors import JobDecodeError, NewerVersionRequired, PermanentError, RetryLater, StoreBusy, StoreUnavailable
from filas.models.record import ErrorDetail
from filas.queue.worker.claimed_job import JobAborted

MAX_MESSAGE = 2000
"""The longest stored error text, in characters."""

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "timeout"),
    (JobAborted, "cancelled"),
    (asyncio.CancelledError, "cancelled"),
    (JobDecodeError, "decode"),
    (PermanentError, "permanent"),
    (RetryLater, "retry-later"),
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens after an attempt, see the module. `delay_s` is the wait before a retry, in seconds."""

    action: Literal["dead-letter", "retry", "requeue", "await-newer"]
    delay_s: float = 0.0
    uses_attempt: bool = True


def decide(error: BaseException, attempt: int, max_attempts: int, policy: QueuePolicy) -> Decision:
    """Returns what happens after attempt number `attempt` (from 1) of `max_attempts` raised `error`."""
    if isinstance(error, StoreBusy) or (isinstance(error, RetryLater) and not error.uses_attempt):
        return Decision("retry", max(error.delay_s, 0.0), uses_attempt=False)
    if isinstance(error, StoreUnavailable):
        return Decision("requeue", uses_attempt=False)
    if isinstance(error, NewerVersionRequired):
        return Decision("await-newer", uses_attempt=False)
    if isinstance(error, PermanentError | JobAborted) or attempt >= max_attempts:
        return Decision("dead-letter")
    if isinstance(error, RetryLater):
        return Decision("retry", max(error.delay_s, 0.0))
    return Decision("retry", exponential(attempt, base_s=policy.backoff_s))


def decide_undecoded(error: BaseException) -> Decision:
    """Returns what happens with a job that cannot be decoded: it becomes a dead letter, or waits for a newer worker."""
    if isinstance(error, NewerVersionRequired):
        return Decision("await-newer", uses_attempt=False)
    return Decision("dead-letter")


def describe(error: BaseException) -> ErrorDetail:
    """Returns `error` as it is stored. An exception may have an ErrorDetail as `detail`, or its own `kind`."""
    own = getattr(error, "detail", None)
    if isinstance(own, ErrorDetail):
        return own
    kind = getattr(error, "kind", None)
    if not isinstance(kind, str):
        kind = next((word for known, word in _KINDS if isinstance(error, known)), "exception")
    # The text of a handler's error may contain anything. A lone surrogate in it would fail the whole batch.
    message = escape_surrogates(str(error))[:MAX_MESSAGE]
    return ErrorDetail(kind=kind, message=message or type(error).__name__, detail={"type": type(error).__name__})
