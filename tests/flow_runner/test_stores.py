"""The store in memory and the repository behave alike, so the engine's tests apply to the real repository."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.errors import RetryLater, StoreUnavailable
from filas.models.executions import (
    Checkpoint,
    ClaimedExecution,
    ExecutionStatus,
    FollowingExecution,
    NewExecution,
    StepRecord,
    StepStatus,
)
from filas.repository.callbacks import CallbackRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from flow_runner.stores.execution_store import ExecutionRows
from flow_runner.stores.wall_clock import WallClock
from tests.flow_runner.harness import Harness, chain, compiled_flow, node
from tests.flow_runner.memory import MemoryRows
from tests.shared.repository import builders
from tests.waiting import PATIENCE_S, eventually

LONG_S = 30.0
SHORT_S = 0.05


@dataclass
class Store:
    """Rows, and a function that adds an execution to them."""

    rows: ExecutionRows
    add: Callable[[], Awaitable[UUID]]
    call: Callable[[UUID, UUID, str], Awaitable[object]]

    async def claim(self, execution: UUID, turn: int = 1, lease_s: float = LONG_S) -> ClaimedExecution | None:
        [answer] = await self.rows.claim_many([(execution, turn)], "worker", lease_s)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def claimed(self, execution: UUID, turn: int = 1, lease_s: float = LONG_S) -> ClaimedExecution:
        answer = await self.claim(execution, turn, lease_s)
        assert answer is not None
        return answer

    async def write(self, claimed: ClaimedExecution, status: ExecutionStatus, **more: Any) -> Any:
        checkpoint = Checkpoint(
            execution_id=claimed.id,
            fence=claimed.fence,
            status=status,
            **{"state": None, "steps": [], "notifications": []} | more,
        )
        [kept] = await self.rows.checkpoint_many([checkpoint])
        return kept


def _step(status: StepStatus) -> StepRecord:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    return StepRecord(
        seq=1,
        node_id="n",
        type="api",
        status=status,
        attempt=1,
        handle=None,
        input={"a": 1},
        output=None,
        error=None,
        started_at=start,
        ended_at=None if status == "running" else start,
    )


async def _memory() -> AsyncIterator[Store]:
    rows = MemoryRows(WallClock())

    async def add() -> UUID:
        return rows.add().id

    async def call(callback: UUID, _execution: UUID, payload: str) -> object:
        await asyncio.sleep(0)
        return rows.callbacks.setdefault(callback, payload)

    yield Store(rows, add, call)


async def _postgres(dsn: str) -> AsyncIterator[Store]:
    database = Database(dsn, application_name="test")
    database.start()
    await database.wait_ready(PATIENCE_S)
    rows = ExecutionRepository(database)
    await FlowRepository(database).store("flow", chain(node("d", "delay", ms=1)), "flow", publish=True)

    async def add() -> UUID:
        event, execution = uuid.uuid4(), uuid.uuid4()
        trigger = msgspec.json.encode({"webhook": {"body": {}, "headers": {}, "queryParams": {}}, "message": None})
        new = NewExecution(
            id=execution,
            event_id=event,
            flow_id="flow",
            node_id="start",
            channel="demo",
            contact="55119",
            trigger=trigger.decode(),
        )
        [[due]] = await rows.start_many([(event, [new])])  # type: ignore[misc]
        return due.id

    yield Store(rows, add, CallbackRepository(database).receive)
    await database.close()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.starts_processes)])
def address(request: pytest.FixtureRequest) -> str | None:
    """The address of the store; None: in memory."""
    return None if request.param == "memory" else request.getfixturevalue("postgres_dsn")


@pytest.fixture
async def store(address: str | None) -> AsyncIterator[Store]:
    """Each store in turn."""
    async for each in _memory() if address is None else _postgres(address):
        yield each


async def test_a_run_is_claimed_once(store: Store) -> None:
    """The second claim raises RetryLater, which uses no attempt of its job."""
    execution = await store.add()
    claimed = await store.claimed(execution)
    assert (claimed.state, claimed.status_before, claimed.turn) == (None, "queued", 1)
    with pytest.raises(RetryLater) as refused:
        await store.claim(execution)
    assert refused.value.uses_attempt is False


async def test_another_run_number_is_not_claimed(store: Store) -> None:
    execution = await store.add()
    assert await store.claim(execution, turn=2) is None
    assert await store.claim(uuid.uuid4()) is None


async def test_an_expired_lease_is_claimed_with_a_greater_fence(store: Store) -> None:
    """The dead worker's write is rejected from then on."""
    execution = await store.add()
    first = await store.claimed(execution, lease_s=SHORT_S)

    async def again() -> ClaimedExecution | None:
        try:
            return await store.claim(execution)
        except RetryLater:
            return None

    second = await eventually(again)
    assert second is not None
    assert (second.fence > first.fence, second.status_before) == (True, "running")
    assert await store.write(first, "succeeded", steps=[_step("running")]) is None
    assert await store.write(second, "running", state='{"a":1}') == "running"


