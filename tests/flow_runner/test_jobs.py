"""The jobs around the engine: what is enqueued after a checkpoint and by timers, and what a job does."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from filas.contract.group_keys import conversation_group
from filas.contract.job_factories import cancel_execution_job
from filas.contract.jobs import FlowJob, NotificationJob
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS
from filas.errors import (
    LeaseLost,
    NewerVersionRequired,
    PermanentError,
    RetryLater,
    SecretUnreadable,
    StoreUnavailable,
)
from filas.models.configuration import FlowVersion
from filas.models.executions import DueExecution, ExecutionCancel
from filas.queue.job_functions import JobContext
from flow_runner.jobs.due_timers import POLL_S, DueTimers
from flow_runner.jobs.flow_job import RunFlow
from flow_runner.jobs.job_outbox import ExecutionCancelRelay, ExecutionRelay, JobOutbox
from flow_runner.stores.compiled_flow_cache import KEPT, CompiledFlowCache
from flow_runner.stores.flow_secrets import FlowSecrets
from tests.flow_runner.harness import Harness, chain, compiled_flow, node
from tests.waiting import eventually

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONTEXT = JobContext("{flow-processing}:x", "run_flow")
HI = node("hi", "message", text="x")


class Queue:
    """Keeps the enqueued jobs, or is unavailable."""

    def __init__(self) -> None:
        self.jobs: list[NewJob] = []
        self.unavailable = False

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[str]:
        await asyncio.sleep(0)
        if self.unavailable:
            raise StoreUnavailable("redis", "gone")
        self.jobs += jobs
        return ["enqueued"] * len(jobs)


async def _written(definition: dict[str, Any], stopping: Callable[[], bool] = lambda: False) -> tuple[Harness, Queue]:
    """One run of a flow, and the jobs that follow from its checkpoints."""
    harness, queue = Harness(), Queue()
    row = harness.rows.add()
    await harness.run_once(row, compiled_flow(definition), stopping)
    await JobOutbox(queue).enqueue(harness.written)
    return harness, queue


async def test_a_notification_has_a_job_in_the_group_of_its_recipient() -> None:
    harness, queue = await _written(chain(HI, HI | {"id": "hi2"}))
    assert [(job.policy, job.group) for job in queue.jobs] == [(NOTIFICATIONS, "demo:55119")] * 2
    first = next(iter(harness.rows.notifications.values()))
    assert queue.jobs[0].message == NotificationJob(notification_id=first.id, channel_id="demo")
    assert queue.jobs[0].key == str(first.id)


async def test_an_execution_that_waits_or_ends_needs_no_job() -> None:
    for definition in (chain(node("d", "delay", ms=1000)), chain(node("e", "end"))):
        _, queue = await _written(definition)
        assert queue.jobs == []


async def test_jobs_that_cannot_be_enqueued_are_left_to_the_relay() -> None:
    """Redis is unavailable after the transaction: the checkpoint is kept, and nothing is raised."""
    harness, queue = Harness(), Queue()
    queue.unavailable = True
    await harness.run_once(harness.rows.add(), compiled_flow(chain(HI)))
    await JobOutbox(queue).enqueue(harness.written)
    assert queue.jobs == []


def test_without_a_conversation_there_is_no_group() -> None:
    assert conversation_group(None, "a") is None
    assert conversation_group("a", "b") == "a:b"


class Rows:
    """The due executions and the next due time that a test sets."""

    def __init__(self, due: int = 0, next_wake_s: float | None = None) -> None:
        self.pending = [
            DueExecution(
                id=uuid.uuid4(), turn=2, flow_id="f", conversation_id=None, status="queued", channel="c", contact="p"
            )
            for _ in range(due)
        ]
        self.next_wake_s = next_wake_s
        self.unavailable = False

    async def queue_due(self, limit: int) -> list[DueExecution]:
        await asyncio.sleep(0)
        if self.unavailable:
            raise StoreUnavailable("postgres", "gone")
        taken, self.pending = self.pending[:limit], self.pending[limit:]
        return taken

    async def seconds_to_next_wake(self) -> float | None:
        await asyncio.sleep(0)
        return self.next_wake_s

    async def unfinished(self, older_than_s: float, limit: int, after: uuid.UUID | None = None) -> list[DueExecution]:
        await asyncio.sleep(0)
        ids = [row.id for row in self.pending]
        start = ids.index(after) + 1 if after else 0
        return self.pending[start : start + limit]


@pytest.mark.parametrize(
    ("next_wake_s", "sleep_s"),
    [(None, POLL_S), (3600.0, POLL_S), (0.2, 0.2), (0.0, 0.01), (-3600.0, 0.01)],
)
async def test_timers_sleep_until_the_next_due_time_within_bounds(next_wake_s: float | None, sleep_s: float) -> None:
    assert await DueTimers(Rows(3, next_wake_s), Queue()).wake_due() == sleep_s


async def test_every_due_execution_has_its_job() -> None:
    """If there are more than one batch, the next call follows at once."""
    rows, queue = Rows(700), Queue()
    timers = DueTimers(rows, queue)
    assert await timers.wake_due() == 0
    await timers.wake_due()
    assert len({job.key for job in queue.jobs}) == 700
    assert {(job.group, type(job.message)) for job in queue.jobs} == {("c:p", FlowJob)}


async def test_timers_continue_after_an_outage() -> None:
    rows, queue = Rows(1), Queue()
    rows.unavailable = True
    task = asyncio.create_task(DueTimers(rows, queue).run())
    rows.unavailable = False
    await eventually(lambda: len(queue.jobs) == 1)
    task.cancel()


async def test_the_relay_reads_the_rows_page_by_page() -> None:
    rows = Rows(5)
    relay = ExecutionRelay(rows)
    first = await relay.due(3)
    rest = await relay.due(3, first[-1])
    assert [job.key for job in first + rest] == [f"{row.id}:2" for row in rows.pending]


class Flows:
    """One definition for every id, but none for `gone`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int | None]] = []

    async def get(self, flow_id: str, version: int | None = None) -> FlowVersion | None:
        await asyncio.sleep(0)
        self.asked.append((flow_id, version))
        if flow_id == "gone":
            return None
        definition = chain(node("wait", "delay", ms=1000), HI) if flow_id != "old" else {"nodes": [{"type": "x"}]}
        return FlowVersion(
            flow_id=flow_id, version=version or 1, name="", definition=definition, published=True, created_at=NOW
        )


