"""A process answers `/livez` while it gets costly bodies, and its memory stays bounded."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import ClientSession

from filas.models.configuration import ConversationRule, Dedupe, Webhook
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.postgres.database import Database
from tests.cpu_costs import slowness
from tests.ingest.adversarial_bodies import COSTLY_EXPRESSIONS, JSON, MIB, NUMBERS, Adversarial, every_body
from tests.ingest.serving import webhook
from tests.ingest.test_processes import Process, environment, running
from tests.long_form import by_form
from tests.waiting import PATIENCE_S, eventually

MAX_CPU_S = 0.25
MAX_GROWTH = 200 * MIB
SENDERS = by_form(4, 8)
ROUNDS = by_form(1, 5)
TICKS_PER_S = 100


def cpu_s(pid: int) -> float:
    """The CPU time of the process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def peak_bytes(pid: int) -> int:
    """The most memory that the process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


async def probe(process: Process, ended: asyncio.Event) -> list[float]:
    """Requests `/livez` until `ended`. Returns the CPU time that the process used during each request.

    On an idle machine that is the time of the answer. On another one, that depends on the other processes. The
    seconds are those of tests/cpu_costs.py.
    """
    used: list[float] = []
    pid = process.process.pid
    while not ended.is_set():
        before = cpu_s(pid)
        status, _ = await process.get("/livez")
        assert status == 200
        used.append((cpu_s(pid) - before) / slowness())
        await asyncio.sleep(0.02)
    return used


async def send(session: ClientSession, url: str, bodies: Sequence[Adversarial]) -> set[int]:
    """Posts the bodies. Returns the statuses of the answers."""
    statuses: set[int] = set()
    for body in bodies:
        headers = {"Content-Type": body.content_type or "text/plain"}
        async with session.post(url, data=body.body, headers=headers) as answer:
            statuses.add(answer.status)
            await answer.read()
    return statuses


@pytest.mark.timeout(110)
async def test_livez_is_answered_while_costly_bodies_arrive(redis_url: str, postgres_dsn: str) -> None:
    """Each body is accepted or gets a 4xx, or a 503 while too many are in memory. None causes a 500."""
    rule = ConversationRule(channel="console", contact="{{ body.a }}", text="{{ body.a | json }}")
    webhooks: list[Webhook] = [webhook("plain"), webhook("deduped", dedupe=Dedupe(path=COSTLY_EXPRESSIONS[0]))]
    webhooks.append(webhook("conversation", conversation=rule))
    database = Database(postgres_dsn, application_name="test")
    database.start()
    await database.wait_ready(PATIENCE_S)
    for one in webhooks:
        await WebhookRepository(database).store(one)
    variables = environment(redis_url, postgres_dsn, RATE_LIMIT_PER_IP="0")
    bodies = [*every_body(), *[Adversarial("numbers", JSON, NUMBERS)] * 10] * ROUNDS
    async with running("serve", variables) as process, ClientSession() as session:
        assert await eventually(lambda: _is_ready(process))
        base = f"http://127.0.0.1:{variables['INGEST_PORT']}/webhooks/"
        await send(session, base + "plain", [Adversarial("small", JSON, b"{}")])
        before = peak_bytes(process.process.pid)
        ended = asyncio.Event()
        probing = asyncio.create_task(probe(process, ended))
        sending = [
            send(session, base + webhooks[number % len(webhooks)].path, bodies[number::SENDERS])
            for number in range(SENDERS)
        ]
        statuses = set[int]().union(*await asyncio.gather(*sending))
        ended.set()
        used = await probing
        growth = peak_bytes(process.process.pid) - before
    await database.close()
    assert statuses <= {200, 413, 415, 503}, statuses
    assert max(used) < MAX_CPU_S, sorted(used)[-5:]
    assert growth < MAX_GROWTH, f"{growth >> 20} MiB"


async def _is_ready(process: Process) -> bool:
    return (await process.get("/readyz"))[0] == 200