async def test_a_renewed_lease_is_kept(store: Store) -> None:
    """Renewal returns the leases that are still held. A lease with an older fence is not."""
    execution, other = await store.add(), await store.add()
    claimed, second = await store.claimed(execution), await store.claimed(other)
    held = [(claimed.id, claimed.fence), (second.id, second.fence + 1)]
    assert await store.rows.renew(held, LONG_S) == {claimed.id}
    assert await store.rows.cancel_requested([claimed.id]) == set()


async def test_a_waiting_execution_is_claimed_for_its_next_run_when_it_is_due(store: Store) -> None:
    execution = await store.add()
    claimed = await store.claimed(execution)
    wake_at = datetime.now(UTC) + timedelta(seconds=2)
    assert await store.write(claimed, "waiting-timer", state='{"at":"d"}', wake_at=wake_at) == "waiting-timer"
    assert await store.claim(execution, turn=1) is None
    assert await store.claim(execution, turn=2) is None, "not due yet"
    again = await eventually(lambda: store.claim(execution, turn=2))
    assert again is not None
    assert msgspec.json.decode(again.state or "") == {"at": "d"}


async def test_a_continued_execution_keeps_the_number_of_its_run(store: Store) -> None:
    """Its job continues it, and keeps its place in the conversation."""
    execution = await store.add()
    claimed = await store.claimed(execution)
    assert await store.write(claimed, "queued", state="{}") == "queued"
    again = await store.claimed(execution)
    assert (again.started_at, again.status_before, again.state) == (claimed.started_at, "queued", "{}")


async def test_an_attempt_that_is_not_due_makes_its_job_wait(store: Store) -> None:
    """The job keeps its place: the conversation's next message must not overtake it."""
    execution = await store.add()
    wake_at = datetime.now(UTC) + timedelta(seconds=2)
    assert await store.write(await store.claimed(execution), "retrying", state="{}", wake_at=wake_at) == "retrying"
    with pytest.raises(RetryLater) as refused:
        await store.claim(execution)
    assert 0 < refused.value.delay_s <= 2
    assert refused.value.uses_attempt is False

    async def again() -> ClaimedExecution | None:
        try:
            return await store.claim(execution)
        except RetryLater:
            return None

    claimed = await eventually(again)
    assert claimed is not None
    assert (claimed.turn, claimed.status_before) == (1, "retrying")


async def test_a_finished_execution_is_not_claimed_again(store: Store) -> None:
    execution = await store.add()
    claimed = await store.claimed(execution)
    assert await store.write(claimed, "running", state="{}", steps=[_step("running")]) == "running"
    done = {"steps": [_step("succeeded")], "output": {"a": 1}}
    assert await store.write(claimed, "succeeded", **done) == "succeeded"
    assert await store.claim(execution, turn=1) is None
    assert await store.claim(execution, turn=2) is None


async def test_variables_of_a_conversation_reach_its_next_execution(store: Store) -> None:
    first, second = await store.add(), await store.add()
    claimed = await store.claimed(first)
    assert msgspec.json.decode(claimed.conversation_vars or "") == {}
    await store.write(claimed, "succeeded", conversation_vars='{"n":2}')
    assert msgspec.json.decode((await store.claimed(second)).conversation_vars or "") == {"n": 2}


async def test_cancelling_a_waiting_execution_queues_it(store: Store) -> None:
    """Its claim reports the request. An execution that has ended cannot be cancelled."""
    execution = await store.add()
    wake_at = datetime.now(UTC) + timedelta(hours=1)
    await store.write(await store.claimed(execution), "waiting-timer", state="{}", wake_at=wake_at)
    due = await store.rows.request_cancel(execution)
    assert due is not None
    assert (due.status, due.turn) == ("queued", 2)
    claimed = await store.claimed(execution, turn=2)
    assert claimed.cancel_requested is True
    assert await store.rows.cancel_requested([execution]) == {execution}
    await store.write(claimed, "cancelled")
    assert await store.rows.request_cancel(execution) is None


async def test_a_message_resumes_the_execution_that_waits_for_it(store: Store) -> None:
    """It resumes once, however often its job runs. The claim has the reply until the next checkpoint."""
    first = await store.add()
    later = datetime.now(UTC) + timedelta(hours=1)
    claimed = await store.claimed(first)
    assert await store.write(claimed, "waiting-timer", state="{}", wake_at=later, awaits_reply=True) == "waiting-timer"
    reply = await store.add()
    resumed = await store.claimed(reply, lease_s=SHORT_S)
    assert (resumed.id, resumed.turn, resumed.status_before) == (first, 2, "queued")
    assert resumed.reply is not None

    async def again() -> ClaimedExecution | None:
        try:
            return await store.claim(reply)
        except RetryLater:
            return None

    once_more = await eventually(again)
    assert once_more is not None
    assert (once_more.id, once_more.reply, once_more.status_before) == (first, resumed.reply, "running")
    assert await store.write(once_more, "queued", state="{}") == "queued"
    on = await store.claimed(reply)
    assert (on.id, on.reply) == (first, None)
    await store.write(on, "succeeded")
    assert await store.claim(reply) is None


