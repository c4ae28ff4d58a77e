"""Where an execution stands: what a checkpoint saves and the next turn goes on from."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from filas.errors import PermanentError

VERSION = 2
MAX_STATE_BYTES = 1024 * 1024


class Pending(msgspec.Struct, kw_only=True):
    """A visit that has begun and not ended: a wait, a retry, an effect that was announced, or a subflow.

    `reason` `effect`: the state was saved right before the effect, so one who finds it doesn't know whether
    the effect has happened. `reply`: the message that has ended the wait, `call`: the call that has. `memo`:
    what the node has left for itself when it began to wait.
    """

    node: str
    seq: int
    attempt: int
    reason: Literal["wait", "retry", "effect", "subflow"]
    started_at: datetime
    wake_at: datetime | None = None
    input: Any = None
    reply: dict[str, Any] | None = None
    call: dict[str, Any] | None = None
    memo: Any = None


class LoopFrame(msgspec.Struct, kw_only=True, tag_field="kind", tag="loop"):
    """A loop under way: the loop's node lies in the stack at `base`, the body of the item at `index` above it.
    `visits` are those from before the loop: within, they count anew for each item."""

    node: str
    base: int
    items: list[Any]
    index: int = 0
    visits: dict[str, int]


class CallFrame(msgspec.Struct, kw_only=True, tag_field="kind", tag="subflow"):
    """A subflow under way, begun by `visit`: its nodes lie in the stack from `base` on. `input` is its trigger's
    body; the rest is what the calling flow goes on with."""

    visit: Pending
    flow_id: str
    version: int
    base: int
    input: dict[str, Any]
    vars: dict[str, Any]
    outputs: dict[str, Any]
    visits: dict[str, int]


Frame = LoopFrame | CallFrame


class State(msgspec.Struct, kw_only=True):
    """The engine's position.

    `stack` holds the nodes that are still to be visited, the next one last; `seq` counts the steps. `frames`
    are the loops and subflows under way, the innermost last; `vars`, `outputs` and `visits` are those of the
    innermost subflow. `outputs` keeps only what some template of the flow looks at. `pins`: the version that each
    subflow without one has for this execution; None: it was not published. `calls_awaited`
    counts how often each node has waited for a call. `message`: the last reply that the
    execution went on with; None: the one that started it is the last.
    """

    version: int = 1
    seq: int = 0
    stack: list[str]
    pending: Pending | None = None
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    message: dict[str, Any] | None = None
    frames: list[Frame] = msgspec.field(default_factory=list)
    pins: dict[str, int | None] = msgspec.field(default_factory=dict)
    calls_awaited: dict[str, int] = msgspec.field(default_factory=dict)

    def calls(self) -> list[CallFrame]:
        """The subflows under way, the innermost last."""
        return [frame for frame in self.frames if isinstance(frame, CallFrame)]

    def loops(self) -> list[LoopFrame]:
        """The loops under way in the innermost subflow, the innermost last."""
        found: list[LoopFrame] = []
        for frame in reversed(self.frames):
            if isinstance(frame, CallFrame):
                break
            found.insert(0, frame)
        return found


_decoder = msgspec.json.Decoder(State)


def encode(state: State) -> str:
    """The state as JSON text. It has the version of the oldest engine that can go on from it."""
    state.version = 2 if state.frames or state.pins or state.calls_awaited else 1
    return msgspec.json.encode(state).decode()


def decode(text: str) -> State:
    """The state that `encode` wrote. Raises PermanentError for one of a newer version, or a broken one."""
    try:
        state = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise PermanentError(f"the execution's state doesn't decode: {error}") from None
    if state.version > VERSION:
        raise PermanentError(f"the execution's state has version {state.version}; this engine knows up to {VERSION}")
    return state


def begin_anew(state: State) -> State:
    """The position of an execution that has failed, as another one begins from it: the visit that was not done
    comes first, and bounds and steps count from nothing. The visits that subflows under way belong to are the
    first steps."""
    undone = [state.pending.node] if state.pending else []
    calls = state.calls()
    for seq, frame in enumerate(calls, 1):
        frame.visit = msgspec.structs.replace(frame.visit, seq=seq)
    return msgspec.structs.replace(state, seq=len(calls), stack=state.stack + undone, pending=None, visits={})
