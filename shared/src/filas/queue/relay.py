"""Putting back the jobs of rows that are unfinished and due, and whose job is gone."""

import asyncio
import contextlib
import time
from typing import Final, Protocol

from filas.contract.new_job import NewJob
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.producer import EnqueueOutcome, Producer
from filas.queue.redis_client.connection import Redis

GRACE_S: Final = 5.0
"""Rows younger than this are left to the normal way."""

SWEEP_S: Final = 30.0
SERVER_POLL_S: Final = 2.0
BATCH: Final = 500
PAGES: Final = 20
"""How many pages a regular sweep looks at."""

_log = get_logger(__name__)


class RelaySource(Protocol):
    """A service's own table, as far as the relay needs it. `name` is the table's, for log and metrics."""

    name: str

    async def due(self, limit: int, after: NewJob | None = None) -> list[NewJob]:
        """Up to `limit` jobs of rows that are unfinished, due and older than GRACE_S, in a fixed order,
        beginning behind the row of `after`, the last job of the page before (None: from the start).

        Raises StoreUnavailable.
        """


class Relay:
    """Sweeps `source` every `sweep_s`, and at once when Redis has lost data or another server answers.

    A job that stands in the queue, runs, or waits as a dead letter in Redis is left as it is: its id is the
    row's, and the producer calls it a duplicate. A regular sweep looks at a bounded number of rows and the
    next one goes on from there, so that a long queue isn't read over and over.
    """

    def __init__(self, redis: Redis, producer: Producer, source: RelaySource, *, sweep_s: float = SWEEP_S) -> None:
        self._redis = redis
        self._producer = producer
        self._source = source
        self._sweep_s = sweep_s
        self._now = asyncio.Event()
        self._server: str | None = None
        self._after: NewJob | None = None

    def data_lost(self) -> None:
        """Redis was found empty: sweep at once. Given to the worker as `on_data_lost`."""
        self._now.set()

    async def run(self) -> None:
        """Relay for as long as the task lives; a store that is away is waited for."""
        next_sweep, delay = time.monotonic(), 0.5
        while True:
            try:
                if await self._server_changed():
                    self._now.set()
                if self._now.is_set():
                    self._now.clear()
                    await self._whole_sweep()
                    # What was younger than the grace period just now may have been lost as well.
                    next_sweep = time.monotonic() + min(GRACE_S + 1, self._sweep_s)
                elif time.monotonic() >= next_sweep:
                    await self.sweep(pages=PAGES)
                    next_sweep = time.monotonic() + self._sweep_s
                delay = 0.5
            except StoreUnavailable as error:
                _log.info("relay.waiting", table=self._source.name, store=error.store, reason=error.reason)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
                continue
            wait_s = min(SERVER_POLL_S, max(next_sweep - time.monotonic(), 0.01))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._now.wait()

    async def sweep(self, *, pages: int | None = None) -> int:
        """Put back what is absent, from where the last sweep stopped, for at most `pages` pages (None: to the
        end). Returns how many jobs were put back. Raises StoreUnavailable, and then goes on there next time.
        """
        put_back, number = 0, 0
        while pages is None or number < pages:
            number += 1
            jobs = await self._source.due(BATCH, self._after)
            outcomes = await self._producer.enqueue_many(jobs)
            put_back += outcomes.count(EnqueueOutcome.ENQUEUED)
            self._after = jobs[-1] if len(jobs) >= BATCH else None
            if self._after is None:
                break
        if put_back:
            metrics.RELAYED.labels(self._source.name).inc(put_back)
            _log.info("relay.put_back", table=self._source.name, jobs=put_back)
        return put_back

    async def _whole_sweep(self) -> None:
        self._after = None
        try:
            await self.sweep()
        except StoreUnavailable:
            self._now.set()
            raise

    async def _server_changed(self) -> bool:
        name = await self._redis.identity()
        changed = self._server is not None and name != self._server
        self._server = name
        return changed
