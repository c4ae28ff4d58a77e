"""An operator's commands for one job: cancel, promote, retry."""

from typing import Literal, cast

import msgspec

from filas.contract.policies import QueuePolicy
from filas.models.dead_letters import NewDeadLetter
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load

ControlOutcome = Literal["done", "running", "waiting", "absent"]
"""The outcome of a command:

- `done`: the command has taken effect.
- `running`: the job is active. A cancel interrupts it within a second, unless it ends before, or runs in a batch; then
  it is not tried again. Other commands have no effect.
- `waiting`: the job is after its group head, and the command would break the group's order.
- `absent`: the queue has no such job.
"""


class JobControl:
    """Commands for one job. Every method raises StoreUnavailable."""

    def __init__(self, redis: Redis, producer: QueueProducer) -> None:
        self._redis = redis
        self._producer = producer

    async def cancel(self, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        """Makes the job a dead letter of the kind `cancelled`. Interrupts the job if it is active.

        The worker that claims the job writes the dead letter, so the job's row gets its final status. A job of a paused
        queue is cancelled when the queue is resumed. The caller has stored the cancel (`CancelRepository`).
        """
        return await self._run("cancel", policy, job_id)

    async def promote(self, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        """Makes a delayed job due now."""
        return await self._run("promote", policy, job_id)

    async def retry(self, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        """Makes a job that waits for a retry due now, or enqueues the job of a dead letter that is still in Redis.

        A dead letter that is in Postgres is replayed from there, as a job with another id.
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

    async def _run(self, command: str, policy: QueuePolicy, job_id: str) -> ControlOutcome:
        names = self._redis.keys(policy.name)
        keys = names.of("active", "wake", "heads", "grouped", "waiting", "abort", "cancelled")
        raw_id = job_id.encode("utf-8", "backslashreplace")
        answer: bytes = await self._redis.run(load("control"), keys, [command, raw_id, names.group_prefix])
        return cast("ControlOutcome", answer.decode())
