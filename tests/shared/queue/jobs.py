"""Jobs, functions and a sink for the queue's tests."""

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

QUICK: QueuePolicy = replace(NOTIFICATIONS, max_attempts=3, backoff_s=0.05, timeout_s=5.0)
"""The queue `notifications` with waits that a test can afford."""


def job(key: str | None = None, *, text: str = "c", **fields: Any) -> NewJob:
    """A job of QUICK; `text` travels in its message."""
    message = NotificationJob(notification_id=uuid.uuid4(), channel_id=text)
    return NewJob(QUICK, key or str(uuid.uuid4()), message, **fields)


def function(handler: Any, **fields: Any) -> JobFunction:
    """QUICK's function."""
    return JobFunction(QUICK.function, handler, NotificationJob, **fields)


class Recorder:
    """A handler that notes what it was given, and does `step` with it."""

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
        """The keys of the jobs, in the order in which they began."""
        return [context.job_id.partition("}:")[2] for context in self.contexts]


class Letters:
    """A sink for dead letters; with `away` it says that Postgres is."""

    def __init__(self) -> None:
        self.stored: list[NewDeadLetter] = []
        self.away = False
        self.refuse: Callable[[NewDeadLetter], bool] = lambda _: False

    async def __call__(self, letters: list[NewDeadLetter], /) -> None:
        if self.away:
            raise StoreUnavailable("postgres", "away")
        if any(map(self.refuse, letters)):
            raise ValueError("one of them can't be stored")
        known = {(letter.job_id, letter.failed_at) for letter in self.stored}
        self.stored += [letter for letter in letters if (letter.job_id, letter.failed_at) not in known]

    @property
    def ids(self) -> list[str]:
        """The jobs' ids, in the order of arrival."""
        return [letter.job_id for letter in self.stored]


def raising(*errors: BaseException | None) -> Callable[[JobContext, NotificationJob], Any]:
    """A step that raises `errors` one after the other, the last one again and again; None succeeds."""
    left = list(errors)

    def step(context: JobContext, message: NotificationJob) -> Any:
        error = left.pop(0) if len(left) > 1 else left[0]
        if error is not None:
            raise error
        return "done"

    return step
