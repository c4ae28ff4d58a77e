"""One job, by hand: cancel, promote, retry."""

from typing import Literal, cast

import msgspec

from filas.contract.policies import QueuePolicy
from filas.models.dead_letters import NewDeadLetter
from filas.queue.producer import EnqueueOutcome, Producer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

ControlOutcome = Literal["done", "running", "waiting", "absent"]
"""done: it is as asked. running: it runs; a cancel takes effect within a second, the rest is refused.
waiting: it stands behind its group's head, whose order is kept. absent: no such job in the queue."""


class JobControl:
    """What an operator does to a single job. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis, producer: Producer) -> None:
        self._redis = redis
        self._producer = producer

    async def cancel(self, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        """Make the job a dead letter of the kind `cancelled`, interrupting it if it runs.

        The worker writes that letter when it meets the job, so the job's row gets its final status; a paused
        queue's job is cancelled when the queue is resumed.
        """
        return await self._run("cancel", policy, job_id)

    async def promote(self, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        """Make a delayed job due now."""
        return await self._run("promote", policy, job_id)

    async def retry(self, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        """Run a job that waits for its next try now; bring back one whose dead letter is still in Redis.

        A dead letter that is in Postgres is replayed from there, under an id of its own.
        """
        outcome = await self._run("promote", policy, job_id)
        if outcome != "absent":
            return outcome
        dead = self._redis.keys(policy.name).named("dead")
        raw = await self._redis.command("HGET", dead, job_id.encode("utf-8", "backslashreplace"))
        if raw is None:
            return "absent"
        letter = msgspec.json.decode(raw, type=NewDeadLetter)
        revived = await self._producer.revive(policy, letter)
        return "done" if revived is EnqueueOutcome.ENQUEUED else "absent"

    async def _run(self, what: str, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        names = self._redis.keys(policy.name)
        keys = names.of("active", "wake", "heads", "grouped", "waiting", "abort")
        raw_id = job_id.encode("utf-8", "backslashreplace")
        answer: bytes = await self._redis.run(load("control"), keys, [what, raw_id, names.group_prefix])
        return cast("ControlOutcome", answer.decode())
