"""Measures the whole way and the receiving beside 1, 10 and 100 times the stored data, with retention and rollups.

    python -m tests.benchmarks.growth [--times 1 10 100] [--directory PATH] [--fill-within S] [--only NAME …] [--page]

Each size has a directory of its own below PATH. One that is not filled is filled first, for at most S seconds: the next
run continues. At 100 times 50,000 events that takes ten minutes in all and 20 GB. A measurement runs on a copy of the
directory, unless the directory is large: the rows of one measurement are then a small part of it. `--page` measures
nothing: it writes the table of docs/operations/scale.md from the saved results.
"""

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from filas.observability import logs
from filas.repository.postgres.database import Database
from filas.repository.retention import Ages, Retention
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.closed_loop import STORE, ClosedLoop, Load
from tests.benchmarks.flows.definitions import with_message, without_message
from tests.benchmarks.flows.measurements import cpu_of_tree
from tests.benchmarks.growth.filling import DATABASE, fill
from tests.benchmarks.growth.page import stored_data
from tests.benchmarks.ingest.load import as_fast_as_answered, write_bodies
from tests.benchmarks.ingest.subjects import Filas
from tests.benchmarks.report import page as benchmarks_page
from tests.benchmarks.report import results
from tests.benchmarks.rounds import add_options, recording
from tests.benchmarks.simulation.tables import PAGE, replace

PART: Final = "growth"
COPIED_BELOW: Final = 4 << 30
EXPIRED: Final = 20_000
"""The number of events that retention deletes during a measurement, with their executions, steps and messages."""

MOST_A_SECOND: Final = 15_000
PRODUCTION: Final = {"shared_buffers": "4GB", "max_wal_size": "6GB", "checkpoint_timeout": "15min"}
"""What docs/operations/scale.md recommends for 16 GB of memory. With the 64 MB of buffers of the embedded server, a
database of 100 times the size reads and writes pages all the time: Postgres then used twice the CPU for a flow."""

FLOWS: Final = {"with-message": with_message, "without-message": without_message}
RECEIVING: Final = "receiving"
AGE: Final = "select received_at from events order by received_at offset $1 limit 1"


class LargePostgres(PostgresServer):
    """A Postgres with the settings of PRODUCTION."""

    def command(self) -> list[str]:
        options = [part for name, value in PRODUCTION.items() for part in ("-c", f"{name}={value}")]
        return [*super().command(), *options]


