"""Measures stock arq: `python -m tests.benchmarks.queue.stock_arq URL default|tuned`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from tests.benchmarks.queue.measure import (
    TEXT,
    Countdown,
    Figures,
    by_callers,
    idle_cpu,
    memory,
    pickups,
    print_figures,
    rate,
)
from tests.waiting import eventually

JOBS = {"default": 600, "tuned": 4_000}
PICKUPS = {"default": 40, "tuned": 200}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "tuned": {"max_jobs": 500, "queue_read_limit": 2_000, "poll_delay": 0.01, "log_results": False},
}


@asynccontextmanager
async def working(pool: ArqRedis, counter: Countdown, mode: str, keep_result: float = 0.0) -> AsyncIterator[None]:
    """Runs a worker whose handler does nothing."""

    async def nothing(ctx: dict[Any, Any], text: str) -> str:
        counter.one()
        return "done"

    worker = Worker(
        [func(nothing, name="nothing", keep_result=keep_result)],
        redis_pool=pool,
        handle_signals=False,
        **OPTIONS[mode],
    )
    task = asyncio.create_task(worker.async_run())
    yield
    task.cancel()
    await asyncio.gather(task, *worker.tasks.values(), return_exceptions=True)


async def processing(pool: ArqRedis, mode: str, keep_result: float = 0.0) -> float:
    """Returns jobs per second until the queue is empty."""
    jobs = JOBS[mode]
    await pool.flushdb()
    await by_callers(jobs, lambda _: pool.enqueue_job("nothing", TEXT))
    counter = Countdown(jobs)

    async def all_done() -> bool:
        return not await pool.zcard("arq:queue")

    async def work() -> None:
        async with working(pool, counter, mode, keep_result):
            await counter.all_began.wait()
            await eventually(all_done, timeout=120)

    return await rate(jobs, work())


async def main(url: str, mode: str) -> None:
    """Measures and prints all figures. arq enqueues one job per call and has no groups."""
    pool = await create_pool(RedisSettings.from_dsn(url))
    figures = Figures()
    jobs = 5_000
    figures.enqueue_single = await rate(jobs, by_callers(jobs, lambda _: pool.enqueue_job("nothing", TEXT)))
    figures.process = await processing(pool, mode)
    figures.process_results = await processing(pool, mode, 3600)
    await pool.flushdb()
    counter = Countdown(-1)
    async with working(pool, counter, mode):
        await asyncio.sleep(0.3)
        figures.pickup_p50, figures.pickup_p99 = await pickups(
            counter, lambda _: pool.enqueue_job("nothing", TEXT), PICKUPS[mode]
        )
        figures.idle_cpu = await idle_cpu()
        figures.rss, figures.private = memory()
    print_figures(figures)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2]))
