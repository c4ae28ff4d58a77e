"""The public listener, a bare aiohttp handler and the usual Node stack with and without the same guarantees.

    python -m tests.benchmarks.ingest [--only NAME …] [--rounds N] [--warm-up S] [--seconds S] [--base COMMIT]

64 connections post WhatsApp messages of about 500 bytes, each with its own id and signature. The load generator is wrk
if it is installed, else a slower one in Python.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks import node_packages
from tests.benchmarks.flows.end_to_end import DATABASE, servers
from tests.benchmarks.flows.measurements import private_mib
from tests.benchmarks.flows.resources import Meter
from tests.benchmarks.ingest.load import as_fast_as_answered, write_bodies
from tests.benchmarks.ingest.subjects import Filas, Process, bare, fastify
from tests.benchmarks.node_packages import Unavailable
from tests.benchmarks.rounds import Length, Recorder, add_options, in_turn, recording
from tests.benchmarks.trees import Tree

PART = "receiving"
MOST_A_SECOND = 10_000
"""So many different requests are prepared for each second. A faster subject gets some of them twice."""

FILAS, BESIDE_ADMIN = "filas", "filas beside ingest admin"
SAME, PLAIN = "fastify + bullmq + pg, same guarantees", "fastify + bullmq + pg, without them"
BARE = "bare aiohttp"
SUBJECTS = [FILAS, SAME, PLAIN, BESIDE_ADMIN, BARE]
OF_EACH_COMMIT = [FILAS, BESIDE_ADMIN]
"""The subjects that are measured at both commits when two are compared."""

Stores = tuple[PostgresServer, RedisServer, Path]
Running = Callable[[Stores], AbstractContextManager[tuple[Process, str]]]


class Bodies:
    """The prepared requests: files for the warm-up and for the measurement. Each subject has empty stores, so all of
    them get the same requests."""

    def __init__(self, scratch: Path, length: Length) -> None:
        self.warm_up, self.measured = scratch / "warm-up.tsv", scratch / "measured.tsv"
        write_bodies(self.warm_up, "w", max(1, round(length.warm_up_s * MOST_A_SECOND)))
        write_bodies(self.measured, "m", round(length.seconds * MOST_A_SECOND))


@contextmanager
def filas(tree: Tree, stores: Stores, *, alone: bool = True) -> Iterator[tuple[Process, str]]:
    """Runs `ingest serve` of a checkout."""
    postgres, redis, home = stores
    running = Filas(home, redis, postgres, database=DATABASE, interpreter=tree.interpreter)
    with running.serving(alone=alone) as process:
        yield process, running.url


def subject(name: str, tree: Tree, scratch: Path) -> Running:
    """How a subject is run on given stores."""

    def run(stores: Stores) -> AbstractContextManager[tuple[Process, str]]:
        postgres, redis, home = stores
        if name in OF_EACH_COMMIT:
            return filas(tree, stores, alone=name == FILAS)
        if name == BARE:
            return bare(home)
        return fastify(scratch, redis, postgres, DATABASE, "same" if name == SAME else "none")

    return run


async def measure(
    stores: Stores, process: Process, url: str, bodies: Bodies, length: Length
) -> tuple[dict[str, float | None], list[float]]:
    """The figures of a running subject, and its rates in intervals of ten seconds."""
    postgres, redis, _ = stores
    if length.warm_up_s:
        await asyncio.to_thread(as_fast_as_answered, url, bodies.warm_up, round(length.warm_up_s))
    async with (
        asyncpg.create_pool(postgres.dsn(DATABASE), min_size=1, max_size=1) as database,
        Meter(database, {"server": process.pid}, postgres, redis) as meter,
    ):
        before = await meter.read()
        load = await asyncio.to_thread(as_fast_as_answered, url, bodies.measured, round(length.seconds))
        used = (await meter.read()) - before
    figures: dict[str, float | None] = {
        "rate": load.rate,
        "p50": load.p50,
        "p99": load.p99,
        "failures": float(load.failed),
        "private": private_mib(process.pid),
    }
    return figures | used.per_thousand(round(load.rate * length.seconds)), load.intervals


def measure_subject(
    recorder: Recorder, tree: Tree, name: str, running: Running, bodies: Bodies, length: Length
) -> None:
    """Measures a subject on stores of its own."""
    with servers(tree) as stores:
        try:
            with running(stores) as (process, url):
                figures, intervals = asyncio.run(measure(stores, process, url, bodies, length))
        except Unavailable as error:
            recorder.leave_out(name, str(error))
            return
    recorder.add(tree, name, figures, intervals)


def main() -> None:
    """Measures the subjects in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ingest", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=SUBJECTS, default=SUBJECTS)
    add_options(parser)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="filas-bench-") as directory,
        recording(PART, options) as (recorder, trees, length),
    ):
        scratch = Path(directory)
        bodies = Bodies(scratch, length)
        recorder.result.versions |= node_packages.versions()
        for number in range(length.rounds):
            for name in options.only:
                for tree in in_turn(trees, number):
                    # The peers are the same beside both commits, so they are measured once.
                    if name in OF_EACH_COMMIT or not tree.is_base:
                        measure_subject(recorder, tree, name, subject(name, tree, scratch), bodies, length)


if __name__ == "__main__":
    main()
