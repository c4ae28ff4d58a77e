"""W3C's `traceparent`, and the trace that an event determines."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.identity import event_id, execution_id, new_id
from filas.tracing import traceparent
from filas.tracing.traceparent import SpanContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARSED = SpanContext(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (f"00-{TRACE}-{SPAN}-01", PARSED),
        (f"00-{TRACE}-{SPAN}-00", PARSED._replace(sampled=False)),
        (f"00-{TRACE}-{SPAN}-03", PARSED),
        (f"cc-{TRACE}-{SPAN}-01", PARSED),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", PARSED),
        (f"00-{TRACE}-{SPAN}-01-what-comes-later", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f" 00-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_what_is_a_traceparent(text: object, context: SpanContext | None) -> None:
    """Only the forms of W3C's recommendation are accepted."""
    assert traceparent.parse(text) == context


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    traceparent.parse(text)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_formatted_context_parses_to_itself(trace_id: int, span_id: int, sampled: bool) -> None:
    context = SpanContext(trace_id, span_id, sampled)
    assert traceparent.parse(traceparent.format_context(context)) == context


def test_an_event_determines_its_trace() -> None:
    """The ids of the trace and of its root span follow from the event's id."""
    event = new_id()
    formatted = traceparent.format_context(traceparent.root_context(event, 1.0))
    assert formatted == f"00-{event.hex}-{event.hex[16:]}-01"
    assert traceparent.format_context(traceparent.root_context(event, 0.0)).endswith("-00")


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_sampled_fraction_is_right_for_all_kinds_of_ids(ratio: float) -> None:
    """It is right even for time-ordered ids of one millisecond, because their constant bits are not used."""
    count = 4000
    kinds: list[list[UUID]] = [
        [new_id() for _ in range(count)],
        [event_id("orders", str(number)) for number in range(count)],
        [execution_id(event_id("orders", "1"), str(number)) for number in range(count)],
    ]
    for ids in kinds:
        sampled = sum(traceparent.is_sampled(one.int, ratio) for one in ids)
        assert sampled == pytest.approx(count * ratio, abs=count * 0.05 if 0 < ratio < 1 else 0)
