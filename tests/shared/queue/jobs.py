"""Jobs, handlers and a dead-letter sink for the queue's tests."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from filas.contract.jobs import NotificationJob
from filas.contract.new_job import NewJob
from filas.contract.policies import NOTIFICATIONS, QueuePolicy
from filas.errors import StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load
from filas.queue.worker.restoration import Restoration

QUICK: QueuePolicy = replace(NOTIFICATIONS, max_attempts=3, backoff_s=0.05, timeout_s=5.0)
"""The policy of `notifications` with short waits."""


def job(key: str | None = None, *, text: str = "c", **fields: Any) -> NewJob:
    """Returns a job of QUICK whose message contains `text`."""
    message = NotificationJob(notification_id=uuid.uuid4(), channel_id=text)
    return NewJob(QUICK, key or str(uuid.uuid4()), message, **fields)


def function(handler: Any, **fields: Any) -> JobFunction:
    """Returns the function of QUICK with this handler."""
    return JobFunction(QUICK.function, handler, NotificationJob, **fields)


async def claim_one(redis: Redis, *, lease_ms: int) -> str | None:
    """Claims a job of QUICK that no worker will end. Returns its id, None if none is due."""
    await Restoration(redis, QUICK, ()).run(None)
    names = ("active", "wake", "grouped", "lost", "epoch", "fence", "abort", "counts", "restoring")
    reply = await redis.run(load("claim"), redis.keys(QUICK.name).of(*names), [1, lease_ms, "", 2**20])
    return reply[6][0].decode() if len(reply) > 6 else None


class Recorder:
    """A handler that records its calls and then calls `step`."""

    def __init__(self, step: Callable[[JobContext, NotificationJob], Any] | None = None) -> None:
        self.contexts: list[JobContext] = []
        self.texts: list[str] = []
        self.began = asyncio.Event()
        self._step = step

    async def __call__(self, context: JobContext, message: NotificationJob) -> Any:
        self.contexts.append(context)
        self.texts.append(message.channel_id)
        self.began.set()
        result = self._step(context, message) if self._step else None
        return await result if asyncio.iscoroutine(result) else result

    @property
    def keys(self) -> list[str]:
        """The keys of the jobs, in the order in which they started."""
        return [context.job_id.partition("}:")[2] for context in self.contexts]


class Letters:
    """A dead-letter sink. `unavailable`: it raises StoreUnavailable. `reject` selects letters that it cannot store."""

    def __init__(self) -> None:
        self.stored: list[NewDeadLetter] = []
        self.unavailable = False
        self.reject: Callable[[NewDeadLetter], bool] = lambda _: False

    async def __call__(self, letters: list[NewDeadLetter], /) -> None:
        if self.unavailable:
            raise StoreUnavailable("postgres", "connection refused")
        if any(map(self.reject, letters)):
            raise ValueError("a letter cannot be stored")
        known = {(letter.job_id, letter.failed_at) for letter in self.stored}
        self.stored += [letter for letter in letters if (letter.job_id, letter.failed_at) not in known]

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs, in the order of arrival."""
        return [letter.job_id for letter in self.stored]


def raising(*errors: BaseException | None) -> Callable[[JobContext, NotificationJob], Any]:
    """Returns a step that raises `errors` in order and then repeats the last one. None means success."""
    left = list(errors)

    def step(context: JobContext, message: NotificationJob) -> Any:
        error = left.pop(0) if len(left) > 1 else left[0]
        if error is not None:
            raise error
        return "done"

    return step
