"""An execution is bounded in steps, visits, time and size, and a run is bounded in time."""

import pytest

from tests.flow_runner.harness import Call, Harness, Response, chain, compiled_flow, flow, node, step

HI = node("hi", "message", text="Olá {{ conversation.text }}!")
CALL = node("call", "api", method="POST", url="https://crm.example/contacts", body={"a": "{{ webhook.body.text }}"})


async def test_a_cycle_without_end_is_stopped_and_named() -> None:
    """A loop with a delay passes the checks of publishing. The bound on visits ends it."""
    harness = Harness()
    definition = flow(
        node("a", "delay", ms=1000),
        node("b", "message", text="x"),
        edges="start>a a>b b>a",
        settings={"maxVisitsPerNode": 5},
    )
    row = await harness.run(definition)
    assert row.error is not None
    assert (row.status, row.error.kind, row.error.detail) == ("failed", "limit", {"cycle": ["a", "b", "a"]})
    assert len(harness.rows.notifications) == 5


async def test_steps_are_bounded() -> None:
    harness = Harness()
    definition = flow(node("a", "delay", ms=0 + 1), edges="start>a a>a", settings={"maxSteps": 7})
    row = await harness.run(definition)
    assert row.error is not None
    assert (row.status, row.error.kind, len(row.steps)) == ("failed", "limit", 7)


async def test_a_waiting_execution_times_out() -> None:
    """A delay beyond the time-out ends at the time-out, and its step is cancelled."""
    harness = Harness()
    row = await harness.run(chain(node("wait", "delay", ms=3_600_000), settings={"timeoutMs": 1000}))
    assert (row.status, step(row, "wait").status) == ("timed-out", "cancelled")
    assert harness.clock.seconds <= 2


async def test_a_run_ends_before_its_job_times_out() -> None:
    """After 45 s the execution saves its state and is queued. The next run continues it and repeats nothing."""
    harness = Harness()

    def slow(_: Call) -> Response:
        harness.clock.advance(9.0)
        return Response()

    harness.outbound.respond = slow
    many = compiled_flow(chain(*(CALL | {"id": f"c{number}"} for number in range(7))))
    row = harness.rows.add()
    assert await harness.run_once(row, many) == "queued"
    assert len(harness.outbound.calls) == 5
    assert await harness.run_once(row, many) == "succeeded"
    assert len(harness.outbound.calls) == 7


@pytest.mark.parametrize(("timeout_ms", "ended"), [(29_000, "succeeded"), (30_000, "queued")])
async def test_a_call_that_may_last_too_long_is_left_to_the_next_run(timeout_ms: int, ended: str) -> None:
    """A call must end before second 57, because its job ends after 60 s. The first call ends in second 27."""
    harness = Harness()

    def slow(_: Call) -> Response:
        harness.clock.advance(27.0)
        return Response()

    harness.outbound.respond = slow
    compiled = compiled_flow(chain(CALL, node("second", "api", **CALL["data"] | {"timeoutMs": timeout_ms})))
    row = harness.rows.add()
    assert await harness.run_once(row, compiled) == ended
    assert len(harness.outbound.calls) == (2 if ended == "succeeded" else 1)
    if ended == "queued":
        assert await harness.run_once(row, compiled) == "succeeded"
    assert (row.status, len(harness.outbound.calls)) == ("succeeded", 2)


async def test_a_stopping_process_leaves_its_executions_to_another_run() -> None:
    harness = Harness()
    compiled = compiled_flow(chain(HI, CALL))
    row = harness.rows.add()
    assert await harness.run_once(row, compiled, stopping=lambda: True) == "queued"
    assert (harness.outbound.calls, row.turn) == ([], 1)
    await harness.finish(row, compiled)
    assert row.status == "succeeded"


async def test_a_state_that_is_too_large_ends_the_execution() -> None:
    harness = Harness()
    big = "x" * 200_000
    grow = [
        node(f"s{number}", "set-variable", assignments=[{"variable": f"v{number}", "value": "{{ webhook.body.big }}"}])
        for number in range(6)
    ]
    variables = [{"name": f"v{number}"} for number in range(6)]
    definition = chain(*grow, node("wait", "delay", ms=1000), variables=variables)
    row = await harness.run(definition, webhook={"body": {"big": big}, "headers": {}, "queryParams": {}})
    assert row.error is not None
    assert (row.status, row.error.kind) == ("failed", "limit")
