"""Measures SAQ: `python -m tests.benchmarks.queue.saq_subject URL`. SAQ must be on the path."""

import asyncio
import importlib
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop

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

JOBS = 4_000
CONCURRENCY = 100


@asynccontextmanager
async def working(queue: Any, counter: Countdown) -> AsyncIterator[None]:
    """Runs a worker whose handler does nothing."""
    saq = importlib.import_module("saq")

    async def nothing(ctx: dict[str, Any], *, text: str) -> str:
        counter.one()
        return "done"

    worker = saq.Worker(queue, functions=[("nothing", nothing)], concurrency=CONCURRENCY, dequeue_timeout=1)
    worker.SIGNALS = []
    task = asyncio.create_task(worker.start())
    yield
    await worker.stop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def processing(url: str, ttl: int) -> float:
    """Returns jobs per second until no job is queued or active. `ttl` -1: results are off."""
    queue = await fresh(url)
    await by_callers(JOBS, lambda _: queue.enqueue("nothing", text=TEXT, ttl=ttl))
    counter = Countdown(JOBS)

    async def all_done() -> bool:
        return not await queue.count("incomplete")

    async def work() -> None:
        async with working(queue, counter):
            await counter.all_began.wait()
            await eventually(all_done, timeout=120)

    figure = await rate(JOBS, work())
    await queue.disconnect()
    return figure


async def fresh(url: str) -> Any:
    """Returns a queue in an empty database."""
    saq = importlib.import_module("saq")
    queue = saq.Queue.from_url(url)
    await queue.connect()
    await queue.redis.flushdb()
    return queue


async def main(url: str) -> None:
    """Measures and prints all figures. SAQ enqueues one job per call and has no groups."""
    logging.getLogger("saq").setLevel(logging.ERROR)
    figures = Figures()
    queue = await fresh(url)
    figures.enqueue_single = await rate(JOBS, by_callers(JOBS, lambda _: queue.enqueue("nothing", text=TEXT, ttl=-1)))
    figures.process = await processing(url, -1)
    figures.process_results = await processing(url, 3600)
    queue = await fresh(url)
    counter = Countdown(-1)
    async with working(queue, counter):
        await asyncio.sleep(0.5)
        figures.pickup_p50, figures.pickup_p99 = await pickups(
            counter, lambda _: queue.enqueue("nothing", text=TEXT, ttl=-1)
        )
        figures.idle_cpu = await idle_cpu()
        figures.rss, figures.private = memory()
    print_figures(figures)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
