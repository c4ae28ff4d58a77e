"""Workers are frozen until their leases have expired, or lose one of the two stores. A checker compares the effects.

A frozen process that continues (a zombie) still has its jobs in memory, and its connections. It may repeat an effect
under the same key, and may write nothing that another worker has taken over.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from filas.contract.policies import LEASE_S
from filas_local.servers import PostgresServer, RedisServer
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.freezing import frozen_process
from tests.hostile.faulty_proxy import FAULTS, Fault, FaultyProxy
from tests.hostile.write_audit import WriteAudit
from tests.long_form import by_form
from tests.process_table import WORKERS
from tests.waiting import eventually

NAMES = [name for kind in WORKERS for name in (kind, f"{kind}-2")]
ROUNDS = by_form(1, 5)
CONTACTS = by_form(8, 20)
PAUSE_S = 0.4
"""Between two messages of one contact."""

FROZEN_S = (LEASE_S + 0.5, LEASE_S + 4)
CUT_S = (2.0, LEASE_S + 2)
LATE_S = (LEASE_S + 0.5, LEASE_S + 4)
"""How long a connection is paused: what it then delivers was sent under a lease that has expired."""

BETWEEN_S = (0.2, 1.5)
ANSWER_S = (0.0, 0.5)
"""How long the receiver takes for an answer, so that faults happen in the middle of calls."""

FINISHED_WITHIN_S = by_form(180, 90)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def flow(outside: str) -> dict[str, Any]:
    """A call and a message for each incoming message. Both have its text."""
    return {
        "schemaVersion": 1,
        "name": "Call and answer",
        "nodes": [
            {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
            {
                "id": "call",
                "type": "api",
                "data": {
                    "method": "POST",
                    "url": f"{outside}/calls",
                    "body": {"to": "{{ conversation.contact }}", "text": "{{ conversation.text }}"},
                },
            },
            {"id": "answer", "type": "message", "data": {"text": "{{ conversation.text }}"}},
        ],
        "edges": [
            {"id": "e1", "source": "start", "target": "call"},
            {"id": "e2", "source": "call", "sourceHandle": "out", "target": "answer"},
        ],
    }


class SlowReceiver(Receiver):
    """Answers each request after a random time."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    async def handle(self, request: web.Request) -> web.Response:
        """Keeps the request when it arrives, and answers later."""
        self.note(request, await request.read())
        await asyncio.sleep(self._chance.uniform(*ANSWER_S))
        return web.json_response({"ok": True})


@dataclass
class Scene:
    """What a test uses, and how often it did what to whom."""

    pipeline: Pipeline
    proxies: dict[tuple[str, str], FaultyProxy]
    chance: random.Random
    sent: dict[str, int] = field(default_factory=Counter)
    done: list[str] = field(default_factory=list)
    over: bool = False

    async def talk(self, contact: str) -> None:
        """One contact, who sends numbered messages. Each is accepted before the next one is sent."""
        while not self.over:
            body = json.dumps({"from": contact, "text": str(self.sent[contact])}).encode()
            status, answer = await self.pipeline.webhook("chat", body)
            assert status == 200, answer
            self.sent[contact] += 1
            await asyncio.sleep(PAUSE_S * self.chance.uniform(0.5, 1.5))

    async def freeze(self, name: str) -> None:
        """SIGSTOP, and SIGCONT after its leases have expired."""
        seconds = self.chance.uniform(*FROZEN_S)
        self.done.append(f"{name} frozen {seconds:.1f} s")
        with frozen_process(self.pipeline.pids[name]):
            await asyncio.sleep(seconds)

    async def cut_off(self, name: str, store: str, fault: Fault) -> None:
        """The worker loses one store, and keeps the other one."""
        seconds = self.chance.uniform(*(LATE_S if fault == "pause" else CUT_S))
        self.done.append(f"{name} {store} {fault} {seconds:.1f} s")
        await self.proxies[name, store].fail(fault, seconds)

    async def harm(self, kind: str) -> None:
        """Every fault happens to one of the two workers of this kind, in a random order. The other one works."""
        pair = (kind, f"{kind}-2")
        for _ in range(ROUNDS):
            faults = [partial(self.freeze, name) for name in pair]
            # One connection to Postgres is always paused: writes then arrive after their fence was lost.
            kinds: list[Fault] = ["pause", *self.chance.sample([one for one in FAULTS if one != "pause"], 3)]
            first, second = self.chance.sample(pair, 2)
            places = [(first, "postgres"), (second, "postgres"), (first, "redis"), (second, "redis")]
            for (name, store), fault in zip(places, kinds, strict=True):
                faults.append(partial(self.cut_off, name, store, fault))
            self.chance.shuffle(faults)
            for do_harm in faults:
                await asyncio.sleep(self.chance.uniform(*BETWEEN_S))
                await do_harm()


