"""What becomes of a try that failed. Pure."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from filas.backoff import exponential
from filas.contract.policies import QueuePolicy
from filas.contract.storable_text import escape_surrogates
from filas.errors import JobDecodeError, PermanentError, RetryLater, StoreUnavailable
from filas.models.record import ErrorDetail
from filas.queue.worker.claimed_job import JobAborted

MAX_MESSAGE = 2000

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
    """`dead`: given up. `retry`: again after `delay_s`; `spent` says whether this try counts.
    `return`: back to its place at once, the try not counted."""

    what: Literal["dead", "retry", "return"]
    delay_s: float = 0.0
    spent: bool = True


def decide(error: BaseException, attempt: int, max_attempts: int, policy: QueuePolicy) -> Decision:
    """The policy's answer to try number `attempt` having raised `error`."""
    if isinstance(error, StoreUnavailable):
        return Decision("return", spent=False)
    if isinstance(error, RetryLater) and not error.uses_attempt:
        return Decision("retry", max(error.delay_s, 0.0), spent=False)
    if isinstance(error, PermanentError | JobAborted) or attempt >= max_attempts:
        return Decision("dead")
    if isinstance(error, RetryLater):
        return Decision("retry", max(error.delay_s, 0.0))
    return Decision("retry", exponential(attempt, base_s=policy.backoff_s))


def describe(error: BaseException) -> ErrorDetail:
    """`error` as it is recorded: an exception may bring its own ErrorDetail as `detail`, or a `kind`."""
    own = getattr(error, "detail", None)
    if isinstance(own, ErrorDetail):
        return own
    kind = getattr(error, "kind", None)
    if not isinstance(kind, str):
        kind = next((word for known, word in _KINDS if isinstance(error, known)), "exception")
    # Whatever a handler's error says must be writable: a lone surrogate in it would fail the whole batch.
    message = escape_surrogates(str(error))[:MAX_MESSAGE]
    return ErrorDetail(kind=kind, message=message or type(error).__name__, detail={"type": type(error).__name__})
