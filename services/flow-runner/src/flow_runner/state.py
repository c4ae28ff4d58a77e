"""Where an execution stands: what a checkpoint saves and the next turn goes on from."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from filas.errors import PermanentError

VERSION = 1
MAX_STATE_BYTES = 1024 * 1024


class Pending(msgspec.Struct, kw_only=True):
    """A visit that has begun and not ended: a delay, a retry, or an effect that was announced.

    `reason` `effect`: the state was saved right before the effect, so one who finds it doesn't know whether
    the effect has happened.
    """

    node: str
    seq: int
    attempt: int
    reason: Literal["delay", "retry", "effect"]
    started_at: datetime
    wake_at: datetime | None = None
    input: Any = None


class State(msgspec.Struct, kw_only=True):
    """The engine's position.

    `stack` holds the nodes that are still to be visited, the next one last; `seq` counts the steps. `outputs`
    keeps only what some template of the flow looks at.
    """

    version: int = VERSION
    seq: int = 0
    stack: list[str]
    pending: Pending | None = None
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
    visits: dict[str, int] = msgspec.field(default_factory=dict)


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
