"""The saved state of an execution: what a checkpoint writes and the next run continues from.

Only `FlowCursor` changes a `State`. All other structures here are immutable. The state of an execution that knows a
secret is stored encrypted.
"""

import re
from datetime import datetime
from typing import Any, Literal

import msgspec

from filas.crypto.secret_box import SecretBox
from filas.errors import NewerVersionRequired, PermanentError

VERSION = 3
MAX_STATE_BYTES = 1024 * 1024


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that has begun and has not ended: a wait, a retry, an announced effect, or a subflow.

    `reason` `effect`: the state was saved right before the effect, so a run that finds it cannot know whether the
    effect has happened. `reply` is the message that ended the wait, `call` the callback's request that ended it, and
    `outcome` the outcome of a message that ended it. `memo` is what the node stored for itself when the wait began.
    `input` is redacted.
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
    outcome: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class LoopFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="loop"):
    """A loop in progress. The loop's node is in the stack at `base`, and the body of the item at `index` is above it.
    `visits` are the counts from before the loop: inside of it, they start at 0 for each item."""

    node: str
    base: int
    items: list[Any]
    index: int = 0
    visits: dict[str, int]


class CallFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="subflow"):
    """A subflow in progress, started by `visit`. Its nodes are in the stack from `base` on. `input` is the body of its
    trigger. `vars`, `outputs` and `visits` are those of the calling flow."""

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
    """Where the execution is in its flow, and its data.

    `stack` holds the nodes that are still to be visited, the next one last. `seq` counts the steps. `frames` are the
    loops and subflows in progress, the innermost last. `vars`, `outputs` and `visits` belong to the innermost subflow.
    `outputs` has only what a template of the flow reads. `pins` has the version that this execution uses of each
    subflow whose node names none; None: the subflow was not published. `calls_awaited` counts how often each node has
    waited for a callback. `message` is the last reply that resumed the execution; None: the message that started it is
    the last one. `holds_secrets`: a flow of the execution has used secrets or declared secret variables, so any part of
    the state may contain one.
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
    holds_secrets: Literal[True] | msgspec.UnsetType = msgspec.UNSET
    sealed: str | msgspec.UnsetType = msgspec.UNSET
    """The encrypted text of the whole state. The other fields are then empty, and `version` is 3."""


class _Versioned(msgspec.Struct):
    version: int = 1


_decoder = msgspec.json.Decoder(State)
_version_decoder = msgspec.json.Decoder(_Versioned)

# A new reason of a visit, or a new kind of frame.
_UNKNOWN_VALUE = re.compile(r"Invalid (?:enum )?value ")


def encode(state: State) -> str:
    """The state as JSON text. Its version is that of the oldest engine that can continue from it."""
    version = 2 if state.frames or state.pins or state.calls_awaited else 1
    if version != state.version:
        state = msgspec.structs.replace(state, version=version)
    return msgspec.json.encode(state).decode()


def seal(text: str, box: SecretBox) -> str:
    """The text of a state, encrypted."""
    return msgspec.json.encode({"version": VERSION, "stack": [], "sealed": box.seal(text)}).decode()


def decode(text: str, box: SecretBox | None = None) -> State:
    """The state that `encode` or `seal` wrote.

    Raises NewerVersionRequired if a newer version wrote it, PermanentError if it is broken, and SecretUnreadable if it
    was encrypted with another key.
    """
    state = _decoded(text)
    if isinstance(state.sealed, str):
        if box is None:
            raise PermanentError("the execution's state is encrypted")
        return _decoded(box.open(state.sealed))
    return state


def _decoded(text: str) -> State:
    try:
        state = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        if _version_of(text) > VERSION or _UNKNOWN_VALUE.match(str(error)):
            raise NewerVersionRequired(f"only a newer version can read the execution's state: {error}") from None
        raise PermanentError(f"the execution's state cannot be decoded: {error}") from None
    if state.version > VERSION:
        raise NewerVersionRequired(
            f"the execution's state has version {state.version}; this engine knows up to {VERSION}"
        )
    return state


def _version_of(text: str) -> int:
    """The version of a state that cannot be decoded otherwise; 0 if it has none."""
    try:
        return _version_decoder.decode(text).version
    except (msgspec.DecodeError, UnicodeError):
        return 0


def restarted(state: State) -> State:
    """The state with which another execution starts where a failed one ended. The visit that did not end comes first.
    Bounds and step numbers start again; the visits that started the subflows in progress are the first steps."""
    undone = [state.pending.node] if state.pending else []
    frames, seq = list(state.frames), 0
    for index, frame in enumerate(frames):
        if isinstance(frame, CallFrame):
            seq += 1
            frames[index] = msgspec.structs.replace(frame, visit=msgspec.structs.replace(frame.visit, seq=seq))
    stack = state.stack + undone
    return msgspec.structs.replace(state, seq=seq, stack=stack, frames=frames, pending=None, visits={})
