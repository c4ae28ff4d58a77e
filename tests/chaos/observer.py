"""Observes a run through what Filas offers to its users, and collects what it reported."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Self

import asyncpg

from tests.chaos.alerts import WINDOW_S, read_alerts, store_rules, unsettled
from tests.chaos.asking import Asker
from tests.chaos.dashboards import Dashboards
from tests.chaos.figures import read_figures
from tests.chaos.observed import Observed
from tests.chaos.outside import Receiver
from tests.chaos.redis_stores import RedisStore
from tests.chaos.schedule import Fault
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline

OVER_S: Final = WINDOW_S + 60.0
"""How long alerts may last after the work has ended: the failures of the last WINDOW_S count."""


class Observer:
    """The open dashboards of a run, the receiver of alerts, the questions about unfinished work, and the figures. `dsn`
    and `redis_store` are the stores without the links.

    As a context, it stores the alert rules; their messages are received until it ends.
    """

    def __init__(self, pipeline: Pipeline, dsn: str, redis_store: RedisStore, seed: int) -> None:
        self._pipeline = pipeline
        self._dsn = dsn
        self._redis_store = redis_store
        self._seed = seed
        self._receiver = Receiver()
        self._pids: dict[str, int] = {}
        self._dashboards: Dashboards | None = None
        self._asker: Asker | None = None
        self._began_at = datetime.now(UTC)
        self._ended_s = 0.0

    async def __aenter__(self) -> Self:
        await self._receiver.__aenter__()
        await store_rules(self._pipeline, self._receiver.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._receiver.__aexit__()

    @asynccontextmanager
    async def during(self, began: float, began_at: datetime) -> AsyncIterator[None]:
        """Observes while the block runs: the faults and the load. The run began at `began` (`time.monotonic`), which
        is `began_at`."""
        url = f"http://127.0.0.1:{self._pipeline.admin_ports['ingest-admin']}"
        self._pids = dict(self._pipeline.pids)
        self._receiver.began, self._began_at = began, began_at
        self._dashboards = Dashboards(url, ADMIN_TOKEN, self._seed, began)
        self._asker = Asker(self._pipeline, self._dsn, self._redis_store, self._seed, began)
        async with self._dashboards.open():
            asking = asyncio.create_task(self._asker.run())
            try:
                yield
                self._ended_s = time.monotonic() - began
            finally:
                asking.cancel()
                (ended,) = await asyncio.gather(asking, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def observed(self, pool: "asyncpg.Pool[asyncpg.Record]", faults: Sequence[Fault]) -> Observed:
        """What was reported, with the figures of now. The work has ended; waits until the alerts are over."""
        assert self._dashboards is not None
        assert self._asker is not None
        deadline = time.monotonic() + OVER_S
        while await unsettled(pool) and time.monotonic() < deadline:  # noqa: ASYNC110 - Postgres has no event
            await asyncio.sleep(1.0)
        async with self._dashboards.signed_in() as signed_in:
            figures = await read_figures(self._pipeline, pool, faults, self._began_at, signed_in)
        return Observed(
            frames=self._dashboards.frames,
            readings=self._dashboards.readings,
            ended_s=self._ended_s,
            figures=figures,
            restarted=frozenset(name for name, pid in self._pipeline.pids.items() if pid != self._pids.get(name)),
            alerts=await read_alerts(pool, self._receiver.arrivals),
            questions=self._asker.questions,
        )
