"""Stores the snapshot of a moment at which a viewer froze the stream, so that its address can be sent to a colleague.

The moments are in Redis, not in the memory of this process: the colleague's request may reach another admin process,
and a deploy must not end them. They are figures for a conversation about an incident, so they last for a day, only the
newest are kept, and no harm is done when Redis loses them.
"""

import time
import zlib
from typing import Final

import msgspec

from filas.queue.redis_client.connection import Redis
from ingest.dashboard.live.snapshot import Snapshot, decode, encode

KEY: Final = "filas:dashboard:moments"
"""A hash: the moment in Unix ms to its compressed snapshot."""

KEPT_S: Final = 24 * 3600
MOST: Final = 200
MAX_BYTES: Final = 2**20


class MomentStore:
    """The stored moments, shared by all admin processes. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def save(self, snapshot: Snapshot) -> None:
        """Stores a moment, and removes the oldest beyond MOST."""
        content = zlib.compress(encode(snapshot))
        await self._redis.command("HSET", KEY, str(snapshot.at), content)
        await self._redis.command("EXPIRE", KEY, KEPT_S)
        stored = sorted(int(name) for name in await self._redis.command("HKEYS", KEY))
        too_old = time.time_ns() // 1_000_000 - KEPT_S * 1000
        surplus = [at for at in stored if at < too_old] + stored[: max(len(stored) - MOST, 0)]
        if surplus:
            await self._redis.command("HDEL", KEY, *(str(at) for at in set(surplus)))

    async def load(self, at: int) -> Snapshot | None:
        """Returns the stored moment; None if it is not stored, or a newer version has stored it in another form."""
        content = await self._redis.command("HGET", KEY, str(at))
        if content is None:
            return None
        try:
            return decode(zlib.decompressobj().decompress(content, MAX_BYTES))
        except (msgspec.DecodeError, zlib.error):
            return None
