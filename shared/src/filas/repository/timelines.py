"""Reads what happened to an event or an execution, from every table that has times of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg

from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.models.record import Record
from filas.models.timelines import (
    ChannelPause,
    TimelineAttempt,
    TimelineEvent,
    TimelineExecution,
    TimelineLetter,
    TimelineMessage,
    TimelineReply,
    TimelineRows,
    TimelineStep,
)
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail, from_json

MAX_EXECUTIONS: Final = 20
MAX_STEPS: Final = 1000
MAX_MESSAGES: Final = 300
MAX_ATTEMPTS: Final = 1000
MAX_LETTERS: Final = 100
LETTER_REPLAYS: Final = 5
"""How many replays of a job are searched in the dead letters."""

EVENT: Final = """
select e.id, e.webhook_id, e.method, octet_length(e.body) as size, e.status, e.reason, e.error, e.received_at,
    e.processed_at, e.replay, d.count as duplicates, d.first_at as first_duplicate_at, d.last_at as last_duplicate_at
from events e left join event_duplicates d on d.event_id = e.id
where e.id = $1"""

EXECUTION: Final = """
select id, event_id, flow_id, version, status, error, turn, replay_of, wake_at, queued_at, started_at, ended_at
from executions where id = $1"""

# An execution that carried a message for another one ran nothing itself. The other one is shown from the message on.
OF_EVENT: Final = """
select e.*, o.from_reply from (
    select coalesce(resumed_id, id) as id, case when resumed_id is not null then queued_at end as from_reply
    from executions where event_id = $1 order by queued_at, id limit $2
) o cross join lateral (
    select id, event_id, flow_id, version, status, error, turn, replay_of, wake_at, queued_at, started_at, ended_at
    from executions where id = o.id offset 0) e
order by e.queued_at, e.id"""

STEPS: Final = """
select execution_id, seq, node_id, type, status, attempt, handle, error, started_at, ended_at
from steps where execution_id = any($1::uuid[]) order by execution_id, seq limit $2"""

REPLIES: Final = """
select resumed_id as execution_id, event_id, queued_at as at from executions where resumed_id = any($1::uuid[])
union all
select execution_id, null, received_at from callbacks where execution_id = any($1::uuid[]) and payload is not null
order by at limit $2"""

# `offset 0` keeps the subquery apart: in the order of the time, all notifications would be read.
MESSAGES: Final = """
select * from (
    select id, execution_id, seq, channel_id, status, attempts, error, due_at, created_at, updated_at,
        delivered_at, read_at
    from notifications where execution_id = any($1::uuid[]) offset 0) found
order by created_at, id limit $2"""

ATTEMPTS: Final = """
select notification_id, attempt, outcome, status_code, error, started_at, ended_at
from notification_attempts where notification_id = any($1::uuid[]) order by notification_id, attempt limit $2"""

LETTERS: Final = """
select d.id, d.queue, d.job_id, d.error, d.attempts, d.history, d.enqueued_at, d.failed_at, d.replayed_at
from unnest($1::text[], $2::text[]) as j (queue, job_id)
    cross join lateral (select * from dead_letters where queue = j.queue and job_id = j.job_id offset 0) d
order by d.failed_at limit $3"""

PAUSES: Final = """
select subject as channel_id, pending_since as since, resolved_at as until from alert_firings
where rule_id = 'paused-channel' and subject = any($1::text[]) and pending_since < $3
    and pending_since >= $2::timestamptz - interval '1 day' and (resolved_at is null or resolved_at > $2)
