"""What a test run of a flow shows. It is no row: it is kept with its job, for minutes."""

from datetime import datetime
from typing import Any, Literal

from filas.models.executions import StepRecord
from filas.models.record import ErrorDetail, Record

FlowTestStatus = Literal[
    "succeeded", "failed", "cancelled", "timed-out", "waiting-input", "waiting-callback", "waiting-timer", "stopped"
]
"""How a test run ended. `waiting-…`: nothing that was given ends the wait. `stopped`: it took too long."""


class FlowTestCall(Record, frozen=True, kw_only=True):
    """What would have gone outside: an HTTP request with the answer that it was given, or a message.

    `type` is the node's. A request has `method`, `url`, `headers`, `body` and `answer`; a message `channel`, `to` and
    `payload`. `at` is by the clock of the run, which jumps over waits.
    """

    seq: int
    node_id: str
    type: str
    attempt: int
    at: datetime
    method: str | None = None
    url: str | None = None
    headers: dict[str, Any] | None = None
    body: Any = None
    answer: Any = None
    channel: str | None = None
    to: str | None = None
    payload: dict[str, Any] | None = None


class FlowTestResult(Record, frozen=True, kw_only=True):
    """A test run that has ended.

    `left_out` counts the steps and calls beyond what is shown; `unused_replies` the replies that nobody waited for.
    `error_flow_id`: the flow that a real execution would have started, having failed. `started_at` and `ended_at` are
    by the clock of the run, `took_ms` by the wall's.
    """

    status: FlowTestStatus
    flow_id: str
    version: int | None
    steps: list[StepRecord]
    calls: list[FlowTestCall]
    vars: dict[str, Any]
    output: Any = None
    error: ErrorDetail | None = None
    error_flow_id: str | None = None
    unused_replies: int = 0
    left_out: int = 0
    started_at: datetime
    ended_at: datetime
    took_ms: float = 0.0