def report(*lines: str) -> None:
    """Writes lines that pytest shows when the test fails, and with `-s`."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def effects(outside: Receiver, path: str) -> dict[str, list[int]]:
    """The messages of each contact in the order of their first arrival at `path`.

    Fails if one effect arrived under two keys, or two under one.
    """
    keys: dict[tuple[str, int], set[str]] = {}
    for headers, body in outside.at(path):
        document = json.loads(body)
        keys.setdefault((document["to"], int(document["text"])), set()).add(headers["idempotency-key"])
    assert [effect for effect, found in keys.items() if len(found) != 1] == []
    assert len({key for found in keys.values() for key in found}) == len(keys)
    first: dict[str, list[int]] = {}
    for contact, number in keys:
        first.setdefault(contact, []).append(number)
    return first


def order_faults(arrived: Sequence[int], sent: int) -> list[str]:
    """What is wrong with the order in which the messages 0, 1, 2, … of one contact arrived first."""
    missing = [f"{number} is missing" for number in range(sent) if number not in arrived]
    return missing + [f"{late} came after {early}" for early, late in pairwise(arrived) if late < early]


async def counters(pipeline: Pipeline, name: str, metric: str) -> dict[str, float]:
    """The values of a counter of one process, by its labels as Prometheus writes them."""
    async with pipeline.session.get(f"http://127.0.0.1:{pipeline.admin_ports[name]}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {
        line.rpartition(" ")[0].removeprefix(metric): float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith((f"{metric} ", f"{metric}{{"))
    }


async def total(pipeline: Pipeline, metric: str, *labels: str) -> float:
    """The sum over all workers of a counter's values that have these labels."""
    found = [await counters(pipeline, name, metric) for name in NAMES]
    return sum(value for one in found for where, value in one.items() if all(label in where for label in labels))


async def open_proxies(
    stack: AsyncExitStack, redis: RedisServer, postgres: PostgresServer
) -> dict[tuple[str, str], FaultyProxy]:
    """A proxy between each worker and each store."""
    openers = {
        "redis": partial(asyncio.open_connection, redis.host, redis.port),
        "postgres": partial(asyncio.open_unix_connection, str(postgres.socket_dir / ".s.PGSQL.5432")),
    }
    return {
        (name, store): await stack.enter_async_context(FaultyProxy(opener).listening())
        for name in NAMES
        for store, opener in openers.items()
    }


async def set_up(pipeline: Pipeline, outside: Receiver) -> None:
    """The channel, the flow and the webhook."""
    await pipeline.api(
        "PUT", "/api/channels/outside", {"type": "http", "url": f"{outside.url}/messages", "secret": SECRET}
    )
    await pipeline.api("PUT", "/api/flows/talk", flow(outside.url))
    webhook = {
        "flowId": "talk",
        "conversation": {"channel": "outside", "contact": "{{ body.from }}", "text": "{{ body.text }}"},
        "rateLimit": {"max": 1_000_000, "windowMs": 60_000},
    }
    await pipeline.api("PUT", "/api/webhooks/chat", webhook)


def unfinished(postgres: PostgresServer, expected: int) -> list[str]:
    """What is not as it must be in the end: one line for each status with its count."""
    found = postgres.execute(
        "select 'events', status, count(*) from events group by status",
        "select 'executions', status, count(*) from executions group by status",
        "select 'notifications', status, count(*) from notifications group by status",
        database="filas",
    ).splitlines()
    wanted = {"events|processed", "executions|succeeded", "notifications|delivered"}
    return [line for line in found if line not in {f"{one}|{expected}" for one in wanted}]


