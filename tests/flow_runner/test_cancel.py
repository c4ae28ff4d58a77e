"""An execution is cancelled in whatever state it is: nothing more is done, and what was under way ends with it."""

from typing import Any

import pytest

from tests.flow_runner.harness import Answer, Harness, chain, node, plan_of, step

HI = node("hi", "message", text="Olá!")
STATES: dict[str, dict[str, Any]] = {
    "waiting-timer": node("at", "delay", ms=60_000),
    "waiting-input": node("at", "input", prompt="Name?"),
    "waiting-callback": node("at", "webhook", mode="wait"),
    "retrying": node(
        "at", "api", url="https://a.example", retry={"maxAttempts": 3, "delayMs": 60_000, "jitter": "none"}
    ),
}


@pytest.mark.parametrize("state", STATES)
async def test_it_is_cancelled_where_it_waits(state: str) -> None:
    """At once, long before the wait would be over; its step is cancelled, too."""
    harness = Harness()
    harness.outside.answer = lambda _: Answer(503)
    plan = plan_of(chain(STATES[state], HI))
    row = harness.rows.add()
    assert await harness.turn(row, plan) == state
    calls, sent, at = len(harness.outside.calls), len(harness.rows.notifications), harness.clock.seconds
    assert await harness.executions.request_cancel(row.id) is not None
    assert await harness.turn(row, plan) == "cancelled"
    assert (len(harness.outside.calls), len(harness.rows.notifications)) == (calls, sent)
    assert (step(row, "at").status, harness.clock.seconds) == ("cancelled", at)
    assert await harness.executions.request_cancel(row.id) is None, "it has ended"


async def test_it_is_cancelled_before_it_begins() -> None:
    harness = Harness()
    row = harness.rows.add()
    assert await harness.executions.request_cancel(row.id) is not None
    assert await harness.turn(row, plan_of(chain(HI))) == "cancelled"
    assert (row.steps, harness.rows.notifications) == ({}, {})
