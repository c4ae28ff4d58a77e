"""The relay: enqueues the jobs of rows that are unfinished and due and whose job is missing from Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.periodic import periodic
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis

GRACE_S: Final = 5.0
"""Younger rows are not relayed: the normal path may be about to enqueue their jobs."""

SETTLE_S: Final = 1.0
"""How long after the beginning of a restoration its rows are read. By then, the process that wrote an older row has
enqueued its job too: before Redis lost its data, or after it, or its job is held back."""

SWEEP_S: Final = 30.0
SERVER_POLL_S: Final = 2.0
RETRY_S: Final = (0.5, 5.0)
"""The first and the longest wait while a store is unavailable."""

BATCH: Final = 500
PAGES: Final = 20
"""How many pages of BATCH rows a regular sweep reads."""

_log = get_logger(__name__)


class RelaySource(Protocol):
    """The table that a service relays. `name` is the table's name, for logs and metrics."""

    name: str

    async def due(self, limit: int, after: NewJob | None = None, *, older_than_s: float = GRACE_S) -> list[NewJob]:
        """Returns up to `limit` jobs of rows that are unfinished, due and older than `older_than_s`, in the order in
        which they became due.

        They follow the row of `after`, the last job of the previous page (None: from the start). A page of large rows
        has fewer jobs, so that it is bounded in bytes. No job means the end of the table. Raises StoreUnavailable.
        """


class Relay:
    """Sweeps `source` every `sweep_s` seconds, and at once after another server answers or a store was unavailable. The
    worker calls `restore` when Redis has lost its data.

    A job that is waiting, delayed or active, or is a dead letter in Redis, stays as it is: its id derives from the
    row's, so the producer reports a duplicate. A regular sweep reads a limited number of rows and the next sweep
    continues there, so a long table is not read again and again.
    """

    def __init__(
        self,
        redis: Redis,
        producer: QueueProducer,
        source: RelaySource,
        *,
        sweep_s: float = SWEEP_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._redis = redis
        self._producer = producer
        self._source = source
        self._sweep_s = sweep_s
        self._grace_s = grace_s
        self._sweeps_all = False
        self._was_unavailable = False
        self._next_sweep = time.monotonic()
        self._server: str | None = None
        self._after: NewJob | None = None

    async def run(self) -> None:
        """Relays until cancelled. While a store is unavailable, it waits and tries again."""
        await periodic(f"relay-{self._source.name}", self._step, SERVER_POLL_S, retry_s=RETRY_S)

    async def _step(self) -> float:
        try:
            return await self._sweep_if_due()
        except StoreUnavailable:
            self._was_unavailable = True
            raise

    async def _sweep_if_due(self) -> float:
        """Sweeps if it is time. Returns the seconds until the next step."""
        if await self._server_changed():
            self._sweeps_all = True
        if self._sweeps_all:
            await self._sweep_all()
            # Jobs of rows that are still younger than GRACE_S may have been lost too.
            self._next_sweep = time.monotonic() + min(GRACE_S + 1, self._sweep_s)
        elif self._was_unavailable:
            # Jobs were not enqueued meanwhile. Their rows are the oldest ones, or still younger than GRACE_S.
            self._after = None
            await self.sweep(pages=PAGES)
            self._next_sweep = time.monotonic() + min(GRACE_S + 1, self._sweep_s)
        elif time.monotonic() >= self._next_sweep:
            await self.sweep(pages=PAGES)
            self._next_sweep = time.monotonic() + self._sweep_s
        self._was_unavailable = False
        return min(SERVER_POLL_S, max(self._next_sweep - time.monotonic(), 0.01))

    async def sweep(self, *, pages: int | None = None) -> int:
        """Enqueues missing jobs, starting where the last sweep stopped. Returns how many it enqueued.

        Reads at most `pages` pages (None: to the end of the table). Raises StoreUnavailable; the next sweep then
        repeats the page.
        """
        relayed, number = 0, 0
        while pages is None or number < pages:
            number += 1
            jobs = await self._source.due(BATCH, self._after, older_than_s=self._grace_s)
            if not jobs:
                self._after = None
                break
            outcomes = await self._producer.relay_many(jobs)
            relayed += outcomes.count(EnqueueOutcome.ENQUEUED)
            self._after = jobs[-1]
        self._count(relayed)
        return relayed

    async def restore(self, token: str, began: float, keep_place: Callable[[], Awaitable[None]]) -> int:
        """See `Restorable`. Raises StoreUnavailable."""
        relayed, after = 0, None
        if not await self._source.due(1, older_than_s=0.0):
            return 0
        await asyncio.sleep(began + SETTLE_S - time.monotonic())
        # The jobs of rows that are younger than the beginning are held back, so they are not missing.
        while jobs := await self._source.due(BATCH, after, older_than_s=time.monotonic() - began):
            await keep_place()
            outcomes = await self._producer.restore_many(jobs, token)
            relayed += outcomes.count(EnqueueOutcome.ENQUEUED)
            after = jobs[-1]
        self._count(relayed)
        # The lease of an execution that was running may expire later.
        self._after, self._next_sweep = None, time.monotonic() + min(GRACE_S + 1, self._sweep_s)
        return relayed

    def _count(self, relayed: int) -> None:
        if relayed:
            metrics.RELAYED.labels(self._source.name).inc(relayed)
            _log.info("relay.enqueued", table=self._source.name, jobs=relayed)

    async def _sweep_all(self) -> None:
        self._after = None
        self._sweeps_all = False
        try:
            await self.sweep()
        except StoreUnavailable:
            self._sweeps_all = True
            raise

    async def _server_changed(self) -> bool:
        name = await self._redis.identity()
        changed = self._server is not None and name != self._server
        self._server = name
        return changed
