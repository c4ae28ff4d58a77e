"""What every Python subject of the benchmark shares: its payload, its figures, and how they are taken."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

CALLERS = 100
PICKUPS = 200
IDLE_S = 4.0

TEXT = "Lorem ipsum dolor sit amet, " * 13
"""Makes a job of about 500 bytes as it stands in Redis."""


class Figures(msgspec.Struct, omit_defaults=True):
    """What is measured of one subject. Rates in jobs a second, times in ms, memory in MiB; None: it can't do that."""

    enqueue_single: float | None = None
    enqueue_bulk: float | None = None
    process: float | None = None
    process_results: float | None = None
    process_groups: float | None = None
    pickup_p50: float | None = None
    pickup_p99: float | None = None
    idle_cpu: float | None = None
    rss: float | None = None
    private: float | None = None


async def rate(jobs: int, work: Awaitable[object]) -> float:
    """Jobs a second while `work` lasts."""
    began = time.perf_counter()
    await work
    return jobs / (time.perf_counter() - began)


async def by_callers(jobs: int, put: Callable[[int], Awaitable[object]]) -> None:
    """`put(number)` for each of `jobs`, from CALLERS concurrent callers."""
    numbers = iter(range(jobs))

    async def caller() -> None:
        for number in numbers:
            await put(number)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


class Countdown:
    """Counts the jobs that ran, and notes when the last one began."""

    def __init__(self, jobs: int) -> None:
        self._left = jobs
        self.all_began = asyncio.Event()
        self.began = asyncio.Event()

    def one(self) -> None:
        """A job began."""
        self._left -= 1
        self.began.set()
        if self._left == 0:
            self.all_began.set()


async def pickups(
    counter: Countdown, put: Callable[[int], Awaitable[object]], jobs: int = PICKUPS
) -> tuple[float, float]:
    """p50 and p99 of the ms from the call that puts a job to the handler's first line, the worker being idle."""
    times = []
    for number in range(jobs):
        counter.began.clear()
        began = time.perf_counter()
        await put(number)
        await counter.began.wait()
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)
    return percentiles(times)


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """p50 and p99."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


async def idle_cpu() -> float:
    """Percent of one core that this process uses while nothing is to do."""
    await asyncio.sleep(0.5)
    used, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    return (time.process_time() - used) / (time.perf_counter() - began) * 100


def memory() -> tuple[float, float]:
    """MiB resident, and MiB that are this process's alone."""
    page = os.sysconf("SC_PAGE_SIZE")
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * page
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024
    return rss / 2**20, private / 2**20


def answer(figures: Figures) -> None:
    """Hand the figures to the process that started this one."""
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
