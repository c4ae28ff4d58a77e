"""The benchmark of the public listener: Filas, a bare aiohttp handler and the usual Node stack, on this machine.

    python -m tests.benchmarks.ingest [--seconds N] [--rounds N] [--output FILE] [--only NAME …]

Prints a table and writes it to FILE (Markdown). 64 connections post WhatsApp messages of about 500 bytes, each
with its own id and signature. Then only Filas gets requests at a fixed rate, while its workers are idle, busy and
stopped. The load generator is wrk if it is installed, else a slower one in Python.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from filas.repository import migrate
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.ingest.load import Load, as_fast_as_answered, at_a_rate, write_bodies
from tests.benchmarks.ingest.subjects import REPOSITORY, Filas, Process, Unavailable, bare, fastify

WARM_UP_S = 2
MOST_A_SECOND = 20_000
RATE = 500
BACKLOG = 50_000


class Figures(msgspec.Struct):
    """The figures of one subject: requests/s, latencies in ms, CPU seconds per thousand requests, memory in MiB."""

    rate: float
    p50: float
    p99: float
    cpu: float
    rss: float
    failed: int


Running = Callable[[], AbstractContextManager[tuple[Process, str]]]


def measured(running: Running, scratch: Path, seconds: int) -> Figures:
    """Measures one round of one subject."""
    bodies = scratch / "bodies.tsv"
    with running() as (process, url):
        run = f"{time.time_ns()}."
        write_bodies(bodies, f"w{run}", WARM_UP_S * MOST_A_SECOND // 2)
        as_fast_as_answered(url, bodies, WARM_UP_S)
        write_bodies(bodies, f"m{run}", seconds * MOST_A_SECOND // 2)
        before = process.cpu_s()
        load = as_fast_as_answered(url, bodies, seconds)
        cpu = process.cpu_s() - before
        return Figures(
            load.rate, load.p50, load.p99, cpu / (load.rate * seconds) * 1000, process.rss_mib(), load.failed
        )


def median(rounds: list[Figures]) -> Figures:
    """Returns the median of each figure. Failures are added up."""
    names = [name for name in Figures.__struct_fields__ if name != "failed"]
    medians = {name: statistics.median(getattr(one, name) for one in rounds) for name in names}
    return Figures(**medians, failed=sum(one.failed for one in rounds))


def compare(scratch: Path, redis: RedisServer, postgres: PostgresServer, options: argparse.Namespace) -> list[str]:
    """Returns the table of all subjects, and whether the goals are met."""
    filas = Filas(scratch, redis, postgres)

    class Serving:
        """Runs Filas in the same way as the other subjects."""

        def __enter__(self) -> tuple[Process, str]:
            self._running = filas.serving()
            return self._running.__enter__(), filas.url

        def __exit__(self, *error: object) -> None:
            self._running.__exit__(None, None, None)

    subjects: dict[str, Running] = {
        "bare aiohttp": lambda: bare(scratch),
        "filas": Serving,
        "fastify + bullmq + pg": lambda: fastify(scratch, redis, postgres),
    }
    taken: dict[str, list[Figures]] = {}
    lines: list[str] = []
    for _ in range(options.rounds):
        for name, running in subjects.items():
            if options.only and name not in options.only:
                continue
            try:
                taken.setdefault(name, []).append(measured(running, scratch, options.seconds))
            except Unavailable as error:
                lines.append(f"{name}: left out, {error}")
            redis.execute("FLUSHALL")
    found = {name: median(rounds) for name, rounds in taken.items() if rounds}
    return [table(found), *goals(found), *dict.fromkeys(lines)]


def table(found: dict[str, Figures]) -> str:
    """Returns the figures of all subjects as a table."""
    lines = ["| | requests/s | p50 ms | p99 ms | CPU ms a request | memory MiB | not 2xx |", "|---|" + "---:|" * 6]
    for name, one in found.items():
        cells = [f"{one.rate:,.0f}", f"{one.p50:.1f}", f"{one.p99:.1f}", f"{one.cpu:.3f}", f"{one.rss:.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {one.failed} |")
    return "\n".join(lines)


def goals(found: dict[str, Figures]) -> list[str]:
    """Returns each goal, and whether this run met it."""
    ours = found.get("filas")
    if ours is None:
        return []
    lines = [f"- p99 under 50 ms: {ours.p99:.1f}, {'met' if ours.p99 < 50 else 'MISSED'}"]
    for name, factor in (("fastify + bullmq + pg", 2.0), ("bare aiohttp", 0.5)):
        if name in found:
            share = ours.rate / found[name].rate
            lines.append(f"- at least {factor:g} times {name}: {share:.2f}, {'met' if share >= factor else 'MISSED'}")
    return ["\n".join(lines)]


def with_workers(scratch: Path, redis: RedisServer, postgres: PostgresServer, seconds: int) -> list[str]:
    """Measures the latency at a fixed rate with idle, stopped and busy workers."""
    filas, bodies, found = Filas(scratch, redis, postgres), scratch / "bodies.tsv", dict[str, Load]()

    def post(name: str, a_second: int = RATE, during_s: int = seconds) -> Load:
        write_bodies(bodies, f"{name}{time.time_ns()}.", a_second * during_s)
        return asyncio.run(at_a_rate(filas.url, bodies, a_second, during_s))

    with filas.serving():
        with filas.working():
            post("w", during_s=WARM_UP_S)
            found["idle"] = post("i")
        found["stopped"] = post("s")
        while filas.unfinished_jobs() < BACKLOG:
            write_bodies(bodies, f"b{time.time_ns()}.", BACKLOG)
            as_fast_as_answered(filas.url, bodies, 2)
        with filas.working():
            found["busy"] = post("y")
            left = filas.unfinished_jobs()
    lines = [f"| workers, at {RATE} requests/s | p50 ms | p99 ms | p99 to idle | not 2xx |", "|---|" + "---:|" * 4]
    for name in ("idle", "busy", "stopped"):
        one = found[name]
        lines.append(f"| {name} | {one.p50:.1f} | {one.p99:.1f} | {one.p99 / found['idle'].p99:.2f} | {one.failed} |")
    return ["\n".join(lines), f"Busy: more than {BACKLOG:,} jobs waited at the beginning and {left:,} at the end."]


def machine() -> str:
    """Describes the machine on which the figures were measured."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    generator = "wrk" if shutil.which("wrk") else "a generator in Python"
    return (
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, {generator}; "
        "generator, Redis and Postgres on the same machine"
    )


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.ingest", description="The public listener and its peers"
    )
    parser.add_argument("--seconds", type=int, default=10, help="how long each measurement lasts")
    parser.add_argument("--rounds", type=int, default=3, help="how often each subject is measured (median)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "benchmarks" / "ingest.md")
    parser.add_argument("--only", nargs="*", default=[], help="measure only these subjects, without the fixed rate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="filas-bench-") as directory:
        scratch = Path(directory)
        with RedisServer(scratch / "redis") as redis, PostgresServer(scratch / "postgres") as postgres:
            postgres.ensure_database()
            asyncio.run(migrate.migrate(postgres.dsn()))
            parts = compare(scratch, redis, postgres, options)
            if not options.only:
                parts += with_workers(scratch, redis, postgres, options.seconds)
    head = f"Measured on {datetime.now(UTC):%Y-%m-%d}, {machine()}."
    text = "\n\n".join([head, *parts]) + "\n"
    print(f"\n{text}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
