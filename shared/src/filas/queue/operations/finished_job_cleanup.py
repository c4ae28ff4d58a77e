"""Forgetting finished jobs, in chunks that never hold Redis for more than a moment."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from filas.contract.policies import COMPLETED_RETENTION_S, FAILED_RETENTION_S, QueuePolicy
from filas.queue.job_records import FinishedJob
from filas.queue.redis_client.connection import Redis
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
    """Forget the jobs of `state` that finished more than `older_than_ms` ago (None: the state's retention).

    Returns how many left the counter; their records leave the ring. Counters are kept by the minute, and a
    minute goes when all of it is old enough; 0 forgets everything. `progress` hears the number so far after
    each chunk. Cancelling the task stops it between two chunks, with what was done done. Raises
    StoreUnavailable.
    """
    age_ms = RETENTION_MS[state] if older_than_ms is None else older_than_ms
    seconds, micros = await redis.command("TIME")
    now = int(seconds) * 1000 + int(micros) // 1000
    before = now + 60_000 if age_ms <= 0 else now - age_ms
    names = redis.keys(policy.name)
    keys = [names.named(state), names.named(f"ring:{state}")]
    cursor, total = b"0", 0
    while True:
        answer = await redis.run(load("clean"), keys, [before, cursor, CHUNK])
        cursor, total = answer[0], total + int(answer[1])
        if progress:
            progress(total)
        await asyncio.sleep(0)  # whoever cancels does it here, and not with a chunk on its way
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
