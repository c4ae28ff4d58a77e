"""A conversation and its executions: replies, error flows, what is replayed and what is cancelled in a race."""

import asyncio
import uuid
from typing import Any

import pytest
import structlog.testing

from filas.contract.identity import error_execution_id
from filas.contract.jobs import FlowJob
from filas.errors import PermanentError, RetryLater, StoreUnavailable
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.execution_state import decode
from flow_runner.jobs.flow_job import RunFlow
from flow_runner.stores.execution_store import Executions
from tests.flow_runner.harness import Answer, Harness, chain, flow, node, path, plan_of, step
from tests.flow_runner.memory import Row
from tests.flow_runner.test_jobs import CONTEXT

WAIT = node("wait", "delay", ms=60_000, endOnReply=True)
SAID = node("said", "message", text="you said {{ conversation.text }}")
CALL = node("call", "api", url="https://crm.example")


class OnePlan:
    """One plan for every flow."""

    def __init__(self, plan: CompiledFlow) -> None:
        self.plan = plan

    async def get(self, _flow_id: str, _version: int) -> CompiledFlow:
        await asyncio.sleep(0)
        return self.plan


def running(harness: Harness, definition: dict[str, Any]) -> RunFlow:
    """The job function over the harness's store."""
    plans: Any = OnePlan(plan_of(definition))
    return RunFlow(harness.executions, plans, harness.engine, harness.clock, lambda: False)


def job(row: Row, **more: Any) -> FlowJob:
    return FlowJob(execution_id=row.id, turn=more.pop("turn", row.turn), flow_id="flow", **more)


def texts(harness: Harness) -> list[str]:
    return [one.payload["text"] for one in harness.rows.notifications.values()]


async def test_a_reply_ends_a_delay_early() -> None:
    """The message runs nothing itself: the execution that waits goes on with its text."""
    harness = Harness()
    run = running(harness, chain(WAIT, SAID))
    first = harness.rows.add(text="hello")
    await run(CONTEXT, job(first))
    reply = harness.rows.add(text="yes")
    harness.clock.advance(5)
    assert await run(CONTEXT, job(reply)) == {"status": "succeeded"}
    assert (first.status, reply.status, reply.resumed, reply.steps) == ("succeeded", "succeeded", (first.id, 2), {})
    assert texts(harness) == ["you said yes"]
    assert step(first, "wait").output["endedBy"] == "reply"


async def test_without_a_reply_the_delay_ends_in_time() -> None:
    harness = Harness()
    row = await harness.run(chain(WAIT, SAID), text="hello")
    assert (texts(harness), step(row, "wait").output["endedBy"]) == (["you said hello"], "time")


async def test_a_delay_that_no_reply_ends_is_left_alone() -> None:
    """The next message of the conversation starts its own execution."""
    harness = Harness()
    run = running(harness, chain(node("wait", "delay", ms=60_000), SAID))
    first, second = harness.rows.add(), harness.rows.add()
    await run(CONTEXT, job(first))
    await run(CONTEXT, job(second))
    assert (first.status, second.status) == ("waiting-timer", "waiting-timer")


async def test_a_reply_belongs_to_its_own_conversation() -> None:
    harness = Harness()
    run = running(harness, chain(WAIT, SAID))
    first, other = harness.rows.add(), harness.rows.add(contact="another")
    await run(CONTEXT, job(first))
    await run(CONTEXT, job(other))
    assert (first.status, other.status, other.resumed) == ("waiting-timer", "waiting-timer", None)


async def test_a_reply_that_comes_as_the_delay_ends_is_not_lost() -> None:
    """The timer has queued the execution, the reply's job comes first: the reply counts."""
    harness = Harness()
    run = running(harness, chain(WAIT, SAID))
    first = harness.rows.add(text="hello")
    await run(CONTEXT, job(first))
    first.status, first.wake_at = "queued", None
    harness.clock.advance(61)
    reply, turn = harness.rows.add(text="yes"), first.turn
    assert await run(CONTEXT, job(reply)) == {"status": "succeeded"}
    assert await run(CONTEXT, job(first, turn=turn, reason="timer")) == {"status": "nothing-to-do"}
    assert texts(harness) == ["you said yes"]


async def test_a_worker_killed_with_a_reply_in_hand_loses_neither() -> None:
    """The reply's job comes back and runs the execution that was resumed, with the same reply."""
    harness = Harness()
    definition = chain(WAIT, CALL, SAID)
    run = running(harness, definition)
    first = harness.rows.add(text="hello")
    await run(CONTEXT, job(first))
    reply = harness.rows.add(text="yes")
    harness.outside.hold()
    killed = asyncio.create_task(run(CONTEXT, job(reply)))
    await harness.outside.called()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    harness.crash(first)
    harness.outside.answer = lambda _: Answer()
    assert await run(CONTEXT, job(reply)) == {"status": "succeeded"}
    assert (texts(harness), path(first)) == (["you said yes"], ["start", "wait", "call", "said"])