async def test_a_flow_is_compiled_once_and_the_longest_unused_is_removed() -> None:
    flows = Flows()
    cache = CompiledFlowCache(flows)
    assert await cache.get("a", 1) is await cache.get("a", 1)
    for version in range(2, KEPT + 2):
        await cache.get("a", version)
    await cache.get("a", 1)
    assert flows.asked.count(("a", 1)) == 2


async def test_a_version_that_does_not_exist_is_permanent() -> None:
    """It was deleted: the job becomes a dead letter at once."""
    with pytest.raises(PermanentError):
        await CompiledFlowCache(Flows()).get("gone", 1)


async def test_a_version_with_a_node_type_that_is_not_known_is_left_to_a_newer_worker() -> None:
    """A newer version has published it."""
    with pytest.raises(NewerVersionRequired):
        await CompiledFlowCache(Flows()).get("old", 1)


async def test_a_secret_that_cannot_be_read_is_left_out() -> None:
    """The others are present. A change is used after two seconds at most, and a new secret at once by who needs it."""
    harness = Harness()
    sealed = {"good": "a", "bad": "b"}

    class Sealed:
        async def all(self) -> dict[str, str]:
            await asyncio.sleep(0)
            return dict(sealed)

    def reveal(value: str) -> str:
        if value == "b":
            raise SecretUnreadable("no key")
        return value.upper()

    secrets = FlowSecrets(Sealed(), reveal, harness.clock.monotonic)
    assert await secrets.revealed() == {"good": "A"}
    sealed["new"] = "c"
    assert await secrets.revealed() == {"good": "A"}
    harness.clock.advance(2)
    assert await secrets.revealed() == {"good": "A", "new": "C"}
    sealed["newest"] = "d"
    assert await secrets.revealed(["good"]) == {"good": "A", "new": "C"}
    assert await secrets.revealed(["newest", "unknown"]) == {"good": "A", "new": "C", "newest": "D"}


def _job(row: Any, **more: Any) -> FlowJob:
    return FlowJob(execution_id=row.id, turn=more.pop("turn", row.turn), flow_id="flow", **more)


