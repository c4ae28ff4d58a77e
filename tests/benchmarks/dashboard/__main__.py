"""Measures the pages of the dashboard at 5 million events, and the public endpoint with 50 open dashboards.

    python -m tests.benchmarks.dashboard [--directory PATH] [--events N] [--only pages|viewers]
                                         [--seconds N] [--rounds N]

`--directory` is a database that `python -m tests.benchmarks.search --directory PATH` has filled.
"""

import argparse
import asyncio
import gzip
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from filas.repository import migrate
from filas.repository.postgres.database import Database
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.dashboard.viewer import signed_in, watching
from tests.benchmarks.ingest.load import Load, at_a_rate, write_bodies
from tests.benchmarks.ingest.subjects import ADMIN_TOKEN, Filas
from tests.benchmarks.search.rows import Sizes, fill

PAGE_GOAL_MS: Final = 200
PACKED_GOAL_BYTES: Final = 40_000
RUNS: Final = 30
VIEWERS: Final = 50
RATE: Final = 300
WARM_UP_S: Final = 15

IDS: Final = {
    "event": "select id::text from events order by received_at desc offset 500 limit 1",
    "execution": "select id::text from executions order by queued_at desc offset 500 limit 1",
    "letter": "select id::text from dead_letters order by failed_at desc limit 1",
    "fingerprint": "select fingerprint from dead_letters where fingerprint is not null limit 1",
    "conversation": "select id::text from conversations limit 1",
}
PAGES: Final = (
    "/",
    "/queues",
    "/events",
    "/events?text=pix",
    "/events?contact=(11)+91000-0211",
    "/events?status=failed",
    "/events?webhookId=shop-19",
    "/events/{event}",
    "/refusals",
    "/executions",
    "/executions?status=failed,timed-out",
    "/executions?error=template:node-2:00000002",
    "/executions/{execution}",
    "/waiting",
    "/dead-letters",
    "/dead-letters/groups/{fingerprint}",
    "/dead-letters/{letter}",
    "/replays",
    "/conversations",
    "/conversations?q=(11)+91000-0211",
    "/conversations/{conversation}",
    "/search?q=zebra",
    "/search?q=5511910000211",
)


async def measure_page(session: aiohttp.ClientSession, address: str, name: str) -> bool:
    """Prints the median and the p95 of the time of a page, and its size. False if it misses a goal."""
    times, size, packed = [], 0, 0
    for _ in range(RUNS):
        began = time.perf_counter()
        async with session.get(address) as answer:
            body = await answer.read()
        times.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            print(f"{name:50} answered {answer.status}")
            return False
        size, packed = len(body), len(gzip.compress(body))
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:50} {statistics.median(times):8.1f} {p95:8.1f} {size:9,} {packed:9,}", flush=True)
    return p95 <= PAGE_GOAL_MS and packed <= PACKED_GOAL_BYTES


async def measure_pages(dsn: str, url: str) -> int:
    """Returns how many pages miss the goal."""
    database = Database(dsn, application_name="benchmark", statement_timeout_s=60.0)
    database.start()
    await database.wait_ready(10)
    ids = {name: await database.fetchval(query) for name, query in IDS.items()}
    await database.close()
    missed = 0
    print(f"{'ms of ' + str(RUNS) + ' runs':50} {'median':>8} {'p95':>8} {'bytes':>9} {'gzip':>9}")
    async with signed_in(url, ADMIN_TOKEN) as session:
        for page in PAGES:
            path = page.format(**{name: value or "none" for name, value in ids.items()})
            missed += not await measure_page(session, f"{url}/dashboard{path}", page)
    return missed


async def measure_viewers(filas: Filas, scratch: Path, seconds: int, rounds: int) -> None:
    """Prints the latency of the public endpoint without and with open dashboards, in alternating rounds."""
    found: dict[str, list[Load]] = {"none open": [], f"{VIEWERS} open": []}
    with filas.serving():
        bodies = scratch / "warm-up.tsv"
        write_bodies(bodies, "warm.", RATE * WARM_UP_S)
        await at_a_rate(filas.url, bodies, RATE, WARM_UP_S)
        async with AsyncExitStack() as stack:
            # A session may have 32 streams.
            sessions = [await stack.enter_async_context(signed_in(filas.admin_url, ADMIN_TOKEN)) for _ in range(5)]
            for number in range(rounds):
                for name, results in found.items():
                    write_bodies(bodies, f"{number}.{len(name)}.", RATE * seconds)
                    viewers = 0 if name == "none open" else VIEWERS
                    async with watching(sessions, filas.admin_url, "/dashboard/", viewers):
                        results.append(await at_a_rate(filas.url, bodies, RATE, seconds))
    for name, results in found.items():
        p50, p99 = (statistics.median(getattr(each, part) for each in results) for part in ("p50", "p99"))
        each = ", ".join(f"{result.p99:.1f}" for result in results)
        print(f"{name:12} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  (each round: {each})  at {RATE}/s")
    ratios = [held.p99 / free.p99 for free, held in zip(*found.values(), strict=True)]
    print(f"p99 with {VIEWERS} open dashboards: {statistics.median(ratios):.2f} of that without (goal: at most 1.10)")


def run(options: argparse.Namespace, directory: Path, scratch: Path) -> int:
    """Fills the database, unless it is filled, and measures. Returns the number of missed goals of pages."""
    is_filled = (directory / "PG_VERSION").exists()
    missed = 0
    with PostgresServer(directory) as postgres, RedisServer(scratch / "redis") as redis:
        if not is_filled:
            asyncio.run(migrate.migrate(postgres.dsn("postgres")))
            sizes = Sizes(events=options.events, executions=options.events // 5, dead_letters=options.events // 50)
            asyncio.run(fill(postgres.dsn("postgres"), sizes, datetime.now(UTC)))
        filas = Filas(scratch, redis, postgres, database="postgres")
        if options.only in (None, "pages"):
            with filas.administering():
                missed = asyncio.run(measure_pages(postgres.dsn("postgres"), filas.admin_url))
            print(f"goals ({PAGE_GOAL_MS} ms, {PACKED_GOAL_BYTES:,} bytes compressed) missed by {missed} pages")
        if options.only in (None, "viewers"):
            asyncio.run(measure_viewers(filas, scratch, options.seconds, options.rounds))
    return missed


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--only", choices=["pages", "viewers"])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        raise SystemExit(run(options, options.directory or scratch / "postgres", scratch) > 0)


if __name__ == "__main__":
    main()
