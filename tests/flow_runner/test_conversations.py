"""A conversation and its executions: replies, error flows, replays, and cancellations that race with a wait."""

import asyncio
import uuid
from typing import Any

import pytest

from filas.contract.identity import error_execution_id
from filas.contract.jobs import FlowJob
from filas.errors import PermanentError, RetryLater, StoreUnavailable
from flow_runner.engine.compiled_flow import CompiledFlow
from flow_runner.engine.execution_state import decode
from flow_runner.jobs.flow_job import RunFlow
from flow_runner.stores.execution_store import Executions
from tests.captured_logs import captured_logs
from tests.flow_runner.harness import Harness, Response, chain, compiled_flow, flow, node, path, step
from tests.flow_runner.memory import Row
from tests.flow_runner.test_jobs import CONTEXT

WAIT = node("wait", "delay", ms=60_000, endOnReply=True)
SAID = node("said", "message", text="you said {{ conversation.text }}")
CALL = node("call", "api", url="https://crm.example")


class OneFlow:
    """The same compiled flow for every id."""

    def __init__(self, compiled: CompiledFlow) -> None:
        self.compiled = compiled

    async def get(self, _flow_id: str, _version: int) -> CompiledFlow:
        await asyncio.sleep(0)
        return self.compiled


def running(harness: Harness, definition: dict[str, Any]) -> RunFlow:
    """The job function over the harness's store."""
    flows: Any = OneFlow(compiled_flow(definition))
    return RunFlow(harness.executions, flows, harness.engine, harness.clock, lambda: False)


def job(row: Row, **more: Any) -> FlowJob:
    return FlowJob(execution_id=row.id, turn=more.pop("turn", row.turn), flow_id="flow", **more)


def texts(harness: Harness) -> list[str]:
    return [one.payload["text"] for one in harness.rows.notifications.values()]


async def test_a_reply_ends_a_delay_early() -> None:
    """The reply's own execution runs nothing: the waiting execution continues with the reply's text."""
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


async def test_without_a_reply_the_delay_ends_at_its_time() -> None:
    harness = Harness()
    row = await harness.run(chain(WAIT, SAID), text="hello")
    assert (texts(harness), step(row, "wait").output["endedBy"]) == (["you said hello"], "time")


async def test_a_delay_without_end_on_reply_ignores_replies() -> None:
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


async def test_a_reply_at_the_end_of_the_delay_is_not_lost() -> None:
    """The timer has queued the execution, and the reply's job runs first: the reply counts."""
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


async def test_a_killed_worker_loses_neither_reply_nor_execution() -> None:
    """The reply's job is claimed again and runs the resumed execution with the same reply."""
    harness = Harness()
    definition = chain(WAIT, CALL, SAID)
    run = running(harness, definition)
    first = harness.rows.add(text="hello")
    await run(CONTEXT, job(first))
    reply = harness.rows.add(text="yes")
    harness.outbound.hold()
    killed = asyncio.create_task(run(CONTEXT, job(reply)))
    await harness.outbound.called()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    harness.crash(first)
    harness.outbound.respond = lambda _: Response()
    assert await run(CONTEXT, job(reply)) == {"status": "succeeded"}
    assert (texts(harness), path(first)) == (["you said yes"], ["start", "wait", "call", "said"])


async def test_a_reply_outlives_the_run_that_it_started() -> None:
    """It is saved with the state: the process stops before the first node, and another run continues with the reply."""
    harness = Harness()
    compiled = compiled_flow(chain(WAIT, SAID))
    first = harness.rows.add(text="hello")
    await harness.run_once(first, compiled)
    reply = harness.rows.add(text="yes")
    assert await harness.run_once(reply, compiled, stopping=lambda: True) == "queued"
    assert first.reply is None
    assert await harness.run_once(reply, compiled) == "succeeded"
    assert texts(harness) == ["you said yes"]


# ---- one run, one job -----------------------------------------------------------------------------


async def test_a_retried_node_keeps_its_job_and_its_place_in_the_group() -> None:
    """The job is requeued until the next attempt of the node is due, without using an attempt of its own."""
    harness = Harness()
    answers = iter([503, 200])
    harness.outbound.respond = lambda _: Response(next(answers))
    retry = {"maxAttempts": 2, "delayMs": 2000, "jitter": "none"}
    run = running(harness, chain(node("call", "api", url="https://crm.example", retry=retry), SAID))
    row = harness.rows.add()
    with pytest.raises(RetryLater) as later:
        await run(CONTEXT, job(row))
    assert (later.value.delay_s, later.value.uses_attempt, row.status, row.turn) == (2.0, False, "retrying", 1)
    with pytest.raises(RetryLater) as early:
        await run(CONTEXT, job(row))
    assert (early.value.uses_attempt, len(harness.outbound.calls)) == (False, 1)
    harness.clock.advance(2)
    assert await run(CONTEXT, job(row)) == {"status": "succeeded"}


