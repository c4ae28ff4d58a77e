"""What is wrong in a queue: jobs whose lease has expired, groups whose head is gone, and jobs that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from filas.contract.policies import QueuePolicy
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.queue_keys import JOB
from filas.queue.redis_client.redis_clock import read_time_s
from filas.queue.redis_client.scripts import load

MAX_GROUPS: Final = 2000
"""How many groups are examined."""

_PER_CALL: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredLeases:
    """Jobs whose lease expired at least a while ago and that no worker has made available again. `longest_s`: how long
    the first of them has expired."""

    jobs: int
    longest_s: float
    examples: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPosition:
    """Where a job of a group is: `ahead` jobs of its group come first, and `head` is the one that may run."""

    group: str
    head: str | None
    ahead: int


class QueueDiagnosis:
    """Reads one queue. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis, policy: QueuePolicy) -> None:
        self._redis = redis
        self._names = redis.keys(policy.name)

    async def expired_leases(self, older_than_s: float) -> ExpiredLeases:
        """The jobs whose lease expired at least `older_than_s` seconds ago."""
        key, now_ms = self._names.named("active"), await read_time_s(self._redis) * 1000
        until = now_ms - older_than_s * 1000
        jobs = int(await self._redis.command("ZCOUNT", key, "-inf", until))
        if not jobs:
            return ExpiredLeases(jobs=0, longest_s=0.0, examples=[])
        first: Any = await self._redis.command("ZRANGEBYSCORE", key, "-inf", until, "WITHSCORES", "LIMIT", 0, 5)
        pairs = (
            first if first and isinstance(first[0], (list, tuple)) else list(zip(first[::2], first[1::2], strict=True))
        )
        return ExpiredLeases(
            jobs=jobs,
            longest_s=(now_ms - float(pairs[0][1])) / 1000,
            examples=[_text(one[0]) for one in pairs],
        )

    async def headless_groups(self) -> list[str]:
        """The groups, of the first MAX_GROUPS, whose head is in no queue: nothing makes their next job available."""
        keys, cursor, examined = self._names.of("heads"), b"0", 0
        found: list[str] = []
        while examined < MAX_GROUPS:
            cursor, number, *groups = await self._redis.run(load("headless_groups"), keys, [cursor, _PER_CALL])
            examined += int(number)
            found += map(_text, groups)
            if cursor == b"0":
                break
        return found

    async def promote_groups(self, groups: Sequence[str]) -> int:
        """Promotes the next job of each of these groups, if its head is gone. Returns how many were promoted."""
        if not groups:
            return 0
        keys = self._names.of("wake", "heads", "grouped", "waiting")
        raw = [group.encode("utf-8", "backslashreplace") for group in groups]
        return int(await self._redis.run(load("sweep_groups"), keys, [self._names.group_prefix, *raw]))

    async def missing(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these jobs that the queue does not have, also not as dead letters."""
        if not job_ids:
            return []
        raw = [one.encode("utf-8", "backslashreplace") for one in job_ids]
        payloads = await self._redis.command("MGET", *[JOB.encode() + one for one in raw])
        dead = await self._redis.command("HMGET", self._names.named("dead"), *raw)
        return [one for one, payload, letter in zip(job_ids, payloads, dead, strict=True) if not payload and not letter]

    async def unsaved_dead_letters(self) -> int:
        """How many dead letters are not in Postgres yet."""
        return int(await self._redis.command("HLEN", self._names.named("dead")))

    async def position(self, job_id: str, group: str) -> GroupPosition:
        """The position of a job in its group."""
        raw_id, raw_group = job_id.encode("utf-8", "backslashreplace"), group.encode("utf-8", "backslashreplace")
        head = await self._redis.command("HGET", self._names.named("heads"), raw_group)
        at = await self._redis.command("LPOS", self._names.group_prefix.encode() + raw_group, raw_id)
        ahead = 0 if at is None else int(at) + 1
        return GroupPosition(group=group, head=None if head is None else _text(head), ahead=ahead)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