def directory_bytes(directory: Path) -> int:
    """The size of the files of a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@contextmanager
def serving(kept: Path) -> Iterator[tuple[PostgresServer, RedisServer, Path]]:
    """A Postgres with the rows of `kept`, an empty Redis, and a directory for logs."""
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="run-") as name:
        scratch, data = Path(name), kept
        scratch.chmod(0o711)
        if directory_bytes(kept) < COPIED_BELOW:
            data = scratch / "postgres"
            subprocess.run(["cp", "--archive", str(kept), str(data)], check=True)
        log = scratch / "postgres.log"
        with LargePostgres(data, log_path=log) as postgres, RedisServer(scratch / "redis") as redis:
            postgres.execute("checkpoint")
            yield postgres, redis, scratch


async def expire(dsn: str, within_s: float) -> dict[str, int]:
    """Deletes the oldest EXPIRED events and what belongs to them, as `ingest work` does four times an hour."""
    database = Database(dsn, application_name="benchmark")
    database.start()
    try:
        await database.wait_ready(30)
        oldest = await database.fetchval(AGE, EXPIRED)
        ages = Ages()
        return await Retention(database).purge(
            oldest + timedelta(days=ages.events_days), ages, budget_s=within_s
        )  # fmt: skip
    finally:
        await database.close()


async def whole_way(
    postgres: PostgresServer, redis: RedisServer, scratch: Path, definition: Any, load: Load
) -> dict[str, float]:
    """The figures of a closed loop. Retention deletes from the beginning of the measured time."""
    loop = ClosedLoop(postgres, redis, DATABASE, scratch)

    async def purge() -> dict[str, int]:
        await asyncio.sleep(load.warm_up_s)
        return await expire(postgres.dsn(DATABASE), load.seconds)

    purging = asyncio.create_task(purge())
    figures = await loop.measure(definition, load)
    return figures | {"deleted events": (await purging)["events"]}


async def _store(dsn: str) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return dict(await connection.fetchrow(STORE) or {})
    finally:
        await connection.close()


def receiving(postgres: PostgresServer, redis: RedisServer, scratch: Path, load: Load) -> dict[str, float]:
    """The figures of `ingest serve` without workers."""
    filas, bodies = Filas(scratch, redis, postgres, database=DATABASE), scratch / "bodies.tsv"
    dsn, run = postgres.dsn(DATABASE), time.time_ns()
    with filas.serving() as process:
        for name, seconds in (("w", load.warm_up_s), ("m", load.seconds)):
            write_bodies(bodies, f"{name}{run}.", int(seconds) * MOST_A_SECOND)
            store, cpu_s = asyncio.run(_store(dsn)), (process.cpu_s(), cpu_of_tree(postgres.pid or 0))
            found = as_fast_as_answered(filas.url, bodies, int(seconds))
        count = found.rate * load.seconds
        used = [now - then for now, then in zip((process.cpu_s(), cpu_of_tree(postgres.pid or 0)), cpu_s, strict=True)]
        wal = int(asyncio.run(_store(dsn))["wal_bytes"] - store["wal_bytes"])
    return {
        "requests/s": found.rate,
        "p50 ms": found.p50,
        "p99 ms": found.p99,
        "failed": found.failed,
        "ingest, CPU ms": used[0] * 1000 / count,
        "postgres, CPU ms": used[1] * 1000 / count,
        "WAL bytes": wal / count,
    }


def measure(kept: Path, name: str, load: Load) -> dict[str, float]:
    """The figures of one measurement on servers of its own."""
    with serving(kept) as (postgres, redis, scratch):
        if name == RECEIVING:
            return receiving(postgres, redis, scratch, load)
        return asyncio.run(whole_way(postgres, redis, scratch, FLOWS[name], load))


def filled(kept: Path, events: int, within_s: float) -> bool:
    """Fills the directory, unless it is. Returns whether it is filled now."""
    began = time.monotonic()
    with PostgresServer(kept, durable=False) as server:
        done = fill(server, events, within_s)
    if time.monotonic() - began > 10:
        state = "filled" if done else "not filled yet"
        print(f"{kept}: {events:,} events, {state} after {time.monotonic() - began:.0f} s more", flush=True)
    return done


def main() -> None:
    """Fills, measures, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--fill-within", type=float, default=3600.0)
    parser.add_argument("--only", nargs="*", choices=[*FLOWS, RECEIVING], default=[*FLOWS, RECEIVING])
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--page", action="store_true", help="measure nothing, and write the table of the page")
    add_options(parser)
    # Until the pages of the indexes that change are in the buffers.
    parser.set_defaults(warm_up=60.0)
    options = parser.parse_args()
    if options.page:
        result = results.load(PART, options.results)
        if result is None:
            raise SystemExit(f"{options.results} has no results: measure first")
        replace(PAGE, {"growth": stored_data(result, options.times, options.events)})
        benchmarks_page.write()
        return
    logs.configure("warning", "console", "bench")
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
        run(directory, options)


def run(directory: Path, options: argparse.Namespace) -> None:
    """Measures all sizes in turn, once they are filled."""
    sizes = {times: directory / f"{times}x" for times in options.times}
    for times, kept in sizes.items():
        if not filled(kept, times * options.events, options.fill_within):
            return
    if not options.only:
        return
    with recording(PART, options) as (recorder, trees, length):
        for _ in range(length.rounds):
            for name in options.only:
                for times, kept in sizes.items():
                    load = Load(
                        senders=options.senders, warm_up_s=length.warm_up_s, seconds=length.seconds,
                        by_message=name == "with-message",
                    )  # fmt: skip
                    recorder.add(trees[0], f"{name}, {times}x", measure(kept, name, load))


if __name__ == "__main__":
    main()