order by pending_since limit 100"""

RowT = TypeVar("RowT", bound=Record)


class TimelineRepository:
    """Reads the tables of running work. It writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_event(self, event_id: UUID) -> TimelineRows | None:
        """The rows of an event and of the executions that it started or resumed; None without the event."""
        row = await self._database.fetchrow(EVENT, event_id)
        if row is None:
            return None
        event = _read(row, TimelineEvent)
        found = await self._database.fetch(OF_EVENT, event_id, MAX_EXECUTIONS + 1)
        executions = [_read(one, TimelineExecution) for one in found]
        return await self._rows(executions[:MAX_EXECUTIONS], event, more=len(executions) > MAX_EXECUTIONS)

    async def of_execution(self, execution_id: UUID) -> TimelineRows | None:
        """The rows of an execution, with its event; None without the execution."""
        row = await self._database.fetchrow(EXECUTION, execution_id)
        if row is None:
            return None
        execution = _read(row, TimelineExecution)
        found = None if execution.event_id is None else await self._database.fetchrow(EVENT, execution.event_id)
        event = None if found is None else _read(found, TimelineEvent)
        return await self._rows([execution], event, more=False)

    async def _rows(
        self, executions: list[TimelineExecution], event: TimelineEvent | None, *, more: bool
    ) -> TimelineRows:
        ids = [one.id for one in executions]
        steps = await self._many(STEPS, ids, MAX_STEPS, TimelineStep) if ids else []
        replies = await self._many(REPLIES, ids, MAX_MESSAGES, TimelineReply) if ids else []
        messages = await self._many(MESSAGES, ids, MAX_MESSAGES, TimelineMessage) if ids else []
        tried = [one.id for one in messages if one.attempts]
        attempts = await self._many(ATTEMPTS, tried, MAX_ATTEMPTS, TimelineAttempt) if tried else []
        queues, jobs = _job_ids(event, executions, messages)
        letters = await self._database.fetch(LETTERS, queues, jobs, MAX_LETTERS)
        return TimelineRows(
            event=event,
            executions=executions,
            steps=steps,
            replies=replies,
            messages=messages,
            attempts=attempts,
            letters=[_read(one, TimelineLetter) for one in letters],
            pauses=await self._pauses(messages),
            truncated=more
            or len(steps) == MAX_STEPS
            or len(messages) == MAX_MESSAGES
            or len(attempts) == MAX_ATTEMPTS
            or len(replies) == MAX_MESSAGES,
        )

    async def _pauses(self, messages: Sequence[TimelineMessage]) -> list[ChannelPause]:
        """The pauses of the channels while the messages were to be sent."""
        if not messages:
            return []
        since, until = min(one.created_at for one in messages), max(one.updated_at for one in messages)
        channels = sorted({one.channel_id for one in messages})
        return [_read(row, ChannelPause) for row in await self._database.fetch(PAUSES, channels, since, until)]

    async def _many(self, statement: str, ids: Sequence[UUID], limit: int, kind: type[RowT]) -> list[RowT]:
        return [_read(row, kind) for row in await self._database.fetch(statement, ids, limit)]


def _job_ids(
    event: TimelineEvent | None, executions: Sequence[TimelineExecution], messages: Sequence[TimelineMessage]
) -> tuple[list[str], list[str]]:
    """The queues and ids of the jobs that may have become dead letters: each job, and its first replays."""
    keys: list[tuple[str, str]] = []
    if event is not None:
        keys.append((WEBHOOKS.name, WEBHOOKS.job_id(str(event.id))))
        newest = WEBHOOKS.job_id(f"{event.id}:replay-{event.replay}")
        if event.replay > LETTER_REPLAYS:
            keys.append((WEBHOOKS.name, newest))
    # The last turns: a job of an earlier turn has ended well, because a further turn followed.
    for one in executions:
        keys += [(FLOWS.name, FLOWS.job_id(f"{one.id}:{turn}")) for turn in range(max(one.turn - 1, 1), one.turn + 1)]
    keys += [(NOTIFICATIONS.name, NOTIFICATIONS.job_id(str(one.id))) for one in messages if one.status == "failed"]
    replays = [
        (queue, f"{job_id}:replay-{number}") for queue, job_id in keys for number in range(1, LETTER_REPLAYS + 1)
    ]
    every = keys + replays
    return [queue for queue, _ in every], [job_id for _, job_id in every]


def _read(row: asyncpg.Record, kind: type[RowT]) -> RowT:
    """The record of a row. JSON columns are decoded."""
    values: dict[str, Any] = dict(row)
    if "error" in values:
        values["error"] = error_detail(values["error"])
    if "history" in values:
        values["history"] = from_json(values["history"])
    return kind(**values)
