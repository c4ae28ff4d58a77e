"""The answer to a webhook does not wait for worker capacity: the workers may be dead, or all of their slots taken."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ingest.process.processor import Processor
from tests.ingest.serving import Serving, serving, webhook
from tests.ingest.test_webhook_worker import working
from tests.waiting import PATIENCE_S, eventually

REQUESTS = 300


async def answers(app: Serving) -> list[int]:
    """The statuses of many requests, one after the other."""
    async with asyncio.timeout(PATIENCE_S):
        return [(await app.post("orders", {"number": number}))[0] for number in range(REQUESTS)]


async def processed(app: Serving) -> int:
    """How many events were processed."""
    return int(await app.database.fetchval("select count(*) from events where status <> 'received'"))


async def test_without_a_worker_every_webhook_is_answered(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        assert await answers(app) == [200] * REQUESTS
        assert await processed(app) == 0


async def test_while_every_slot_of_the_worker_is_taken_every_webhook_is_answered(
    redis_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job of the worker ends before the last request is answered."""
    may_end, held = asyncio.Event(), 0

    async def held_back(_processor: Processor, jobs: Sequence[Any]) -> list[Exception]:
        nonlocal held
        held += len(jobs)
        await may_end.wait()
        return [RuntimeError("the test is over")] * len(jobs)

    monkeypatch.setattr(Processor, "process", held_back)
    async with serving(redis_url, postgres_dsn, webhook()) as app, working(app):
        await app.post("orders", {"number": -1})
        await eventually(lambda: held > 0)
        assert await answers(app) == [200] * REQUESTS
        assert await processed(app) == 0
        may_end.set()