@pytest.mark.timeout(by_form(420, 1800))
async def test_zombies_and_partial_partitions_lose_repeat_and_reorder_nothing(
    own_postgres: PostgresServer, own_redis: RedisServer, tmp_path: Path
) -> None:
    """Each effect happens at least once, under one key, in the order of its conversation.

    Nothing is written after a fence was lost. No fault of a store uses an attempt or makes a dead letter, and all is
    finished soon after the last fault. FILAS_TEST_SEED repeats a run.
    """
    seed = int(os.environ.get("FILAS_TEST_SEED") or time.time())
    report(f"FILAS_TEST_SEED={seed}")
    chance = random.Random(seed)
    audit = WriteAudit(own_postgres, NAMES)
    pipeline = Pipeline(own_redis.url, own_postgres.dsn(), tmp_path, twice=WORKERS)
    async with AsyncExitStack() as stack:
        proxies = await open_proxies(stack, own_redis, own_postgres)
        for name in NAMES:
            pipeline.own_environment[name] = {
                "REDIS_PORT": str(proxies[name, "redis"].port),
                "DATABASE_URL": f"postgresql://{audit.user(name)}@127.0.0.1:{proxies[name, 'postgres'].port}/filas",
            }
        outside = await stack.enter_async_context(receiver(SlowReceiver(chance)))
        await stack.enter_async_context(pipeline)
        await set_up(pipeline, outside)
        scene = Scene(pipeline, proxies, chance)
        async with asyncio.TaskGroup() as group:
            contacts = [f"contact-{number}" for number in range(CONTACTS)]
            for contact in contacts:
                group.create_task(scene.talk(contact))
            await asyncio.gather(*(scene.harm(kind) for kind in WORKERS))
            scene.over = True
        report(*scene.done)
        await check(scene, outside, own_postgres, audit, contacts)


async def check(
    scene: Scene, outside: Receiver, postgres: PostgresServer, audit: WriteAudit, contacts: Sequence[str]
) -> None:
    """Compares what arrived, and what is in the database, with what was sent."""
    pipeline = scene.pipeline
    expected = sum(scene.sent.values())
    left: list[str] = []

    async def finished() -> bool:
        left[:] = await asyncio.to_thread(unfinished, postgres, expected)
        await asyncio.sleep(0.5)  # the database is asked twice a second, not without pause
        return not left

    began = time.monotonic()
    try:
        await eventually(finished, timeout=FINISHED_WITHIN_S)
    except AssertionError:
        stats = await pipeline.api("GET", "/api/queue/stats")
        pytest.fail(f"not finished: {left} of {expected}, {stats['summary']}")
    took_s = time.monotonic() - began

    assert audit.faults() == []
    for path in ("/calls", "/messages"):
        first = effects(outside, path)
        faults = {contact: order_faults(first.get(contact, []), scene.sent[contact]) for contact in contacts}
        assert {contact: found for contact, found in faults.items() if found} == {}, path
    repeated = {path: len(outside.at(path)) - expected for path in ("/calls", "/messages")}
    lost = await total(pipeline, "filas_leases_lost_total")
    fences = await total(pipeline, "filas_fences_lost_total")
    taken_over = audit.claims_after_a_lost_lease()
    report(
        f"{expected} messages; finished {took_s:.1f} s after the last fault; repeated {repeated}",
        f"leases lost {lost:.0f}; fences lost {fences:.0f}; taken over {taken_over}",
    )
    assert taken_over > 0, "no worker took anything over: the faults had no effect"
    assert postgres.execute("select count(*) from dead_letters", database="filas") == "0"
    assert postgres.execute("select count(*) from steps", database="filas") == str(3 * expected)
    for outcome in ("retried", "failed"):
        assert await total(pipeline, "filas_jobs_total", f'outcome="{outcome}"') == 0, outcome