async def test_a_cancellation_at_the_start_of_a_wait_ends_the_execution_in_its_own_job() -> None:
    """The checkpoint reports the requested cancellation, so the job is retried at once. No other job is needed."""
    harness = Harness()
    run = running(harness, chain(CALL, WAIT, SAID))
    row = harness.rows.add()
    release = harness.outbound.hold()
    task = asyncio.create_task(run(CONTEXT, job(row)))
    await harness.outbound.called()
    assert await run(CONTEXT, job(row, turn=0, reason="cancel")) == {"status": "nothing-to-do"}
    release.set()
    with pytest.raises(RetryLater) as later:
        await task
    assert (later.value.delay_s, later.value.uses_attempt) == (0.0, False)
    assert await run(CONTEXT, job(row, turn=1)) == {"status": "cancelled"}
    assert (harness.rows.notifications, step(row, "wait").status) == ({}, "cancelled")


async def test_an_interrupted_run_releases_its_lease() -> None:
    """The queue interrupts its jobs, for example after Redis was emptied. The next renewal ends the lease in
    Postgres."""
    harness = Harness()
    run = running(harness, chain(CALL))
    row = harness.rows.add()
    harness.outbound.hold()
    task = asyncio.create_task(run(CONTEXT, job(row)))
    await harness.outbound.called()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(RetryLater):
        await harness.executions.claim(row.id, 1)
    await harness.executions.renew_once()
    claimed = await harness.executions.claim(row.id, 1)
    assert claimed is not None
    assert claimed.status_before == "running"


class UnavailableOutbox:
    """Redis is unavailable for the jobs of a checkpoint, and then available again."""

    def __init__(self) -> None:
        self.enqueued_again: list[Any] = []

    async def enqueue(self, written: list[Any]) -> bool:
        await asyncio.sleep(0)
        return not written

    async def enqueue_runs(self, due: object) -> None:
        await asyncio.sleep(0)

    async def enqueue_notifications(self, notifications: Any) -> None:
        await asyncio.sleep(0)
        self.enqueued_again += [one.id for one in notifications]


async def test_a_job_ends_only_after_the_jobs_of_its_messages_are_enqueued() -> None:
    """The job is requeued without using an attempt. In its next run, the execution has ended, and the missing jobs
    are enqueued before the conversation's next message is processed."""
    harness, outbox = Harness(), UnavailableOutbox()
    harness.executions = Executions(harness.rows, "w1", outbox)
    harness.engine = harness.new_engine()
    run = running(harness, chain(SAID))
    row = harness.rows.add()
    with pytest.raises(StoreUnavailable):
        await run(CONTEXT, job(row))
    assert row.status == "succeeded"
    assert await run(CONTEXT, job(row)) == {"status": "nothing-to-do"}
    assert outbox.enqueued_again == list(harness.rows.notifications)


# ---- error flows -----------------------------------------------------------------------------------


async def test_a_failed_execution_starts_its_error_flow_once() -> None:
    """The error flow runs in the same conversation and receives the error. Its own failure starts no further flow."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(404)
    report = node("report", "message", text="{{ webhook.body.error.kind }} at {{ webhook.body.error.nodeId }}")
    compiled = compiled_flow(chain(CALL, settings={"errorFlowId": "sorry"}))
    row = await harness.finish(harness.rows.add(), compiled)
    [started] = [one for one in harness.rows.rows.values() if one.id != row.id]
    assert (started.id, started.contact, started.node_id) == (error_execution_id(row.id), row.contact, "")
    sorry = chain(report, CALL, settings={"errorFlowId": "sorry"})
    await harness.finish(started, compiled_flow(sorry))
    assert (started.status, texts(harness), len(harness.rows.rows)) == ("failed", ["http-status at call"], 2)


async def test_an_error_flow_that_is_not_published_is_logged() -> None:
    """Its job finds no execution. The log names the flow."""
    harness = Harness()
    run = running(harness, chain(SAID))
    absent = FlowJob(execution_id=uuid.uuid4(), turn=1, flow_id="sorry", reason="error")
    with captured_logs() as logs:
        assert await run(CONTEXT, absent) == {"status": "nothing-to-do"}
    assert [(line["event"], line["flow_id"]) for line in logs] == [("error_flow.not_published", "sorry")]


async def test_a_timed_out_execution_starts_its_error_flow_and_a_cancelled_one_does_not() -> None:
    harness = Harness()
    settings = {"errorFlowId": "sorry", "timeoutMs": 1000}
    late = await harness.run(chain(WAIT, settings=settings))
    assert (late.status, len(harness.rows.rows)) == ("timed-out", 2)
    cancelled = harness.rows.add()
    cancelled.cancel_requested = True
    await harness.run_once(cancelled, compiled_flow(chain(WAIT, settings=settings)))
    assert (cancelled.status, len(harness.rows.rows)) == ("cancelled", 3)


# ---- replay ----------------------------------------------------------------------------------------


def replay_of(harness: Harness, row: Row) -> Row:
    """The row that the repository writes for a replay from the failed step."""
    again = harness.rows.add(channel=row.channel, contact=row.contact)
    again.start_state, again.trigger, again.carries_message = row.state, row.trigger, False
    return again


async def test_a_replay_starts_at_the_failed_step_with_its_variables() -> None:
    """Steps that succeeded are not repeated."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(500)
    name = node("name", "set-variable", assignments=[{"variable": "who", "value": "Ana"}])
    said = node("said", "message", text="{{ vars.who }}")
    compiled = compiled_flow(chain(name, CALL, said, variables=[{"name": "who"}]))
    row = await harness.finish(harness.rows.add(), compiled)
    assert row.status == "failed"
    harness.outbound.respond = lambda _: Response()
    again = await harness.finish(replay_of(harness, row), compiled)
    assert (again.status, path(again), texts(harness)) == ("succeeded", ["call", "said"], ["Ana"])
    assert min(again.steps) == 1


