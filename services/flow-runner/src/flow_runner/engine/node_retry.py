"""What follows the failure of a node: a retry, another handle, or the failure of the execution."""

from filas import backoff
from filas.flows.nodes.node_data import FallibleData, NodeData
from filas.models.record import ErrorDetail
from flow_runner.engine.node_protocol import Failed
from flow_runner.engine.redaction import Redactor

_MAX_MESSAGE = 1000


def wait_s(data: NodeData, attempt: int, failure: Failed, share: float) -> float | None:
    """Seconds until the next attempt after the failed attempt number `attempt`; None: there is none.

    `min(maxDelayMs, delayMs * rate ** (attempt - 1))`, multiplied by `share` (0 to 1) if the node's jitter is `full`;
    at least what the other side asks for (`Retry-After`), but not more than `maxDelayMs`.

    | attempt | delayMs 2000, rate 2 | the same, maxDelayMs 5000 |
    |---------|----------------------|---------------------------|
    | 1       | 2 s                  | 2 s                       |
    | 2       | 4 s                  | 4 s                       |
    | 3       | 8 s                  | 5 s                       |
    """
    if not isinstance(data, FallibleData):
        return None
    retry = data.retry
    if attempt >= retry.max_attempts or not failure.classes.intersection(retry.on):
        return None
    cap_s = retry.max_delay_ms / 1000
    jitter = share if retry.jitter == "full" else 1.0
    wait = backoff.exponential(attempt, base_s=retry.delay_ms / 1000, rate=retry.rate, cap_s=cap_s, jitter=jitter)
    return max(wait, min(failure.retry_after_s, cap_s))


def handle_after(data: NodeData) -> str | None:
    """The handle of a node that has failed finally; None: the execution fails with the node."""
    if not isinstance(data, FallibleData) or data.on_error == "fail":
        return None
    return "error" if data.on_error == "branch" else "out"


def error_detail(place: str, failure: Failed, redactor: Redactor) -> ErrorDetail:
    """The failure as it is recorded, without secrets."""
    message = redactor.text(failure.message)[:_MAX_MESSAGE]
    return ErrorDetail(kind=failure.kind, message=message, node_id=place, detail=redactor.clean(failure.detail))


def in_scope(error: ErrorDetail) -> dict[str, object]:
    """The failure as templates see it under `nodes.<id>.error`."""
    return {"kind": error.kind, "message": error.message, "detail": error.detail}
