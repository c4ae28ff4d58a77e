"""From HTTP to the end of the flow, with all processes on this machine."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows import load
from tests.benchmarks.flows.load import FastReceiver, Run
from tests.benchmarks.flows.measurements import percentile, private_mib, rates
from tests.benchmarks.flows.resources import Meter
from tests.benchmarks.flows.store_costs import read_counters
from tests.benchmarks.trees import Tree
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.e2e.test_main_job import CHANNEL_SECRET
from tests.waiting import eventually

DATABASE = "bench"
Definition = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Way:
    """What is measured. `last` is the path of the last request that a flow makes. `waiting`: each of the `senders`
    waits until its flow has finished before it sends again."""

    definition: Definition
    last: str
    senders: int
    waiting: bool

    @property
    def by_message(self) -> bool:
        """Whether a flow ends with a message."""
        return self.last == "/messages"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one measurement, the finished flows per second in each interval of ten seconds, and what each flow
    cost the stores, as rows of a table."""

    figures: dict[str, float | None]
    intervals: list[float]
    store_costs: list[str]


@contextmanager
def servers(tree: Tree) -> Iterator[tuple[PostgresServer, RedisServer, Path]]:
    """New stores with the tables of a checkout, and a directory for logs.

    Postgres syncs its commits to disk, and Redis syncs its log every second, as with `filas up`.
    """
    with tempfile.TemporaryDirectory(prefix="filas-bench-") as name:
        home = Path(name)
        with PostgresServer(home / "postgres") as postgres, RedisServer(home / "redis") as redis:
            postgres.ensure_database(DATABASE)
            tree.migrate(postgres.dsn(DATABASE))
            yield postgres, redis, home


async def measure(
    tree: Tree, postgres: PostgresServer, redis: RedisServer, logs: Path, way: Way, *, warm_up_s: float, seconds: float
) -> Outcome:
    """Runs the load for `warm_up_s` and then measures for `seconds`, without a pause between them."""
    run, dsn = Run(), postgres.dsn(DATABASE)
    outside = FastReceiver(run, last=way.last, waited_for=way.waiting)
    async with (
        receiver(outside),
        Pipeline(redis.url, dsn, logs, forked=False, interpreter=tree.interpreter) as pipeline,
        # Not the repository of this checkout, because the tables may be those of another commit.
        asyncpg.create_pool(dsn, min_size=2, max_size=2) as database,
        load.watching(run, database) if way.waiting and not way.by_message else nullcontext(),
        Meter(database, pipeline.pids, postgres, redis) as meter,
    ):
        await set_up(pipeline, outside, way.definition(outside.url))
        async with _loaded(pipeline, run, way, warm_up_s + seconds) as answers:
            await asyncio.sleep(warm_up_s)
            run.forget()
            counters = await asyncio.to_thread(read_counters, postgres, redis, DATABASE)
            began, before = time.monotonic(), await meter.read()
            await asyncio.sleep(began + seconds - time.monotonic())
            used = (await meter.read()) - before
            took = time.monotonic() - began
            finished_at, latencies, outcomes = list(run.finished_at), list(run.latencies), run.outcomes.copy()
            counters = (await asyncio.to_thread(read_counters, postgres, redis, DATABASE)).since(counters)
            private: dict[str, float | None] = {
                f"private {name}": private_mib(pid) for name, pid in pipeline.pids.items()
            }
            outcomes.pop("succeeded", None)
        accepted, p99_answer = answers
    finished = sum(began <= at <= began + took for at in finished_at)
    figures: dict[str, float | None] = {"rate": finished / took, "failures": float(outcomes.total())}
    if latencies:
        figures |= {"p50": percentile(latencies, 0.5) * 1000, "p99": percentile(latencies, 0.99) * 1000}
    if not way.waiting:
        figures |= {"accepted": accepted, "p99 answer": p99_answer}
    figures |= used.per_thousand(finished) | private
    # The counters include the flows that finished while they were read.
    return Outcome(figures, rates(finished_at, began, took), counters.rows(max(finished, 1)))


@asynccontextmanager
async def _loaded(pipeline: Pipeline, run: Run, way: Way, seconds: float) -> AsyncIterator[list[float]]:
    """Runs the senders during the block. The list has the results of senders that do not wait, after the block."""
    answers = [0.0, 0.0]

    async def send() -> None:
        if not way.waiting:
            answers[:] = await load.without_waiting(pipeline, way.senders, seconds + 1)
            return
        stop_at = time.monotonic() + seconds
        numbers = range(way.senders)
        await asyncio.gather(*(load.sender(pipeline, run, number, stop_at, way.by_message) for number in numbers))

    sending = asyncio.create_task(send())
    try:
        yield answers
        await sending
    finally:
        sending.cancel()


async def set_up(pipeline: Pipeline, outside: Receiver, definition: dict[str, Any]) -> None:
    """Stores the flow, its channel and the webhook `bench`, and waits until the listener knows them."""
    channel = {"type": "http", "url": f"{outside.url}/messages", "secret": CHANNEL_SECRET}
    await pipeline.api("PUT", "/api/channels/receiver", channel)
    await pipeline.api("PUT", "/api/flows/bench", definition)
    webhook = {
        "flowId": "bench",
        "nodeId": "start",
        "auth": {"type": "none"},
        "conversation": {"channel": "receiver", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
        "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    }
    await pipeline.api("PUT", "/api/webhooks/bench", webhook)

    async def known() -> bool:
        # The listener reads changes once a second.
        return (await pipeline.webhook("bench", b'{"text":"no conversation"}'))[0] == 200

    await eventually(known)