async def test_a_reply_outlives_the_turn_that_it_began() -> None:
    """Saved with the position: the process stops before the first node, another one goes on with the reply."""
    harness = Harness()
    plan = plan_of(chain(WAIT, SAID))
    first = harness.rows.add(text="hello")
    await harness.turn(first, plan)
    reply = harness.rows.add(text="yes")
    assert await harness.turn(reply, plan, stopping=lambda: True) == "queued"
    assert first.reply is None
    assert await harness.turn(reply, plan) == "succeeded"
    assert texts(harness) == ["you said yes"]


# ---- one turn, one job -----------------------------------------------------------------------------


async def test_a_node_that_is_tried_again_keeps_its_job_and_its_place() -> None:
    """The job comes back when the try is due; it spends none of its own tries."""
    harness = Harness()
    answers = iter([503, 200])
    harness.outside.answer = lambda _: Answer(next(answers))
    retry = {"maxAttempts": 2, "delayMs": 2000, "jitter": "none"}
    run = running(harness, chain(node("call", "api", url="https://crm.example", retry=retry), SAID))
    row = harness.rows.add()
    with pytest.raises(RetryLater) as later:
        await run(CONTEXT, job(row))
    assert (later.value.delay_s, later.value.uses_attempt, row.status, row.turn) == (2.0, False, "retrying", 1)
    with pytest.raises(RetryLater) as early:
        await run(CONTEXT, job(row))
    assert (early.value.uses_attempt, len(harness.outside.calls)) == (False, 1)
    harness.clock.advance(2)
    assert await run(CONTEXT, job(row)) == {"status": "succeeded"}


async def test_an_execution_cancelled_as_it_begins_to_wait_ends_in_its_own_job() -> None:
    """Nobody has to find it: the checkpoint says that it is to be cancelled, and the job comes back at once."""
    harness = Harness()
    run = running(harness, chain(CALL, WAIT, SAID))
    row = harness.rows.add()
    release = harness.outside.hold()
    task = asyncio.create_task(run(CONTEXT, job(row)))
    await harness.outside.called()
    assert await run(CONTEXT, job(row, turn=0, reason="cancel")) == {"status": "nothing-to-do"}
    release.set()
    with pytest.raises(RetryLater) as later:
        await task
    assert (later.value.delay_s, later.value.uses_attempt) == (0.0, False)
    assert await run(CONTEXT, job(row, turn=1)) == {"status": "cancelled"}
    assert (harness.rows.notifications, step(row, "wait").status) == ({}, "cancelled")


async def test_what_is_interrupted_need_not_wait_for_its_lease() -> None:
    """Redis was emptied, say, and the queue stops what ran: the next renewal ends the lease in Postgres."""
    harness = Harness()
    run = running(harness, chain(CALL))
    row = harness.rows.add()
    harness.outside.hold()
    task = asyncio.create_task(run(CONTEXT, job(row)))
    await harness.outside.called()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(RetryLater):
        await harness.executions.claim(row.id, 1)
    await harness.executions.renew_once()
    claimed = await harness.executions.claim(row.id, 1)
    assert claimed is not None
    assert claimed.status_before == "running"


class AwayOutbox:
    """Redis is away for what a checkpoint calls for, then back."""

    def __init__(self) -> None:
        self.put_again: list[Any] = []

    async def enqueue(self, written: list[Any]) -> bool:
        await asyncio.sleep(0)
        return not written

    async def enqueue_notifications(self, notifications: Any) -> None:
        await asyncio.sleep(0)
        self.put_again += [one.id for one in notifications]


async def test_a_job_is_not_done_before_its_messages_have_their_jobs() -> None:
    """It goes back unspent; when it comes again, the execution has ended, and the jobs are put before the next
    message of the conversation is answered."""
    harness, away = Harness(), AwayOutbox()
    harness.executions = Executions(harness.rows, "w1", away)
    harness.engine = harness.new_engine()
    run = running(harness, chain(SAID))
    row = harness.rows.add()
    with pytest.raises(StoreUnavailable):
        await run(CONTEXT, job(row))
    assert row.status == "succeeded"
    assert await run(CONTEXT, job(row)) == {"status": "nothing-to-do"}
    assert away.put_again == list(harness.rows.notifications)


# ---- error flows -----------------------------------------------------------------------------------


