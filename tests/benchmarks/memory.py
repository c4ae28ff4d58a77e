"""The private memory of each process: idle, under the load of the whole way, and with open dashboards.

python -m tests.benchmarks.memory [--senders N] [--viewers N] [--rounds N] [--warm-up S] [--seconds S]

Private memory is what a process shares with no other: Private_Clean + Private_Dirty of /proc/PID/smaps_rollup. Figures
are in MiB, and the highest of one sample per second counts.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from filas.observability import logs
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.dashboard.viewer import signed_in, watching
from tests.benchmarks.flows import load
from tests.benchmarks.flows.definitions import with_message
from tests.benchmarks.flows.end_to_end import DATABASE, servers, set_up
from tests.benchmarks.flows.load import FastReceiver, Run
from tests.benchmarks.flows.measurements import private_mib
from tests.benchmarks.rounds import Length, add_options, in_turn, recording
from tests.benchmarks.trees import Tree
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, receiver

PART: Final = "memory"
GOALS: Final = {"ingest": 55, "ingest-admin": 80, "ingest-worker": 50, "flow-runner": 50, "notifier": 50}
"""MiB of each process in every state; for `ingest-admin` this is with open dashboards."""

SAMPLE_S: Final = 1.0
IDLE_S: Final = 3.0
A_SESSION: Final = 10
"""Dashboards of one session, which may have 32."""

Figures = dict[str, dict[str, float]]
"""MiB by process and state."""


@asynccontextmanager
async def sampled(pipeline: Pipeline, figures: Figures, state: str) -> AsyncIterator[None]:
    """Keeps the highest private memory of each process during the block."""

    def sample() -> None:
        for name, pid in pipeline.pids.items():
            of_process = figures.setdefault(name, {})
            of_process[state] = max(of_process.get(state, 0.0), private_mib(pid))

    async def keep_sampling() -> None:
        while True:
            sample()
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(keep_sampling())
    try:
        yield
        sample()
    finally:
        task.cancel()


async def measure(
    tree: Tree, stores: tuple[PostgresServer, RedisServer, Path], senders: int, viewers: int, length: Length
) -> Figures:
    """The figures of one round, all with the same processes: idle, then busy, then busy with open dashboards."""
    postgres, redis, home = stores
    run, figures = Run(), Figures()
    dsn = postgres.dsn(DATABASE)
    async with (
        receiver(FastReceiver(run, last="/messages", waited_for=True)) as outside,
        Pipeline(redis.url, dsn, home, forked=False, interpreter=tree.interpreter) as pipeline,
    ):
        await set_up(pipeline, outside, with_message(outside.url))
        async with sampled(pipeline, figures, "idle"):
            await asyncio.sleep(IDLE_S)
        stop_at = time.monotonic() + length.warm_up_s + 2 * length.seconds
        sending = [asyncio.create_task(load.sender(pipeline, run, one, stop_at, True)) for one in range(senders)]
        try:
            await asyncio.sleep(length.warm_up_s)
            async with sampled(pipeline, figures, "busy"):
                await asyncio.sleep(length.seconds)
            async with _open_dashboards(pipeline, viewers), sampled(pipeline, figures, "dashboards"):
                await asyncio.sleep(max(0.0, stop_at - time.monotonic()))
            await asyncio.gather(*sending)
        finally:
            for task in sending:
                task.cancel()
    print(f"flows: {dict(run.outcomes)}", flush=True)
    return figures


@asynccontextmanager
async def _open_dashboards(pipeline: Pipeline, count: int) -> AsyncIterator[None]:
    url = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}"
    async with AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(signed_in(url, ADMIN_TOKEN)) for _ in range(0, max(count, 1), A_SESSION)
        ]
        await stack.enter_async_context(watching(sessions, url, "/dashboard/", count))
        yield


def table(figures: Figures) -> str:
    """The figures beside the goals, as a table of Markdown."""
    states = list(next(iter(figures.values())))
    lines = [f"| MiB | {' | '.join(states)} | goal |", f"|---|{'---|' * (len(states) + 1)}"]
    for name, goal in GOALS.items():
        missed = "" if max(figures[name].values()) <= goal else " (missed)"
        shown = " | ".join(f"{figures[name][state]:.1f}" for state in states)
        lines.append(f"| {name} | {shown} | at most {goal}{missed} |")
    return "\n".join(lines)


def main() -> None:
    """Runs the rounds, each with new stores and processes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--viewers", type=int, default=50)
    add_options(parser)
    options = parser.parse_args()
    logs.configure("warning", "console", "bench")
    with recording(PART, options) as (recorder, trees, length):
        for number in range(length.rounds):
            for tree in in_turn(trees, number):
                with servers(tree) as stores:
                    figures = asyncio.run(measure(tree, stores, options.senders, options.viewers, length))
                for name, of_process in figures.items():
                    recorder.add(tree, name, of_process)
                print(table(figures), flush=True)


if __name__ == "__main__":
    main()
