"""The protocol between the engine and a node type: what a visit is given, and how it may end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.contract.jobs import Traceparent
from filas.models.executions import ClaimedExecution, NewNotification
from flow_runner.engine.execution_state import LoopFrame, Pending
from flow_runner.engine.ports import Outbound
from flow_runner.engine.template_scope import ExecutionScope


@dataclass(slots=True)
class Visit:
    """One try of one visit of a node. `key` is the idempotency key of its effect, the same in every try.

    A node sets `input`, its resolved configuration, as soon as it knows it: the trace shows it whatever
    happens next. `pending` is what an earlier try of the same visit left. `place` names the node in traces: with
    the nodes of the subflows that it lies in. `callback` is there
    where the node waits for a call. `loop` is the loop that this visit goes on with, `returned` what the
    visit's subflow has come back with, `traceparent` its span.
    """

    node_id: str
    place: str
    type: str
    data: Any
    seq: int
    attempt: int
    key: str
    claimed: ClaimedExecution
    scope: ExecutionScope
    outbound: Outbound
    now: datetime
    time_limit_s: float
    pending: Pending | None = None
    callback: "Callback | None" = None
    loop: LoopFrame | None = None
    returned: "Returned | None" = None
    input: Any = None
    traceparent: Traceparent = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Callback:
    """The call that a visit waits for, and where it is to be made."""

    id: UUID
    address: str


@dataclass(frozen=True, slots=True)
class Returned:
    """How a subflow has ended: the output of its `end`, and the names in its scope."""

    output: Any
    roots: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The node has done its work and is left by `handle`; by `otherwise`, where that has no edge. `shown` is what
    the trace shows as output, where that is not the output itself."""

    output: Any = None
    handle: str = "out"
    notifications: list[NewNotification] = field(default_factory=list)
    shown: Any = msgspec.UNSET
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The visit goes on at `until`, or with a reply in the conversation where it `awaits_reply`; meanwhile the
    execution holds no worker, and has `status`. Without `until` it waits as long as the execution may take.

    `memo` is what the node needs to know when it goes on, found again in `visit.pending.memo`; the
    notifications go out with the checkpoint that begins the wait. The call of `callback_id` ends it, too.
    """

    until: datetime | None = None
    awaits_reply: bool = False
    status: Literal["waiting-timer", "waiting-input", "waiting-callback"] = "waiting-timer"
    memo: Any = None
    notifications: list[NewNotification] = field(default_factory=list)
    callback_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The execution ends here."""

    status: Literal["succeeded", "failed"]
    output: Any


@dataclass(frozen=True, slots=True)
class Repeat:
    """What the way out `loop` leads to is run for the item at `index`, and then the node is visited again."""

    items: list[Any]
    index: int


@dataclass(frozen=True, slots=True)
class Call:
    """Another flow is run with `values` as its input, and then the node goes on with what it has `returned`."""

    flow_id: str
    version: int | None
    values: dict[str, Any]


Outcome = Done | Wait | Finish | Repeat | Call


class NodeFailure(Exception):
    """The node failed. `kind` is a stable word; `classes` are the words under which `retry.on` may name it.

    `output` is what the node has nevertheless to show, such as the answer whose status is an error.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        classes: frozenset[str] = frozenset(),
        detail: dict[str, Any] | None = None,
        output: Any = None,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.classes = classes
        self.detail = detail
        self.output = output
        self.retry_after_s = retry_after_s


def _no_call(_: Any) -> float:
    return 0.0


def _not_announced(_: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class NodeRunner:
    """How a node type is run.

    `call_s` gives the longest time, in seconds, that a visit may spend on a call to the outside; 0 means that
    it has no effect there, and may be repeated after a crash unseen. `announced`: the effect must not be
    repeated by itself, so the state is saved right before it.
    """

    run: Callable[[Visit], Awaitable[Outcome]]
    call_s: Callable[[Any], float] = _no_call
    announced: Callable[[Any], bool] = _not_announced
