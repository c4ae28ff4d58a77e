"""The jobs, executions and notifications that an operator has cancelled and that have not ended yet.

The API writes the rows. The owner of the queue deletes them: those of jobs with `delete_jobs`, those of executions and
notifications in the statement that writes the cancel to their own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from filas.models.executions import ExecutionCancel
from filas.repository.postgres.database import Database

REQUEST_JOB: Final = """
insert into job_cancels (queue, job_id) values ($1, $2)
on conflict (queue, job_id) do update set requested_at = now()"""

REQUEST_EXECUTION: Final = "insert into execution_cancels (execution_id) values ($1) on conflict do nothing"

REQUEST_NOTIFICATION: Final = "insert into notification_cancels (notification_id) values ($1) on conflict do nothing"

JOBS: Final = "select job_id from job_cancels where queue = $1 and job_id > $2 order by job_id limit $3"

DELETE_JOBS: Final = "delete from job_cancels where queue = $1 and job_id = any ($2::bytea[])"

# Ordered by the key and not by time, because the last row of the page before may be deleted by now.
UNAPPLIED_EXECUTIONS: Final = """
select c.execution_id, e.flow_id, e.event_id
from execution_cancels c
    cross join lateral (select flow_id, event_id from executions where id = c.execution_id offset 0) e
where c.requested_at <= now() - make_interval(secs => $1) and ($3::uuid is null or c.execution_id > $3)
order by c.execution_id limit $2"""

UNAPPLIED_NOTIFICATIONS: Final = """
select notification_id from notification_cancels
where requested_at <= now() - make_interval(secs => $1) and ($3::uuid is null or notification_id > $3)
order by notification_id limit $2"""


class CancelRepository:
    """The tables `job_cancels`, `execution_cancels` and `notification_cancels`. Requests may be repeated.

    Job ids are bytes as in Redis, queues are identified by their full names. Every method raises StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request_job(self, queue: str, job_id: bytes) -> None:
        """Stores the cancel of a job."""
        await self._database.fetch(REQUEST_JOB, queue, job_id)

    async def request_execution(self, execution_id: UUID) -> None:
        """Stores the cancel of an execution."""
        await self._database.fetch(REQUEST_EXECUTION, execution_id)

    async def request_notification(self, notification_id: UUID) -> None:
        """Stores the cancel of a notification."""
        await self._database.fetch(REQUEST_NOTIFICATION, notification_id)

    async def jobs(self, queue: str, limit: int, after: bytes = b"") -> list[bytes]:
        """The ids of the cancelled jobs of a queue, those after the id `after`, in their order."""
        return [row["job_id"] for row in await self._database.fetch(JOBS, queue, after, limit)]

    async def delete_jobs(self, queue: str, job_ids: Sequence[bytes]) -> None:
        """Deletes the cancels of jobs that have ended, or that did not exist."""
        await self._database.fetch(DELETE_JOBS, queue, list(job_ids))

    async def unapplied_executions(
        self, older_than_s: float, limit: int, after: UUID | None = None
    ) -> list[ExecutionCancel]:
        """Cancels that are at least `older_than_s` seconds old, in the order of the executions' ids.

        `after` is the last id of the page before. Fewer than `limit` means that no more follow.
        """
        rows = await self._database.fetch(UNAPPLIED_EXECUTIONS, older_than_s, limit, after)
        return [ExecutionCancel(**row) for row in rows]

    async def unapplied_notifications(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[UUID]:
        """The ids of the notifications of such cancels, as `unapplied_executions`."""
        rows = await self._database.fetch(UNAPPLIED_NOTIFICATIONS, older_than_s, limit, after)
        return [row["notification_id"] for row in rows]
