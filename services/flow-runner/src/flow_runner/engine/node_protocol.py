"""The protocol between the engine and the node types: what a visit receives, and the outcomes that it can have.

They are structs of msgspec, because a frozen dataclass is several times as slow to create.
"""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.contract import identity
from filas.contract.jobs import Traceparent
from filas.flows.definition.flow_definition import ConversationSettings
from filas.flows.nodes.node_data import Awaited
from filas.models.executions import ClaimedExecution, NewNotification, Question
from flow_runner.engine.execution_state import LoopFrame, Pending
from flow_runner.engine.ports import Channels, NoChannels, Outbound
from flow_runner.engine.template_scope import TemplateScope


class Callback(msgspec.Struct, frozen=True):
    """The callback that a visit waits for, and the address where it is made."""

    id: UUID
    address: str


class Returned(msgspec.Struct, frozen=True):
    """The result of a subflow: the output of its `end` node, and the names in its scope."""

    output: Any
    roots: Mapping[str, Any]


class Visit(msgspec.Struct):
    """One attempt of one visit of a node.

    A node sets `input`, its resolved configuration, as soon as it is known, because the trace shows it whatever happens
    next. A node changes nothing else.

    `place` is the node's name in traces: `pay/check-card` for a node of a subflow. `key` is the idempotency key of the
    visit's effect, the same in each attempt. `assign` writes a variable, converted to its type; it raises ValueError if
    the flow does not declare the variable or the value does not fit. `pending` is what an earlier attempt of this visit
    stored, `loop` the loop that this visit continues, `awaits` what it waits for after its message is recorded,
    `callback` what the visit waits for, `returned` the result of the subflow that this visit started. `idle_ms` is
    `settings.conversation.idleMs` of the execution's flow, `connected` the handles that an edge leaves by.
    """

    node_id: str
    place: str
    type: str
    data: Any
    seq: int
    attempt: int
    claimed: ClaimedExecution
    scope: TemplateScope
    assign: Callable[[str, Any], None]
    outbound: Outbound
    started_at: datetime
    now: datetime
    time_limit_s: float
    awaits: Awaited = "recorded"
    channels: Channels = msgspec.field(default_factory=NoChannels)
    pending: Pending | None = None
    callback: Callback | None = None
    loop: LoopFrame | None = None
    returned: Returned | None = None
    input: Any = None
    traceparent: Traceparent = msgspec.UNSET
    idle_ms: int = ConversationSettings().idle_ms
    connected: Container[str] = ()

    @property
    def key(self) -> str:
        return identity.effect_key(self.claimed.id, self.seq)


class Done(msgspec.Struct, frozen=True):
    """The visit ends by `handle`, or by `otherwise` if no edge leaves by `handle`. `shown` is what the trace shows as
    output, if that differs from the output. `timed_out`: if no edge leaves by `handle`, the execution ends as
    `timed-out`, with this message. `said`: from now on, the text of the contact's last message, which had several
    parts."""

    output: Any = None
    handle: str = "out"
    notifications: Sequence[NewNotification] = ()
    shown: Any = msgspec.UNSET
    otherwise: str | None = None
    timed_out: str | None = None
    said: str | None = None


class Wait(msgspec.Struct, frozen=True):
    """The visit continues at `until`, or earlier: with a reply in the conversation if it `awaits_reply`, with the
    callback of `callback_id`, or with the outcome of the notification `message_id`. Without `until` it waits as long as
    the execution may last. Meanwhile the execution has `status` and needs no worker. If it `holds_conversation`, the
    next message of the conversation is processed after the wait.

    The next attempt finds `memo` in `visit.pending.memo`. `question` is the question that a reply answers. The
    notifications are sent with the checkpoint that starts the wait.
    """

    until: datetime | None = None
    awaits_reply: bool = False
    status: Literal["waiting-timer", "waiting-input", "waiting-callback"] = "waiting-timer"
    memo: Any = None
    notifications: Sequence[NewNotification] = ()
    callback_id: UUID | None = None
    message_id: UUID | None = None
    holds_conversation: bool = False
    question: Question | None = None


class Finish(msgspec.Struct, frozen=True):
    """The flow ends here: the execution, or only the subflow."""

    status: Literal["succeeded", "failed"]
    output: Any


class Repeat(msgspec.Struct, frozen=True):
    """The targets of the handle `loop` are visited for the item at `index`, and then the node again."""

    items: list[Any]
    index: int


class Call(msgspec.Struct, frozen=True):
    """A subflow runs with `values` as its input, and then the visit continues with `visit.returned`."""

    flow_id: str
    version: int | None
    values: dict[str, Any]


class Failed(msgspec.Struct, frozen=True):
    """The visit failed. `kind` is a stable word. `retry.on` may name the failure by one of `classes`. `output` is what
    the node has to show nevertheless, such as a response whose status is an error. `retry_after_s` is the shortest wait
    that the other side asks for."""

    kind: str
    message: str
    classes: frozenset[str] = frozenset()
    detail: Mapping[str, Any] | None = None
    output: Any = None
    retry_after_s: float = 0.0


Outcome = Done | Wait | Finish | Repeat | Call | Failed


class NodeFailure(Exception):
    """Raised by a node instead of returning `Failed`, which is its `outcome`."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        classes: frozenset[str] = frozenset(),
        detail: Mapping[str, Any] | None = None,
        output: Any = None,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.outcome = Failed(kind, message, classes, detail, output, retry_after_s)


NodeRunner = Callable[[Visit], Awaitable[Outcome]]
"""Runs one visit of a node type. Raises NodeFailure and TemplateError."""
