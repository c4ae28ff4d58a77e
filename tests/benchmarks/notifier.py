"""The notifier's benchmark: one process delivers queued notifications to a receiver on this machine. It also measures
the latency of one channel's messages while a thousand messages wait for another, busy channel.

    python -m tests.benchmarks.notifier [--notifications N] [--channels N …] [--rounds N]

Postgres syncs its commits to disk, and Redis syncs its log every second, as with `filas up`. The receiver is a
separate process with a minimal HTTP protocol.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from filas.contract.identity import new_id
from filas.contract.jobs import NotificationJob
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS
from filas.crypto.secret_box import SecretBox
from filas.models.configuration import Channel
from filas.observability import logs
from filas.queue.producer import QueueProducer
from filas.repository import migrate
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.postgres.database import Database
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks.flows.measurements import COMMITS, cpu_of_tree, usage_of
from tests.benchmarks.rounds import add_options, recording
from tests.notifier.pace import Busy, Timed, all_delivered, flood, p99_s
from tests.notifier.process import KEY, SECRET, NotifierProcess, stage
from tests.notifier.receiver import receiver as served
from tests.notifier.rows import opened
from tests.redis_address import connect_url
from tests.waiting import eventually

DATABASE = "bench"
PART = "notifier"
WAITING = 1000
PACED = 200
CHUNK = 500
STATISTICS_S = 1.5
"""Sessions of Postgres report their statistics at most once a second."""

ADD = """
insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, due_at,
    created_at, updated_at)
select id, id, 5, channel_id, recipient, '{"type":"text","text":"Olá Maria! Seu pedido chegou."}', id || ':5', now(),
    now(), now()
from unnest($1::uuid[], $2::text[], $3::text[]) as n (id, channel_id, recipient)"""
ENDED = "select count(*) from notifications where ended_at is not null"
DELIVERED = "select count(*) from notifications where status = 'delivered'"

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class MinimalReceiver(asyncio.Protocol):
    """Answers 200 to every request with a Content-Length. Connections are kept open."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            assert self._transport is not None
            self._transport.write(ANSWER)


