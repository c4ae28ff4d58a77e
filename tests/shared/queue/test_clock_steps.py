"""Clock steps: a process whose clock jumps keeps its leases and its time limits, and reports the times of Redis."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from arq import cron

from filas.contract.jobs import NotificationJob
from filas.queue.job_functions import JobContext
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.waiting import eventually

LEASE_S = 1.0
"""Longer than a loaded machine may delay its renewal."""

STEPS = pytest.mark.parametrize("step_s", [-3600.0, -60.0, 60.0, 3600.0])


class WallClock:
    """The wall clock of this process. `step_s` is added to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step_s = 0.0
        self._time = time.time
        monkeypatch.setattr(time, "time", lambda: self._time() + self.step_s)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """Returns the wall clock of this process, which the test can step."""
    return WallClock(monkeypatch)


async def ended(stats: QueueStats) -> Any:
    counts = await stats.snapshot(QUICK)
    return counts if counts.completed + counts.failed else None


@STEPS
async def test_a_step_neither_interrupts_a_job_nor_lets_another_worker_run_it(
    wall_clock: WallClock,
    producer: QueueProducer,
    start_worker: StartWorker,
    stats: QueueStats,
    letters: Letters,
    connect_more: Callable[[str], Redis],
    step_s: float,
) -> None:
    """The clock jumps by `step_s` before the claim, and back while the job runs for three leases."""

    async def run(_context: JobContext, _message: NotificationJob) -> None:
        wall_clock.step_s = 0.0
        await asyncio.sleep(3 * LEASE_S)

    wall_clock.step_s = step_s
    seen = Recorder(run)
    for number in range(2):
        start_worker([function(seen)], on=connect_more("") if number else None, lease_s=LEASE_S)
    await producer.enqueue(job("a"))
    counts = await eventually(lambda: ended(stats))
    assert (counts.completed, counts.failed, counts.retries, counts.lost_leases) == (1, 0, 0, 0)
    assert [context.attempt for context in seen.contexts] == [1]
    assert letters.stored == []


@STEPS
async def test_a_time_limit_holds_whatever_the_clock_does(
    wall_clock: WallClock, producer: QueueProducer, start_worker: StartWorker, letters: Letters, step_s: float
) -> None:
    """The job is interrupted after its time limit, once. Its times are those of Redis."""

    async def hang(_context: JobContext, _message: NotificationJob) -> None:
        wall_clock.step_s = -step_s
        await asyncio.sleep(60)

    began = time.time()
    wall_clock.step_s = step_s
    start_worker([function(Recorder(hang), timeout_s=0.3, max_attempts=1)])
    await producer.enqueue(job("a"))
    (letter,) = await eventually(lambda: letters.stored)
    assert (letter.error.kind, letter.attempts) == ("timeout", 1)
    entry = letter.history[0]
    assert 300 <= entry["failedAt"] - entry["startedAt"] < 40_000
    assert abs(letter.failed_at.timestamp() - began) < 30


@STEPS
async def test_the_clock_of_redis_decides_when_a_delay_ends(
    wall_clock: WallClock, producer: QueueProducer, start_worker: StartWorker, step_s: float
) -> None:
    """The producer's clock has no effect on a delay, on the order of jobs, or on their age."""
    wall_clock.step_s = step_s
    await producer.enqueue(job("a"))
    wall_clock.step_s = -step_s
    await producer.enqueue_many([job("b"), job("later", delay_ms=300), job("c", delay_ms=-1)])
    seen = Recorder()
    start_worker([function(seen)])
    await eventually(lambda: len(seen.keys) == 4)
    assert seen.keys == ["a", "b", "c", "later"]
    assert all(context.age_s < 30 for context in seen.contexts[1:])
    assert seen.contexts[-1].age_s >= 0.29


@STEPS
async def test_a_cron_job_runs_at_the_time_of_redis(
    wall_clock: WallClock, start_worker: StartWorker, step_s: float
) -> None:
    """A clock that is behind does not run past times again, and one that is ahead does not run future times early."""
    due: list[float] = []

    async def tick(ctx: dict[str, Any]) -> None:
        due.append(int(ctx["job_id"].rpartition(":")[2]) / 1000)

    began = time.time()
    wall_clock.step_s = step_s
    start_worker([], cron_jobs=[cron(tick, name="tick", second=set(range(60)), microsecond=0)])
    await eventually(lambda: due)
    assert began <= due[0] < began + 50
