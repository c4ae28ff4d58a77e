"""The jobs that a written checkpoint or a due row calls for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol
from uuid import UUID

from filas import logs
from filas.errors import StoreUnavailable
from filas.jobs import FlowJob, NotificationJob, flow_job_key, notification_job_key
from filas.models import DueExecution, NewNotification
from filas.policies import FLOWS, NOTIFICATIONS
from filas.queue.producer import NewJob
from flow_runner.executions import Written

log = logs.get_logger(__name__)

GRACE_S = 5.0
"""A row younger than this has its job on the way."""


class Jobs(Protocol):
    """What is needed of the producer."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> Sequence[object]: ...


class Outbox:
    """Puts jobs after the transaction that calls for them; what can't be put is left to the relay."""

    def __init__(self, producer: Jobs) -> None:
        self._producer = producer

    async def put(self, written: list[Written]) -> None:
        """Jobs for the notifications of each checkpoint, and for the next turn of what goes on at once."""
        jobs = [job for pair in written for job in _jobs_of(pair)]
        if not jobs:
            return
        try:
            await self._producer.enqueue_many(jobs)
        except StoreUnavailable as error:
            log.warning("outbox.left_to_relay", jobs=len(jobs), store=error.store, reason=error.reason)


class UnfinishedRows(Protocol):
    """What the relay needs of the repository."""

    async def unfinished(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[DueExecution]: ...


class ExecutionRelay:
    """The executions whose job may be lost: queued for a while, or running under a lease that has run out."""

    name = "executions"

    def __init__(self, rows: UnfinishedRows, grace_s: float = GRACE_S) -> None:
        self._rows = rows
        self._grace_s = grace_s

    async def due(self, limit: int, after: NewJob | None = None) -> list[NewJob]:
        """One page of jobs, the longest unfinished first; `after` is the last of the page before."""
        last = after.message.execution_id if after and isinstance(after.message, FlowJob) else None
        return [due_job(row, "continue") for row in await self._rows.unfinished(self._grace_s, limit, last)]


def due_job(due: DueExecution, reason: Literal["timer", "continue", "start"]) -> NewJob:
    """The job of an execution's next turn."""
    job = FlowJob(execution_id=due.id, turn=due.turn, flow_id=due.flow_id, reason=reason)
    return NewJob(FLOWS, flow_job_key(job), job, group_of(due.channel, due.contact))


def group_of(channel: str | None, contact: str | None) -> str | None:
    """The group that keeps a conversation in order; None outside of one."""
    return f"{channel}:{contact}" if channel and contact else None


def _jobs_of(written: Written) -> Iterator[NewJob]:
    claimed, checkpoint = written
    yield from _notification_jobs(checkpoint.notifications)
    if checkpoint.status == "queued":
        job = FlowJob(execution_id=claimed.id, turn=claimed.turn + 1, flow_id=claimed.flow_id, reason="continue")
        yield NewJob(FLOWS, flow_job_key(job), job, group_of(claimed.channel, claimed.contact))


def _notification_jobs(notifications: Iterable[NewNotification]) -> Iterator[NewJob]:
    for each in notifications:
        job = NotificationJob(notification_id=each.id, channel_id=each.channel_id)
        yield NewJob(NOTIFICATIONS, notification_job_key(job), job, group_of(each.channel_id, each.recipient))