async def receive() -> None:
    """Runs the receiver's process: prints its port and serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(MinimalReceiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def receiver() -> Iterator[str]:
    """A receiver's address while the block runs."""
    command = [sys.executable, "-m", "tests.benchmarks.notifier", "--receive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/in"
        finally:
            process.kill()


async def queue(database: Database, redis_url: str, count: int, channels: int) -> None:
    """Enqueues `count` notifications. Each has its own recipient, and the channels alternate."""
    redis = connect_url(redis_url)
    producer = QueueProducer(redis)
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        ids: list[UUID] = [new_id() for _ in numbers]
        names = [f"channel-{number % channels}" for number in numbers]
        contacts = [f"55119{number:08}" for number in numbers]
        await database.fetch(ADD, ids, names, contacts)
        jobs = [NotificationJob(notification_id=one, channel_id=name) for one, name in zip(ids, names, strict=True)]
        groups = [f"{name}:{contact}" for name, contact in zip(names, contacts, strict=True)]
        await producer.enqueue_many(
            [NewJob(NOTIFICATIONS, job.key, job, group=group) for job, group in zip(jobs, groups, strict=True)]
        )
    await redis.close()


async def measure(
    postgres: PostgresServer, redis: RedisServer, home: Path, count: int, channels: int
) -> dict[str, float | None]:
    """Enqueues `count` notifications, starts a notifier, and returns the figures."""
    dsn = postgres.dsn(DATABASE)
    with receiver() as url:
        async with opened(dsn) as database:
            for number in range(channels):
                config = {"url": url, "secret": SecretBox(KEY).seal(SECRET)}
                await ChannelRepository(database).store(Channel(id=f"channel-{number}", type="http", config=config))
            await queue(database, f"{redis.url}/0", count, channels)
            notifier = NotifierProcess(f"{redis.url}/0", dsn, home, forked=False, LOG_LEVEL="warning")
            try:
                notifier.start()
                # From the first delivery: the start of an interpreter is not measured.
                await eventually(lambda: database.fetchval(ENDED), 60)
                before, began = await database.fetchval(COMMITS), time.monotonic()
                done = await database.fetchval(ENDED)
                cpu, postgres_cpu = usage_of(notifier.pid).cpu_s, cpu_of_tree(postgres.pid or 0)
                await until(database, count)
                took = time.monotonic() - began
                after = usage_of(notifier.pid)
                postgres_cpu = cpu_of_tree(postgres.pid or 0) - postgres_cpu
                await asyncio.sleep(STATISTICS_S)
                statements = await database.fetchval(COMMITS) - before
            finally:
                notifier.close()
            failures = count - await database.fetchval(DELIVERED)
    measured = count - done
    return {
        "rate": measured / took,
        "cpu": (after.cpu_s - cpu) / measured * 1000,
        "cpu postgres": postgres_cpu / measured * 1000,
        "statements": statements / measured,
        "memory": after.peak_mib,
        "failures": float(failures),
    }


async def measure_busy_channel(postgres: PostgresServer, redis: RedisServer, home: Path) -> dict[str, float | None]:
    """Measures one channel alone, then while WAITING messages wait for a busy channel. Returns the latencies."""
    busy, alone, beside = Busy(), Timed(), Timed()
    async with (
        served(busy) as slow,
        served(alone) as calm,
        served(beside) as quick,
        stage(f"{redis.url}/0", postgres.dsn(DATABASE), home, forked=False, LOG_LEVEL="warning") as world,
    ):
        for name, outside in {"slow": slow, "calm": calm, "quick": quick}.items():
            await world.channel(name, outside.url)
        await p99_s(world, alone, "calm", PACED)  # the first messages open the connections
        without = await p99_s(world, alone, "calm", PACED)
        await flood(world, "slow", WAITING)
        with_it = await p99_s(world, beside, "quick", PACED)
        busy.is_busy, ended = False, time.monotonic()
        await all_delivered(world, "slow", WAITING)
        after_s = time.monotonic() - ended
        letters = len((await world.dead_letters.list()).items)
    return {
        "p99 alone": without * 1000,
        "p99 beside": with_it * 1000,
        "p99 ratio": with_it / without,
        "all delivered after": after_s,
        "dead letters": float(letters),
    }


async def until(database: Database, count: int) -> None:
    """Waits until so many notifications have ended. Polls ten times a second."""

    async def ended() -> bool:
        await asyncio.sleep(0.1)
        return bool(await database.fetchval(ENDED) >= count)

    await eventually(ended, 600)


def main() -> None:
    """Runs each measurement on its own servers."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.notifier", description=__doc__)
    parser.add_argument("--notifications", type=int, default=20_000)
    parser.add_argument("--channels", type=int, nargs="*", default=[1, 20])
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    add_options(parser)
    options = parser.parse_args()
    if options.receive:
        asyncio.run(receive())
        return
    logs.configure("warning", "console", "bench")
    with recording(PART, options) as (recorder, (tree, *_), length):
        recorder.result.form = f"{options.notifications:,} notifications"
        for _ in range(length.rounds):
            for channels in options.channels:
                where = "one channel" if channels == 1 else f"{channels} channels"
                with servers() as (postgres, redis, home):
                    figures = asyncio.run(measure(postgres, redis, home, options.notifications, channels))
                recorder.add(tree, f"one notifier, {where}", figures)
            with servers() as (postgres, redis, home):
                figures = asyncio.run(measure_busy_channel(postgres, redis, home))
            recorder.add(tree, "beside a busy channel", figures)


@contextmanager
def servers() -> Iterator[tuple[PostgresServer, RedisServer, Path]]:
    """Runs Postgres with our tables, Redis and a directory, while the block runs."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with PostgresServer(home / "postgres") as postgres, RedisServer(home / "redis") as redis:
            postgres.ensure_database(DATABASE)
            asyncio.run(migrate.migrate(postgres.dsn(DATABASE)))
            yield postgres, redis, home


if __name__ == "__main__":
    main()
