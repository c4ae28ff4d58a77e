"""Where an execution stands: what a checkpoint saves and the next turn goes on from."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from filas.errors import PermanentError

VERSION = 1
MAX_STATE_BYTES = 1024 * 1024


class Pending(msgspec.Struct, kw_only=True):
    """A visit that has begun and not ended: a wait, a retry, or an effect that was announced.

    `reason` `effect`: the state was saved right before the effect, so one who finds it doesn't know whether
    the effect has happened. `reply`: the message that has ended the wait. `memo`: what the node has left for
    itself when it began to wait.
    """

    node: str
    seq: int
    attempt: int
    reason: Literal["wait", "retry", "effect"]
    started_at: datetime
    wake_at: datetime | None = None
    input: Any = None
    reply: dict[str, Any] | None = None
    memo: Any = None


class State(msgspec.Struct, kw_only=True):
    """The engine's position.

    `stack` holds the nodes that are still to be visited, the next one last; `seq` counts the steps. `outputs`
    keeps only what some template of the flow looks at. `message`: the last reply that the execution went on
    with; None: the one that started it is the last.
    """

    version: int = VERSION
    seq: int = 0
    stack: list[str]
    pending: Pending | None = None
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    message: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(State)


def encode(state: State) -> str:
    """The state as JSON text."""
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
    comes first, and bounds and steps count from nothing."""
    undone = [state.pending.node] if state.pending else []
    return msgspec.structs.replace(state, seq=0, stack=state.stack + undone, pending=None, visits={})
