"""The payload, the figures and the measurements that all Python subjects of the benchmark use."""

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
"""With this text, a job has about 500 bytes in Redis."""


class Figures(msgspec.Struct, omit_defaults=True):
    """The figures of one subject: rates in jobs/s, times in ms, memory in MiB. None: the subject cannot do this."""

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
    """Returns jobs per second: `jobs` divided by the time that `work` takes."""
    began = time.perf_counter()
    await work
    return jobs / (time.perf_counter() - began)


async def by_callers(jobs: int, enqueue: Callable[[int], Awaitable[object]]) -> None:
    """Calls `enqueue(number)` for each of `jobs`, from CALLERS concurrent callers."""
    numbers = iter(range(jobs))

    async def caller() -> None:
        for number in numbers:
            await enqueue(number)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


class Countdown:
    """Counts the jobs that started. `began` is set by each job, `all_began` by the last one."""

    def __init__(self, jobs: int) -> None:
        self._left = jobs
        self.all_began = asyncio.Event()
        self.began = asyncio.Event()

    def one(self) -> None:
        """Counts one job that started."""
        self._left -= 1
        self.began.set()
        if self._left == 0:
            self.all_began.set()


async def pickups(
    counter: Countdown, enqueue: Callable[[int], Awaitable[object]], jobs: int = PICKUPS
) -> tuple[float, float]:
    """Returns p50 and p99 of the ms from enqueuing a job to the first line of the handler, with an idle worker."""
    times = []
    for number in range(jobs):
        counter.began.clear()
        began = time.perf_counter()
        await enqueue(number)
        await counter.began.wait()
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)
    return percentiles(times)


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """Returns p50 and p99."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


async def idle_cpu() -> float:
    """Returns how many percent of one core this process uses while there are no jobs."""
    await asyncio.sleep(0.5)
    used, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    return (time.process_time() - used) / (time.perf_counter() - began) * 100


def memory() -> tuple[float, float]:
    """Returns the resident memory and the private memory of this process, in MiB."""
    page = os.sysconf("SC_PAGE_SIZE")
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * page
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024
    return rss / 2**20, private / 2**20


def print_figures(figures: Figures) -> None:
    """Prints the figures for the process that started this one."""
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
