"""Removes the records of finished jobs, in steps that block Redis only briefly."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from filas.contract.policies import COMPLETED_RETENTION_S, FAILED_RETENTION_S, QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.redis_clock import read_time_s
from filas.queue.redis_client.scripts import load

CHUNK: Final = 500
"""How many minutes of the counter, or records, one step examines."""

START: Final = "0"
FinishedState = Literal["completed", "failed"]

RETENTION_MS: Final[dict[FinishedState, int]] = {
    "completed": COMPLETED_RETENTION_S * 1000,
    "failed": FAILED_RETENTION_S * 1000,
}


@dataclass(frozen=True, slots=True)
class CleanStep:
    """How many jobs one step has removed. `cursor` is that of the next step; None: nothing older remains."""

    removed: int
    cursor: str | None


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
    with the number so far after each step. Cancelling the task stops it between two steps. Raises StoreUnavailable.
    """
    before_ms = removed_before_ms(await now_ms(redis), state, older_than_ms)
    cursor: str | None = START
    total = 0
    while cursor is not None:
        step = await clean_step(redis, policy, state, before_ms, cursor)
        cursor, total = step.cursor, total + step.removed
        if progress:
            progress(total)
        await asyncio.sleep(0)  # a cancellation arrives here, and not while a chunk is being removed
    return total


async def clean_step(
    redis: Redis, policy: QueuePolicy, state: FinishedState, before_ms: int, cursor: str = START
) -> CleanStep:
    """Removes those jobs of `state` that finished before `before_ms` and that one step finds. Raises StoreUnavailable.

    The steps need no state but the cursor, so that any process can make the next one.
    """
    names = redis.keys(policy.name)
    keys = [names.named(state), names.named(f"ring:{state}")]
    answer = await redis.run(load("clean"), keys, [before_ms, cursor, CHUNK])
    following = answer[0].decode()
    return CleanStep(int(answer[1]), None if following == START else following)


async def now_ms(redis: Redis) -> int:
    """Unix ms by the clock of Redis. Raises StoreUnavailable."""
    return int(await read_time_s(redis) * 1000)


def removed_before_ms(started_ms: int, state: FinishedState, older_than_ms: int | None) -> int:
    """The moment before which jobs are removed, in Unix ms. An age of 0 includes those of the present minute."""
    age_ms = RETENTION_MS[state] if older_than_ms is None else older_than_ms
    return started_ms + 60_000 if age_ms <= 0 else started_ms - age_ms
