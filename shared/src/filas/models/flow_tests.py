"""The result of a test run of a flow. It is not a row: it is the result of the run's job."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from filas.models.executions import StepRecord
from filas.models.notifications import OutcomeStatus
from filas.models.record import ErrorDetail, Record

ANY_CHANNEL: Final = "test"
"""The channel of a test run that names none. It does not have to be stored: it delivers every message."""

FlowTestStatus = Literal[
    "succeeded", "failed", "cancelled", "timed-out", "waiting-input", "waiting-callback", "waiting-timer", "stopped"
]
"""How a test run ended. Every status is final. The flow-runner keeps the result in Redis for 15 minutes; then Redis
removes it. Before the end, the API shows the status `running` while the job is in the queue or under way.

| status                                          | meaning                                                       |
|-------------------------------------------------|---------------------------------------------------------------|
| `succeeded`, `failed`, `cancelled`, `timed-out` | the final status that a real execution would have             |
| `waiting-input`, `waiting-callback`             | the flow waits, and no given reply or answer ends the wait    |
| `waiting-timer`                                 | not used: the clock of a test run jumps to the end of a timer |
| `stopped`                                       | the run exceeded its limits of time or steps                  |
"""


class FlowTestCall(Record, frozen=True, kw_only=True):
    """A call or a message that a real execution would have sent. A call has the answer that the test run gave to it.

    `type` is the node's type. A call has `method`, `url`, `headers`, `body` and `answer`; a message has `channel`, `to`
    and `payload`. `at` is a time of the run's own clock, which jumps over waits. `delivery` is the outcome that the
    test run gave to a message, with the reason if it is `failed`; None: the provider did not answer in time.
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
    delivery: OutcomeStatus | None = None
    delivery_error: str | None = None


class FlowTestChatLine(Record, frozen=True, kw_only=True):
    """A message in the chat of a test run. `text` None: the contact did not reply before the wait ended. `node_id`: the
    node that wrote it."""

    at: datetime
    sender: Literal["contact", "flow"]
    text: str | None
    node_id: str | None = None


class FlowTestResult(Record, frozen=True, kw_only=True):
    """A test run that has ended.

    `chat` are the messages between the contact and the flow. `left_out` counts the steps, calls and messages beyond
    those that are shown. `unused_replies` counts the replies that no node waited for. `error_flow_id` is the flow that
    a real execution would have started after its failure. `undelivered` counts the messages that failed as the test
    defines, and `undelivered_flow_id` is the flow that would have started for those for which no node waited.
    `started_at` and `ended_at` are times of the run's own clock; `took_ms` is measured by the real clock.
    """

    status: FlowTestStatus
    flow_id: str
    version: int | None
    steps: list[StepRecord]
    calls: list[FlowTestCall]
    vars: dict[str, Any]
    chat: list[FlowTestChatLine] = msgspec.field(default_factory=list)
    output: Any = None
    error: ErrorDetail | None = None
    error_flow_id: str | None = None
    undelivered: int = 0
    undelivered_flow_id: str | None = None
    unused_replies: int = 0
    left_out: int = 0
    started_at: datetime
    ended_at: datetime
    took_ms: float = 0.0
