"""An execution is cancelled in every state: nothing more is done, and the visits in progress end with it."""

from typing import Any

import pytest

from tests.flow_runner.harness import Harness, Response, chain, compiled_flow, node, step

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
async def test_a_waiting_execution_is_cancelled(state: str) -> None:
    """At once, long before the end of the wait. Its step is cancelled too."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(503)
    compiled = compiled_flow(chain(STATES[state], HI))
    row = harness.rows.add()
    assert await harness.run_once(row, compiled) == state
    calls, sent, at = len(harness.outbound.calls), len(harness.rows.notifications), harness.clock.seconds
    assert await harness.executions.request_cancel(row.id) is not None
    assert await harness.run_once(row, compiled) == "cancelled"
    assert (len(harness.outbound.calls), len(harness.rows.notifications)) == (calls, sent)
    assert (step(row, "at").status, harness.clock.seconds) == ("cancelled", at)
    assert await harness.executions.request_cancel(row.id) is None, "it has ended"


async def test_an_execution_is_cancelled_before_its_first_run() -> None:
    harness = Harness()
    row = harness.rows.add()
    assert await harness.executions.request_cancel(row.id) is not None
    assert await harness.run_once(row, compiled_flow(chain(HI))) == "cancelled"
    assert (row.steps, harness.rows.notifications) == ({}, {})
