"""`webhook` in mode wait: an execution waits until its address is called, once."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.flow_runner.harness import Harness, compiled_flow, flow, node, path, step
from tests.flow_runner.memory import Row

ENDS = [
    node(name, "end", output={"by": name, "got": "{{ nodes.ok.output.body.answer | default: 0 }}"})
    for name in ("yes", "late")
]
WAITING = flow(
    node("ask", "api", method="POST", url="https://crm.example/", body={"call": "{{ execution.resumeUrls.ok }}"}),
    node("ok", "webhook", mode="wait", timeoutMs=60_000),
    *ENDS,
    edges="start>ask ask>ok ok.out>yes ok.timeout>late",
)


def call(harness: Harness, callback: UUID | None, answer: Any) -> None:
    """What ingest does with a callback: the first one of an address counts."""
    assert callback is not None
    body = {"body": {"answer": answer}, "headers": {"authorization": "Bearer hunter22"}, "queryParams": {}}
    harness.rows.callbacks.setdefault(callback, msgspec.json.encode(body).decode())


async def waiting(harness: Harness, definition: dict[str, Any] = WAITING) -> Row:
    row = harness.rows.add()
    assert await harness.run_once(row, compiled_flow(definition)) == "waiting-callback"
    return row


async def test_the_address_is_known_before_the_wait() -> None:
    harness = Harness()
    row = await waiting(harness)
    shown = harness.outbound.calls[0].json["call"]
    assert shown == f"https://filas.example/resume/{row.id}.{row.awaits_callback}"
    assert step(row, "ok").input == {"mode": "wait", "url": shown}


async def test_a_callback_ends_the_wait_with_its_content() -> None:
    """Its credentials are in no trace."""
    harness = Harness()
    row = await waiting(harness)
    call(harness, row.awaits_callback, 7)
    assert await harness.run_once(row, compiled_flow(WAITING)) == "succeeded"
    assert row.output == {"by": "yes", "got": 7}
    assert "hunter22" not in str(row.steps)
    assert step(row, "ok").output["body"] == {"answer": 7}


async def test_without_a_callback_it_leaves_by_timeout_and_closes_the_address() -> None:
    harness = Harness()
    row = await waiting(harness)
    callback = row.awaits_callback
    harness.clock.advance(59)
    assert await harness.run_once(row, compiled_flow(WAITING)) is None
    harness.clock.advance(2)
    assert await harness.run_once(row, compiled_flow(WAITING)) == "succeeded"
    assert row.output == {"by": "late", "got": 0}
    assert harness.rows.callbacks == {callback: None}


async def test_a_callback_at_the_moment_of_the_timeout_counts() -> None:
    harness = Harness()
    row = await waiting(harness)
    harness.clock.advance(61)
    call(harness, row.awaits_callback, 8)
    await harness.run_once(row, compiled_flow(WAITING))
    assert row.output == {"by": "yes", "got": 8}


async def test_a_run_that_stops_before_the_node_continues_keeps_the_callback() -> None:
    harness = Harness()
    row = await waiting(harness)
    call(harness, row.awaits_callback, 9)
    assert await harness.run_once(row, compiled_flow(WAITING), stopping=lambda: True) == "queued"
    await harness.run_once(row, compiled_flow(WAITING))
    assert row.output == {"by": "yes", "got": 9}


async def test_each_wait_of_a_loop_has_an_address_of_its_own() -> None:
    definition = flow(
        node("each", "loop", items="{{ 'a,b' | split: ',' }}"),
        node("ok", "webhook", mode="wait"),
        edges="start>each each.loop>ok",
    )
    harness = Harness()
    row = await waiting(harness, definition)
    first = row.awaits_callback
    call(harness, first, 1)
    assert await harness.run_once(row, compiled_flow(definition)) == "waiting-callback"
    assert row.awaits_callback not in (None, first)
    call(harness, row.awaits_callback, 2)
    await harness.run_once(row, compiled_flow(definition))
    assert (row.status, path(row).count("ok")) == ("succeeded", 2)


async def test_a_subflow_may_wait_for_a_callback() -> None:
    """Its address differs from that of a node with the same id in the calling flow."""
    harness = Harness()
    harness.flows.publish("inner", WAITING)
    outer = flow(node("sub", "subflow", flowId="inner"), node("ok", "webhook", mode="wait"), edges="start>sub sub>ok")
    row = await waiting(harness, outer)
    inner = row.awaits_callback
    call(harness, inner, 1)
    assert await harness.run_once(row, compiled_flow(outer)) == "waiting-callback"
    assert row.awaits_callback != inner
    assert step(row, "sub").output == {"by": "yes", "got": 1}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_killed_worker_loses_no_callback(when: str) -> None:
    harness = Harness()
    row = await waiting(harness)
    call(harness, row.awaits_callback, 5)
    real = harness.rows.checkpoint_many

    async def killed(checkpoints: Any) -> Any:
        if when == "after":
            await real(checkpoints)
        raise SystemError("killed")

    harness.rows.checkpoint_many = killed  # type: ignore[method-assign]
    with pytest.raises(SystemError):
        await harness.run_once(row, compiled_flow(WAITING))
    harness.rows.checkpoint_many = real  # type: ignore[method-assign]
    harness.clock.advance(60)
    await harness.run_once(row, compiled_flow(WAITING))
    assert (row.status, row.output) == ("succeeded", {"by": "yes", "got": 5})


async def test_a_cancelled_wait_closes_its_address() -> None:
    harness = Harness()
    row = await waiting(harness)
    callback = row.awaits_callback
    await harness.executions.request_cancel(row.id)
    await harness.run_once(row, compiled_flow(WAITING))
    assert (row.status, step(row, "ok").status, harness.rows.callbacks) == ("cancelled", "cancelled", {callback: None})
