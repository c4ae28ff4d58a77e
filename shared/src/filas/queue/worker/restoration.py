"""Restores a queue after Redis has lost its data, so that no job overtakes an older one of its group."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol
from uuid import uuid4

from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

PLACE_MS: Final = 10_000
"""How long a worker keeps its place as the one that restores, without a sign of life."""

RELEASED_AT_ONCE: Final = 500

_log = get_logger(__name__)


class PlaceLost(Exception):
    """Another worker restores the queue, or Redis has lost its data again."""


class Restorable(Protocol):
    """What can enqueue the jobs of its unfinished rows: a relay."""

    async def restore(self, token: str, began: float, keep_place: Callable[[], Awaitable[None]]) -> int:
        """Enqueues the job of every row that was unfinished at `began` (by the monotonic clock), in the order of the
        rows, as the worker with this token. Awaits `keep_place` for each page. Returns how many were missing. Raises
        StoreUnavailable."""


class Restoration:
    """Enqueues the missing jobs of one queue while nothing is claimed from it (see `restore.lua`)."""

    def __init__(self, redis: Redis, policy: QueuePolicy, relays: Sequence[Restorable]) -> None:
        self._redis = redis
        self._policy = policy
        self._relays = relays
        self._script = load("restore")
        names = redis.keys(policy.name)
        self._keys = names.of("wake", "heads", "grouped", "waiting", "held", "restoring", "restorer", "epoch")
        self._prefix = names.group_prefix

    async def run(self, load_cancels: Callable[[], Awaitable[None]] | None) -> bool:
        """Restores the queue: first the stored cancels with `load_cancels`, then the jobs. Returns False if another
        worker does that. Raises StoreUnavailable."""
        token = uuid4().hex[:16]
        answer = await self._command("begin", token)
        began = time.monotonic()
        if answer != b"done":
            return answer == b"restored"

        async def keep_place() -> None:
            if await self._command("renew", token) != b"done":
                raise PlaceLost

        jobs = 0
        try:
            if load_cancels is not None:
                await load_cancels()
            for relay in self._relays:
                jobs += await relay.restore(token, began, keep_place)
            while (answer := await self._command("release", token)) == b"more":
                pass
        except PlaceLost:
            return False
        except StoreUnavailable:
            # Any worker can begin again at once.
            with suppress(StoreUnavailable):
                await self._command("leave", token)
            raise
        # A new server has lost nothing.
        if answer == b"done" and jobs:
            _log.info("queue.restored", queue=self._policy.name, jobs=jobs, seconds=round(time.monotonic() - began, 3))
        return answer == b"done"

    async def _command(self, command: str, token: str) -> object:
        args = [command, token, PLACE_MS, self._prefix, RELEASED_AT_ONCE, token]
        return await self._redis.run(self._script, self._keys, args)
