"""Removes the records of finished jobs, in chunks that block Redis only briefly."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from filas.contract.policies import COMPLETED_RETENTION_S, FAILED_RETENTION_S, QueuePolicy
from filas.queue.finished_job import FinishedJob
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.redis_clock import read_time_s
from filas.queue.redis_client.scripts import load

CHUNK: Final = 500
FinishedState = Literal["completed", "failed"]

RETENTION_MS: Final[dict[FinishedState, int]] = {
    "completed": COMPLETED_RETENTION_S * 1000,
    "failed": FAILED_RETENTION_S * 1000,
}


async def clean(
    redis: Redis,
    policy: QueuePolicy,
    state: FinishedState,
    older_than_ms: int | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Removes the jobs of `state` that finished more than `older_than_ms` ago (None: the state's retention).

    Returns the number of jobs removed from the counter. Their records are removed from the ring. The counter has one
    field per minute, and a minute is removed when all of it is old enough; 0 removes everything. `progress` is called
    with the number so far after each chunk. Cancelling the task stops it between two chunks. Raises StoreUnavailable.
    """
    age_ms = RETENTION_MS[state] if older_than_ms is None else older_than_ms
    now = int(await read_time_s(redis) * 1000)
    before = now + 60_000 if age_ms <= 0 else now - age_ms
    names = redis.keys(policy.name)
    keys = [names.named(state), names.named(f"ring:{state}")]
    cursor, total = b"0", 0
    while True:
        answer = await redis.run(load("clean"), keys, [before, cursor, CHUNK])
        cursor, total = answer[0], total + int(answer[1])
        if progress:
            progress(total)
        await asyncio.sleep(0)  # a cancellation arrives here, and not while a chunk is being removed
        if cursor == b"0":
            break
    while await _ring_has_older(redis, keys[1], before):
        await redis.run(load("clean"), keys, [before, b"0", CHUNK])
    return total


async def _ring_has_older(redis: Redis, ring: str, before: int) -> bool:
    last: bytes | None = await redis.command("LINDEX", ring, -1)
    if last is None:
        return False
    record: FinishedJob = msgspec.json.decode(last, type=FinishedJob)
    return record.finished_on < before