async def test_a_job_runs_the_execution_and_returns_its_status() -> None:
    harness = Harness()
    run_flow = RunFlow(harness.executions, CompiledFlowCache(Flows()), harness.engine, harness.clock, lambda: False)
    row = harness.rows.add()
    assert await run_flow(CONTEXT, _job(row)) == {"status": "waiting-timer"}
    assert await run_flow(CONTEXT, _job(row, turn=1)) == {"status": "nothing-to-do"}
    harness.clock.advance(2)
    assert await run_flow(CONTEXT, _job(row)) == {"status": "succeeded"}


async def test_a_job_whose_execution_was_taken_over_ends_after_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses no attempt. Until the execution's run has ended, the next message of the conversation waits."""
    harness = Harness()
    run_flow = RunFlow(harness.executions, CompiledFlowCache(Flows()), harness.engine, harness.clock, lambda: False)
    row = harness.rows.add()

    async def lose_the_lease(*_: object) -> None:
        await asyncio.sleep(0)
        row.fence += 1
        raise LeaseLost("execution")

    monkeypatch.setattr(harness.engine, "run", lose_the_lease)
    for _ in range(2):
        with pytest.raises(RetryLater) as later:
            await run_flow(CONTEXT, _job(row))
        assert later.value.uses_attempt is False
    row.status = "succeeded"
    assert await run_flow(CONTEXT, _job(row)) == {"status": "nothing-to-do"}


async def test_a_cancellation_ends_a_waiting_execution_at_once() -> None:
    harness = Harness()
    run_flow = RunFlow(harness.executions, CompiledFlowCache(Flows()), harness.engine, harness.clock, lambda: False)
    row = harness.rows.add()
    await run_flow(CONTEXT, _job(row))
    assert await run_flow(CONTEXT, _job(row, reason="cancel")) == {"status": "cancelled"}
    assert await run_flow(CONTEXT, _job(row, reason="cancel")) == {"status": "nothing-to-do"}
    assert harness.rows.notifications == {}


async def test_a_cancellation_ends_a_running_execution_at_its_next_node() -> None:
    """The renewal of the lease reports the requested cancellation to the worker. The next run ends the execution."""
    harness = Harness()
    compiled = compiled_flow(chain(node("a", "api", url="https://a.example"), HI))
    row = harness.rows.add()
    release = harness.outbound.hold()

    async def run() -> str | None:
        return await harness.run_once(row, compiled, lambda: harness.executions.is_cancelling(row.id))

    task = asyncio.create_task(run())
    await harness.outbound.called()
    await harness.executions.request_cancel(row.id)
    await harness.executions.renew_once()
    release.set()
    assert await task == "queued"
    assert await run() == "cancelled"
    assert harness.rows.notifications == {}


async def test_a_replayed_dead_letter_continues_from_the_last_checkpoint() -> None:
    """The execution failed in run 2. The replay does that run again."""
    harness = Harness()
    run_flow = RunFlow(harness.executions, CompiledFlowCache(Flows()), harness.engine, harness.clock, lambda: False)
    row = harness.rows.add()
    await run_flow(CONTEXT, _job(row))
    harness.clock.advance(2)
    row.status = "failed"
    assert await run_flow(CONTEXT, _job(row)) == {"status": "nothing-to-do"}
    assert await run_flow(CONTEXT, _job(row, replay=1)) == {"status": "succeeded"}


async def test_the_relay_repeats_the_commands_of_stored_cancels() -> None:
    """They have the id of the command that the API enqueues, so that an existing command is a duplicate."""
    stored = [ExecutionCancel(execution_id=uuid.UUID(int=number), flow_id="f", event_id=None) for number in range(3)]

    class Stored:
        async def unapplied_executions(
            self, older_than_s: float, limit: int, after: uuid.UUID | None = None
        ) -> list[ExecutionCancel]:
            await asyncio.sleep(0)
            return [one for one in stored if after is None or one.execution_id > after][:limit]

    relay = ExecutionCancelRelay(Stored())
    first = await relay.due(2)
    rest = await relay.due(2, first[-1])
    expected = [cancel_execution_job(one.execution_id, "f", msgspec.UNSET).job_id for one in stored]
    assert [job.job_id for job in (*first, *rest)] == expected
