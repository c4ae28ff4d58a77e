"""Where a span stands in its trace, as W3C's Trace Context writes it: `00-<trace id>-<span id>-<flags>`.

A trace is named after what it began with: its id is that of the event (of an execution that no event has started,
the execution's), and its first span's id is the second half of that. So whoever rebuilds a job from a row (the
relay, a timer after a month, an operator's replay) finds the trace again without a column for it, in old rows too;
and an operator finds the trace of an event by the event's id, and the other way round. The ids are UUIDs of version
5 or 7, whose last 56 bits are as random as Trace Context (level 2) asks for: they decide whether a trace is sampled,
so that every process decides alike. The bits above are no part of that: some of a UUID's are always the same.

What a job carries goes before what its row would give: it names the span that has really caused it.
"""

import re
from typing import NamedTuple
from uuid import UUID

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_LOW_64 = (1 << 64) - 1
_RANDOM_BITS = 56
_SAMPLED = 1


class Position(NamedTuple):
    """A span within its trace, and whether the trace is sampled."""

    trace_id: int
    span_id: int
    sampled: bool


def read(text: object) -> Position | None:
    """The position that `text` names; None for what is no traceparent. Of a later version what is known is read."""
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    position = Position(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    if version == "ff" or (version == "00" and more is not None) or not position.trace_id or not position.span_id:
        return None
    return position


def write(position: Position) -> str:
    """The traceparent that names `position`."""
    return f"00-{position.trace_id:032x}-{position.span_id:016x}-{position.sampled:02x}"


def first_of(origin: UUID, ratio: float) -> Position:
    """The first span of the trace of `origin`, an event or an execution."""
    return Position(origin.int, origin.int & _LOW_64, is_sampled(origin.int, ratio))


def is_sampled(trace_id: int, ratio: float) -> bool:
    """Whether a trace is among the share `ratio` (0 to 1) that is recorded."""
    return trace_id & ((1 << _RANDOM_BITS) - 1) < ratio * (1 << _RANDOM_BITS)