async def test_a_replay_counts_visits_from_zero() -> None:
    """A cycle that a bound stopped runs as often again."""
    harness = Harness()
    definition = flow(
        node("a", "delay", ms=1000), SAID, edges="start>a a>said said>a", settings={"maxVisitsPerNode": 2}
    )
    row = await harness.run(definition)
    assert (row.status, len(texts(harness))) == ("failed", 2)
    again = await harness.finish(replay_of(harness, row), compiled_flow(definition))
    assert (again.status, path(again)[:2], len(texts(harness))) == ("failed", ["a", "said"], 4)


async def test_a_timed_out_wait_is_replayed_from_the_wait() -> None:
    harness = Harness()
    row = await harness.run(chain(WAIT, SAID, settings={"timeoutMs": 1000}))
    again = await harness.finish(replay_of(harness, row), compiled_flow(chain(WAIT, SAID)))
    assert (again.status, path(again)) == ("succeeded", ["wait", "said"])


async def test_an_execution_that_succeeded_keeps_no_state() -> None:
    harness = Harness()
    assert (await harness.run(chain(SAID))).state is None
    harness.outbound.respond = lambda _: Response(500)
    failed = await harness.run(chain(CALL))
    assert failed.state is not None
    assert decode(failed.state).pending is not None


async def test_a_state_that_another_version_cannot_continue_is_permanent() -> None:
    """A replay in the newest version, which lacks the failed node, becomes a dead letter whose error names the node."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(500)
    row = await harness.run(chain(CALL))
    with pytest.raises(PermanentError, match="has no node call"):
        await harness.run_once(replay_of(harness, row), compiled_flow(chain(SAID)))


async def test_a_flow_reads_the_whole_message() -> None:
    """Every field is there, null where the message has none. `raw` is the provider's original."""
    harness = Harness()
    shown = node("shown", "message", text="{{ conversation.message.media.mimeType }} {{ conversation.message.raw.a }}")
    run = running(harness, chain(shown, node("end", "end", output={"message": "{{ conversation.message }}"})))
    medium = {"id": "M", "url": None, "mimeType": "image/png", "filename": None, "caption": None, "size": 3}
    message = {"id": "m1", "kind": "image", "media": medium, "rawPath": ["messages", 0]}
    row = harness.rows.add(text=None, webhook={"body": {"messages": [{"a": 1}]}}, message=message)
    await run(CONTEXT, job(row))
    assert texts(harness) == ["image/png 1"]
    nulls = dict.fromkeys(("text", "data", "replyTo", "sentAt", "thread"))
    assert row.output == {"message": {"id": "m1", "kind": "image", "media": medium, **nulls, "raw": {"a": 1}}}


async def test_an_answer_is_in_the_thread_of_the_last_message() -> None:
    """Of the message that started the flow, and then of the reply. A message to another recipient has no thread."""
    harness = Harness()
    elsewhere = node("elsewhere", "message", text="to another", to="someone-else")
    run = running(harness, chain(node("first", "message", text="first"), WAIT, SAID, elsewhere))
    first = harness.rows.add(text="hello", message={"thread": {"threadTs": "1"}})
    await run(CONTEXT, job(first))
    await run(CONTEXT, job(harness.rows.add(text="yes", message={"thread": {"threadTs": "2"}})))
    threads = {one.payload["text"]: one.payload.get("thread") for one in harness.rows.notifications.values()}
    assert threads == {"first": {"threadTs": "1"}, "you said yes": {"threadTs": "2"}, "to another": None}