async def test_a_message_does_not_resume_a_wait_without_a_reply(store: Store) -> None:
    """The message starts its own execution."""
    first = await store.add()
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.write(await store.claimed(first), "waiting-timer", state="{}", wake_at=later)
    second = await store.add()
    assert (await store.claimed(second)).id == second


async def test_a_wait_does_not_start_after_a_requested_cancellation(store: Store) -> None:
    """Its checkpoint returns `queued`. The number of the run stays the same, and its claim ends the execution."""
    execution = await store.add()
    claimed = await store.claimed(execution)
    due = await store.rows.request_cancel(execution)
    assert due is not None
    assert due.status == "running"
    later = datetime.now(UTC) + timedelta(hours=1)
    assert await store.write(claimed, "waiting-timer", state="{}", wake_at=later) == "queued"
    assert (await store.claimed(execution)).cancel_requested is True


async def test_an_execution_starts_another_when_it_ends(store: Store) -> None:
    """Once, in the same conversation, and not as a message of it."""
    execution, new = await store.add(), uuid.uuid4()
    claimed = await store.claimed(execution)
    starts = [FollowingExecution(id=new, flow_id="flow", trigger='{"errorOf":"x"}')]
    assert await store.write(claimed, "failed", starts=starts) == "failed"
    started = await store.claimed(new)
    assert (started.contact, started.node_id, started.trigger) == (claimed.contact, "", '{"errorOf":"x"}')
    assert started.conversation_id == claimed.conversation_id


async def test_the_outbox_returns_undelivered_notifications(store: Store) -> None:
    """In the order in which they were written."""
    execution = await store.add()
    claimed = await store.claimed(execution)
    sent = [builders.notification(execution, seq) for seq in (1, 2, 3)]
    await store.write(claimed, "succeeded", notifications=sent)
    assert [one.id for one in await store.rows.unfinished_notifications([execution])] == [one.id for one in sent]
    assert await store.rows.unfinished_notifications([uuid.uuid4()]) == []


async def test_a_failed_execution_is_reopened_with_the_number_of_its_run(store: Store) -> None:
    execution = await store.add()
    await store.write(await store.claimed(execution), "failed")
    assert await store.rows.reopen(execution, 2) is False
    assert await store.rows.reopen(execution, 1) is True
    assert (await store.claimed(execution)).status_before == "queued"


async def test_a_callback_makes_its_execution_claimable(store: Store) -> None:
    """The claim has the callback, also the claim after a crash. The next checkpoint removes it."""
    execution, callback = await store.add(), uuid.uuid4()
    later = datetime.now(UTC) + timedelta(hours=1)
    wait = {"state": "{}", "wake_at": later, "awaits_callback": callback}
    await store.write(await store.claimed(execution), "waiting-callback", **wait)
    assert await store.claim(execution, turn=2) is None
    await store.call(callback, execution, '{"body":1}')
    claimed = await store.claimed(execution, turn=2, lease_s=SHORT_S)
    assert (claimed.call, claimed.status_before) == ('{"body":1}', "waiting-callback")

    async def claimed_again() -> ClaimedExecution | None:
        try:
            return await store.claim(execution, turn=2)
        except RetryLater:
            return None

    again = await eventually(claimed_again)
    assert again.call == '{"body":1}'
    await store.write(again, "queued", state="{}")
    assert (await store.claimed(execution, turn=2)).call is None


async def test_a_callback_before_the_wait_is_kept(store: Store) -> None:
    execution, callback = await store.add(), uuid.uuid4()
    claimed = await store.claimed(execution)
    await store.call(callback, execution, '{"body":1}')
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.write(claimed, "waiting-callback", state="{}", wake_at=later, awaits_callback=callback)
    assert (await store.claimed(execution, turn=2)).call == '{"body":1}'


class CountingRows(MemoryRows):
    """Counts the transactions."""

    transactions = 0

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        self.transactions += 1
        return await super().checkpoint_many(checkpoints)


async def test_concurrent_executions_share_a_transaction() -> None:
    harness = Harness(CountingRows)
    compiled = compiled_flow(chain(node("m", "message", text="x")))
    turns = [harness.run_once(harness.rows.add(), compiled) for _ in range(100)]
    assert set(await asyncio.gather(*turns)) == {"succeeded"}
    assert isinstance(harness.rows, CountingRows)
    assert harness.rows.transactions <= 5
    assert len(harness.rows.notifications) == 100


class UnavailableAtCheckpoints(MemoryRows):
    """Postgres is unavailable for the first writes of checkpoints."""

    failures = 2

    async def checkpoint_many(self, checkpoints: Sequence[Checkpoint]) -> list[ExecutionStatus | None]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("postgres", "connection refused")
        return await super().checkpoint_many(checkpoints)


async def test_a_short_outage_after_a_call_repeats_no_call() -> None:
    """The checkpoint is written again in the same run. If the run failed instead, the next one would call again."""
    harness = Harness(UnavailableAtCheckpoints)
    row = harness.rows.add()
    call = node("call", "api", method="POST", url="https://crm.example/contacts")
    assert await harness.run_once(row, compiled_flow(chain(call))) == "succeeded"
    assert len(harness.outbound.calls) == 1
