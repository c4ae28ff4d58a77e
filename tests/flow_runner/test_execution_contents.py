"""The memory of executions: large states are loaded when there is room, and leave memory when there is none."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from filas.contract.identity import new_id
from filas.memory_budget import MemoryBudget, NoRoom
from filas.models.executions import Checkpoint, ClaimedExecution, NewNotification, StepRecord
from flow_runner.stores import execution_store
from flow_runner.stores.execution_store import ExecutionContents
from flow_runner.stores.wall_clock import WallClock
from tests.flow_runner.memory import MemoryRows
from tests.waiting import eventually

MIB = 2**20


def large(size: int = MIB) -> ClaimedExecution:
    """Returns an execution whose content was left out of the claim."""
    return ClaimedExecution(
        id=new_id(), fence=1, turn=1, flow_id="f", version=1, node_id="n", event_id=None, conversation_id=None,
        channel=None, contact=None, trigger="", state=None, status_before="queued", started_at=datetime.now(UTC),
        deadline_at=None, content_bytes=size, is_loaded=False,
    )  # fmt: skip


class Rows(MemoryRows):
    """Loads contents of the size that the claim stated, and counts those that are in memory."""

    def __init__(self) -> None:
        super().__init__(WallClock())
        self.loads = 0

    async def load(self, claimed: ClaimedExecution) -> ClaimedExecution:
        """Returns the execution with a trigger of plain text."""
        self.loads += 1
        await asyncio.sleep(0)
        return msgspec.structs.replace(claimed, trigger='"' + "x" * claimed.content_bytes + '"', is_loaded=True)


async def test_large_states_are_loaded_when_there_is_room() -> None:
    """Of a hundred executions with a state of 1 MiB, few are in memory at a time. All of them run."""
    memory, rows = MemoryBudget(64 * MIB), Rows()
    contents = ExecutionContents(rows, memory)
    running, most, done = 0, 0, 0

    async def run() -> None:
        nonlocal running, most, done
        async with contents.hold(large()) as loaded:
            assert len(loaded.trigger) > MIB
            running += 1
            most = max(most, running)
            for _ in range(20):
                await asyncio.sleep(0)
            running -= 1
            done += 1

    await asyncio.gather(*(run() for _ in range(100)))
    assert (done, memory.held) == (100, 0)
    assert 2 <= most <= 8


async def test_an_execution_that_finds_no_room_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not loaded, and holds nothing."""
    monkeypatch.setattr(execution_store, "MAX_WAIT_S", 0.01)
    memory, rows = MemoryBudget(8 * MIB), Rows()
    contents = ExecutionContents(rows, memory)
    async with contents.hold(large()):
        held = memory.held
        with pytest.raises(NoRoom):
            async with contents.hold(large()):
                pass
        assert (rows.loads, memory.held) == (1, held)


async def test_a_state_that_grows_leaves_memory() -> None:
    """When the budget is exceeded, large executions end their run at their next node; the first one continues."""
    memory = MemoryBudget(16 * MIB)
    contents = ExecutionContents(Rows(), memory)
    release = asyncio.Event()
    small = [msgspec.structs.replace(large(100), is_loaded=True, trigger="{}") for _ in range(4)]

    async def run(claimed: ClaimedExecution) -> None:
        async with contents.hold(claimed):
            await release.wait()

    tasks = [asyncio.create_task(run(one)) for one in small]
    await eventually(lambda: memory.held > 0)
    assert not any(contents.must_leave(one.id) for one in small)
    for one in small[:3]:
        contents.measure(checkpoint(one.id, state="x" * MIB))
    assert [contents.must_leave(one.id) for one in small] == [False, True, True, False]
    release.set()
    await asyncio.gather(*tasks)
    assert memory.held == 0


def checkpoint(execution_id: UUID, *, state: str | None = None, payload: str = "") -> Checkpoint:
    notifications = [
        NewNotification(
            id=new_id(), execution_id=execution_id, seq=1, channel_id="c", recipient="r", idempotency_key="k",
            payload={"type": "text", "text": payload}, conversation_id=None,
        )
    ] * bool(payload)  # fmt: skip
    steps: list[StepRecord] = []
    return Checkpoint(
        execution_id=execution_id, fence=1, status="running", state=state, steps=steps, notifications=notifications
    )


def test_the_size_of_a_checkpoint_counts_states_and_messages() -> None:
    """A batch of checkpoints is bounded by it."""
    execution_id = new_id()
    assert checkpoint(execution_id, state="x" * MIB).size >= MIB
    assert checkpoint(execution_id, payload="x" * MIB).size >= MIB
    assert checkpoint(execution_id).size < 10_000
