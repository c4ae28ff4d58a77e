"""W3C's `traceparent`, and the trace that an event gives its name to."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.identity import event_id, execution_id, new_id
from filas.tracing import traceparent
from filas.tracing.traceparent import Position

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
READ = Position(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (f"00-{TRACE}-{SPAN}-01", READ),
        (f"00-{TRACE}-{SPAN}-00", READ._replace(sampled=False)),
        (f"00-{TRACE}-{SPAN}-03", READ),
        (f"cc-{TRACE}-{SPAN}-01", READ),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", READ),
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
def test_what_is_read(text: object, position: Position | None) -> None:
    """The examples of W3C's recommendation; anything else is nobody's."""
    assert traceparent.read(text) == position


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    traceparent.read(text)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_reads_the_same(trace_id: int, span_id: int, sampled: bool) -> None:
    position = Position(trace_id, span_id, sampled)
    assert traceparent.read(traceparent.write(position)) == position


def test_a_trace_is_named_after_its_event() -> None:
    """Who knows the event knows the trace, without asking anybody."""
    event = new_id()
    written = traceparent.write(traceparent.first_of(event, 1.0))
    assert written == f"00-{event.hex}-{event.hex[16:]}-01"
    assert traceparent.write(traceparent.first_of(event, 0.0)).endswith("-00")


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_share_is_kept_for_ids_of_every_kind(ratio: float) -> None:
    """Time-ordered ids of one millisecond too: the bits that are the same in all of them decide nothing."""
    count = 4000
    kinds: list[list[UUID]] = [
        [new_id() for _ in range(count)],
        [event_id("orders", str(number)) for number in range(count)],
        [execution_id(event_id("orders", "1"), str(number)) for number in range(count)],
    ]
    for ids in kinds:
        sampled = sum(traceparent.is_sampled(one.int, ratio) for one in ids)
        assert sampled == pytest.approx(count * ratio, abs=count * 0.05 if 0 < ratio < 1 else 0)
