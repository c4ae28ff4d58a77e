"""W3C's `traceparent`, `00-<trace id>-<span id>-<flags>`, and the trace that an event or an execution determines.

The trace id is the id of the event (of the execution, if no event started it). The id of the trace's first span, the
root span, is the second half of that id. The relay, a timer after a month and an operator's replay therefore find the
trace from the row's id alone, and no table needs a column for it. An operator finds the trace by the event's id.

The ids are UUIDs of version 5 or 7. Their last 56 bits are random, as Trace Context (level 2) requires. These bits
decide whether a trace is sampled, so all processes decide alike. The bits above are not used, because some bits of a
UUID are constant.

The traceparent that a job carries takes precedence over the one that its row determines: it names the span that
enqueued the job.
"""

import re
from typing import NamedTuple
from uuid import UUID

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_LOW_64 = (1 << 64) - 1
_RANDOM_BITS = 56
_SAMPLED = 1


class SpanContext(NamedTuple):
    """The ids of a span and of its trace, and whether the trace is sampled."""

    trace_id: int
    span_id: int
    sampled: bool


def parse(text: object) -> SpanContext | None:
    """Returns the span context that `text` names, or None if `text` is not a valid traceparent.

    Of a later version of the format, the known fields are used.
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    context = SpanContext(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    if version == "ff" or (version == "00" and more is not None) or not context.trace_id or not context.span_id:
        return None
    return context


def format_context(context: SpanContext) -> str:
    """Returns the traceparent of `context`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.sampled:02x}"


def root_context(origin: UUID, ratio: float) -> SpanContext:
    """Returns the root span of the trace of `origin`, an event or an execution. See `is_sampled` for `ratio`."""
    return SpanContext(origin.int, origin.int & _LOW_64, is_sampled(origin.int, ratio))


def is_sampled(trace_id: int, ratio: float) -> bool:
    """Whether the trace is among the fraction `ratio` (0 to 1) of all traces that is recorded."""
    return trace_id & ((1 << _RANDOM_BITS) - 1) < ratio * (1 << _RANDOM_BITS)