async def test_a_failed_execution_starts_its_error_flow_once() -> None:
    """In its conversation, told what failed; the error flow's own failure starts nothing more."""
    harness = Harness()
    harness.outside.answer = lambda _: Answer(404)
    told = node("told", "message", text="{{ webhook.body.error.kind }} at {{ webhook.body.error.nodeId }}")
    plan = plan_of(chain(CALL, settings={"errorFlowId": "sorry"}))
    row = await harness.finish(harness.rows.add(), plan)
    [started] = [one for one in harness.rows.rows.values() if one.id != row.id]
    assert (started.id, started.contact, started.node_id) == (error_execution_id(row.id), row.contact, "")
    sorry = chain(told, CALL, settings={"errorFlowId": "sorry"})
    await harness.finish(started, plan_of(sorry))
    assert (started.status, texts(harness), len(harness.rows.rows)) == ("failed", ["http-status at call"], 2)


async def test_an_error_flow_that_is_not_published_is_said() -> None:
    """Its job finds no execution; the log names the flow."""
    harness = Harness()
    run = running(harness, chain(SAID))
    absent = FlowJob(execution_id=uuid.uuid4(), turn=1, flow_id="sorry", reason="error")
    with structlog.testing.capture_logs() as logs:
        assert await run(CONTEXT, absent) == {"status": "nothing-to-do"}
    assert [(line["event"], line["flow_id"]) for line in logs] == [("error_flow.not_published", "sorry")]


async def test_a_timed_out_execution_starts_its_error_flow_and_a_cancelled_one_does_not() -> None:
    harness = Harness()
    settings = {"errorFlowId": "sorry", "timeoutMs": 1000}
    late = await harness.run(chain(WAIT, settings=settings))
    assert (late.status, len(harness.rows.rows)) == ("timed-out", 2)
    cancelled = harness.rows.add()
    cancelled.cancel_requested = True
    await harness.turn(cancelled, plan_of(chain(WAIT, settings=settings)))
    assert (cancelled.status, len(harness.rows.rows)) == ("cancelled", 3)


# ---- replay ----------------------------------------------------------------------------------------


def replay_of(harness: Harness, row: Row) -> Row:
    """What the repository makes of a replay from the failed step."""
    again = harness.rows.add(channel=row.channel, contact=row.contact)
    again.start_state, again.trigger, again.carries_message = row.state, row.trigger, False
    return again


async def test_a_replay_begins_at_the_failed_step_with_the_variables_of_then() -> None:
    """Nothing that had succeeded is done again."""
    harness = Harness()
    harness.outside.answer = lambda _: Answer(500)
    name = node("name", "set-variable", assignments=[{"variable": "who", "value": "Ana"}])
    said = node("said", "message", text="{{ vars.who }}")
    plan = plan_of(chain(name, CALL, said, variables=[{"name": "who"}]))
    row = await harness.finish(harness.rows.add(), plan)
    assert row.status == "failed"
    harness.outside.answer = lambda _: Answer()
    again = await harness.finish(replay_of(harness, row), plan)
    assert (again.status, path(again), texts(harness)) == ("succeeded", ["call", "said"], ["Ana"])
    assert min(again.steps) == 1


async def test_a_replay_of_a_bound_counts_anew() -> None:
    """A cycle that was stopped goes round as often again."""
    harness = Harness()
    definition = flow(
        node("a", "delay", ms=1000), SAID, edges="start>a a>said said>a", settings={"maxVisitsPerNode": 2}
    )
    row = await harness.run(definition)
    assert (row.status, len(texts(harness))) == ("failed", 2)
    again = await harness.finish(replay_of(harness, row), plan_of(definition))
    assert (again.status, path(again)[:2], len(texts(harness))) == ("failed", ["a", "said"], 4)


async def test_a_timed_out_wait_is_replayed_from_the_wait() -> None:
    harness = Harness()
    row = await harness.run(chain(WAIT, SAID, settings={"timeoutMs": 1000}))
    again = await harness.finish(replay_of(harness, row), plan_of(chain(WAIT, SAID)))
    assert (again.status, path(again)) == ("succeeded", ["wait", "said"])


async def test_what_succeeded_keeps_no_position() -> None:
    harness = Harness()
    assert (await harness.run(chain(SAID))).state is None
    harness.outside.answer = lambda _: Answer(500)
    failed = await harness.run(chain(CALL))
    assert failed.state is not None
    assert decode(failed.state).pending is not None


async def test_a_position_that_another_version_does_not_know_is_permanent() -> None:
    """The replay in the newest version, where the failed node is gone, is a dead letter that says so."""
    harness = Harness()
    harness.outside.answer = lambda _: Answer(500)
    row = await harness.run(chain(CALL))
    with pytest.raises(PermanentError, match="has no node call"):
        await harness.turn(replay_of(harness, row), plan_of(chain(SAID)))
