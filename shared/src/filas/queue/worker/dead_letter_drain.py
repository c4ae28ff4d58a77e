"""Moves dead letters from Redis to their permanent store, Postgres."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from filas.batching import MAX_BYTES, in_chunks
from filas.contract.policies import QueuePolicy
from filas.errors import StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.observability.logs import get_logger
from filas.periodic import periodic
from filas.queue.job_functions import DeadLetterSink
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

BATCH: Final = 200
FIRST_SCAN: Final = 8
"""How many dead letters the first call reads. Later calls read as many as have about MAX_BYTES, by the mean so far: the
order of a hash is random."""

SWEEP_S: Final = 10.0
"""How soon the dead letters of a process that has died are found."""

RETRY_S: Final = (0.1, 5.0)
"""The first and the longest wait while a store is unavailable."""

_log = get_logger(__name__)
_decoder = msgspec.json.Decoder(NewDeadLetter)
IdAndLetter = tuple[bytes, bytes]


class DeadLetterDrain:
    """Moves dead letters to `sink`. A dead letter that the sink rejects stays in Redis and delays no other.

    The finisher sets `waiting` when Redis holds dead letters.
    """

    def __init__(self, redis: Redis, policy: QueuePolicy, sink: DeadLetterSink, waiting: asyncio.Event) -> None:
        self._redis = redis
        self._policy = policy
        self._sink = sink
        self._waiting = waiting
        self._key = redis.keys(policy.name).named("dead")
        self._script = load("settle_dead")

    async def run(self) -> None:
        """Drains until cancelled. While a store is unavailable, waits with backoff."""

        async def step() -> None:
            await self.drain()

        name = f"dead-letters-{self._policy.name}"
        await periodic(name, step, SWEEP_S, wake=self._waiting, retry_s=RETRY_S)

    async def drain(self) -> int:
        """Moves the present dead letters. Returns how many the sink stored. Raises StoreUnavailable."""
        cursor, moved, count, letters, size = 0, 0, FIRST_SCAN, 0, 0
        while True:
            answer = await self._redis.command("HSCAN", self._key, cursor, "COUNT", count)
            cursor, found = int(answer[0]), list(answer[1].items())
            del answer
            for chunk in in_chunks(found, _size, limit=BATCH):
                moved += await self._move(chunk)
            if cursor == 0:
                return moved
            letters, size = letters + len(found), size + sum(map(_size, found))
            count = max(1, min(BATCH, 2 * count, MAX_BYTES * letters // max(size, 1)))

    async def _move(self, found: Sequence[IdAndLetter]) -> int:
        """Moves a batch. If the sink rejects it, bisects it until only the bad dead letter fails."""
        try:
            answers = await self._sink([_decoder.decode(letter) for _, letter in found])
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(found) == 1:
                self._log_not_stored(found[0][0], error)
                return 0
            half = len(found) // 2
            return await self._move(found[:half]) + await self._move(found[half:])
        stored = []
        for pair, answer in zip(found, answers or [None] * len(found), strict=True):
            if answer is None:
                stored.append(pair)
            else:
                self._log_not_stored(pair[0], answer)
        if stored:
            await self._redis.run(self._script, [self._key], [part for pair in stored for part in pair])
        return len(stored)

    def _log_not_stored(self, raw_id: bytes, error: Exception) -> None:
        job_id = raw_id.decode("utf-8", "backslashreplace")
        _log.error("dead_letter.not_stored", queue=self._policy.name, job_id=job_id, reason=str(error)[:500])


def _size(pair: IdAndLetter) -> int:
    return len(pair[1])
