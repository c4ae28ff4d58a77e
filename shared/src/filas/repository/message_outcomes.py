"""The outcomes of messages that their executions do not know yet (table `message_outcomes`).

`NotificationRepository` and `DeadLetterRepository` write them, in the statements that change the notifications.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from filas.errors import StoreBusy, Unstorable
from filas.models.executions import DueExecution, FollowingExecution
from filas.models.message_outcomes import LateFailure, LearnedOutcome, UnlearnedOutcome
from filas.repository.executions import execution_rows
from filas.repository.postgres.batch_bisection import LockedItems, write_bisected
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail, from_json

# An execution that waits for the outcome is queued with it. One that is queued or running has left the wait, or is
# about to begin it again: its next checkpoint decides that. A failure that no node waits for stays, for FINISH_LATE.
#
# A step waits for the last of its messages, and fails with any of them (the parts of a long text): `parts` are those of
# the same question, by the number in their keys. If the last one is sent, the step waits until the others have ended.
LEARN_MANY: Final = """
with outcome as (
    select notification_id, execution_id, status, error from message_outcomes
    where notification_id = any ($1::uuid[])
    order by notification_id for update
), matched as (
    select e.id, o.notification_id, o.status as outcome, o.error as outcome_error, p.unfinished
    from outcome o
        cross join lateral (
            select id, awaits_message from executions
            where id = o.execution_id and awaits_message is not null offset 0) e
        cross join lateral (
            select bool_or(p.id = o.notification_id) as is_part,
                bool_or(p.id <> o.notification_id and p.status in ('queued', 'sending', 'retrying')) as unfinished
            from notifications w join notifications p on p.execution_id = w.execution_id and p.seq = w.seq
                and coalesce(nullif(split_part(p.idempotency_key, ':', 3), ''), '1')::integer % 100
                    = coalesce(nullif(split_part(w.idempotency_key, ':', 3), ''), '1')::integer % 100
            where w.id = e.awaits_message) p
    where o.notification_id = e.awaits_message or (o.status in ('failed', 'cancelled') and p.is_part)
), target as (
    select e.id, m.notification_id, m.outcome, m.outcome_error,
        e.status in ('waiting-callback', 'waiting-input')
            and (m.outcome in ('failed', 'cancelled') or not coalesce(m.unfinished, false)) as waits
    from executions e join matched m on m.id = e.id
    where e.status in ('queued', 'running', 'waiting-callback', 'waiting-input') and e.awaits_message is not null
    order by e.id for update of e
), chosen as (
    select distinct on (id) id, notification_id, outcome, outcome_error from target
    where waits
    order by id, outcome in ('failed', 'cancelled') desc, notification_id
), resumed as (
    update executions e set status = 'queued', ready_at = coalesce(e.ready_at, now()), wake_at = null,
        awaits_reply_since = null,
        message_outcome = json_build_object('status', c.outcome, 'error', c.outcome_error, 'providerId',
            (select n.provider_id from notifications n where n.id = c.notification_id))
    from chosen c where e.id = c.id
    returning e.id, e.turn, e.flow_id, e.conversation_id, e.status, e.channel, e.contact, e.event_id, c.notification_id
), removed as (
    delete from message_outcomes m using outcome o
    where m.notification_id = o.notification_id and (
        o.notification_id in (select notification_id from resumed)
        or (o.status <> 'failed' and o.notification_id not in (select notification_id from target)))
)
select o.notification_id, o.status = 'failed' as failed, t.id is not null and r.id is null as running,
    r.id, r.turn, r.flow_id, r.conversation_id, r.status, r.channel, r.contact, r.event_id
from outcome o left join target t on t.notification_id = o.notification_id
    left join resumed r on r.notification_id = o.notification_id"""

LATE_FAILURE: Final = """
select o.notification_id, o.error, n.channel_id, n.recipient, s.input, e.id as execution_id, e.flow_id, e.version,
    e.status as execution_status, e.trigger,
    s.node_id, coalesce(s.status = 'failed', false) as node_has_failed
from message_outcomes o
    join notifications n on n.id = o.notification_id
    join executions e on e.id = o.execution_id
    left join steps s on s.execution_id = e.id and s.seq = n.seq
where o.notification_id = $1 and o.status = 'failed'"""

# $2-$4: the execution that starts, in the conversation of the message's execution, or nulls. A failure that was
# reported before has started it already.
FINISH_LATE: Final = """
with removed as (
    delete from message_outcomes where notification_id = $1 and status = 'failed' returning execution_id
)
insert into executions (id, flow_id, version, node_id, event_id, conversation_id, channel, contact, trigger, ready_at,
    queued_at)
select $2::uuid, f.id, f.published_version, '', e.event_id, e.conversation_id, e.channel, e.contact, $4::json, now(),
    now()
from removed r join executions e on e.id = r.execution_id
    join flows f on f.id = $3 and f.published_version is not null
on conflict do nothing
returning id, turn, flow_id, conversation_id, status, channel, contact, event_id"""

# Ordered by the key and not by time, because the last row of the page before may be deleted by now.
SELECT_UNLEARNED: Final = """
select notification_id, status from message_outcomes
where created_at <= now() - make_interval(secs => $1) and ($3::uuid is null or notification_id > $3)
order by notification_id limit $2"""


class MessageOutcomeRepository:
    """The table `message_outcomes`. Only the flow-runner uses it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked = LockedItems[UUID]("message_outcomes", "learn", lambda notification_id: notification_id)

    async def learn_many(
        self, notification_ids: Sequence[UUID]
    ) -> list[LearnedOutcome | LateFailure | StoreBusy | Unstorable]:
        """Resumes the executions that wait for these messages, and removes the outcomes that have no effect. The result
        is `over` if there is no outcome any more, and a StoreBusy if another session locks a row."""
        unique = list(dict.fromkeys(notification_ids))
        found = dict(zip(unique, await write_bisected(unique, self._learn, self._locked), strict=True))
        return [found[one] for one in notification_ids]

    async def _learn(self, notification_ids: Sequence[UUID]) -> list[LearnedOutcome]:
        rows = {row["notification_id"]: row for row in await self._database.fetch(LEARN_MANY, notification_ids)}
        return [await self._learned(one, rows.get(one)) for one in notification_ids]

    async def _learned(self, notification_id: UUID, row: asyncpg.Record | None) -> LearnedOutcome:
        if row is None:
            return "over"
        if row["id"] is not None:
            return execution_rows.due(row)
        if row["running"]:
            return "running"
        return (await self._late_failure(notification_id) or "over") if row["failed"] else "over"

    async def _late_failure(self, notification_id: UUID) -> LateFailure | None:
        """None if retention has removed the message or its execution."""
        row = await self._database.fetchrow(LATE_FAILURE, notification_id)
        if row is None:
            await self.finish_late(notification_id, None)
            return None
        fields = dict(row) | {"error": error_detail(row["error"]), "input": from_json(row["input"])}
        return LateFailure(**fields)

    async def finish_late(self, notification_id: UUID, start: FollowingExecution | None) -> DueExecution | None:
        """Removes the outcome of a message that has failed late, and starts an execution in the same transaction.

        Returns the execution that needs a job; None if none starts: `start` is None, its flow has no published
        version, or it was started before.
        """
        arguments = (None, None, None) if start is None else (start.id, start.flow_id, start.trigger)
        row = await self._database.fetchrow(FINISH_LATE, notification_id, *arguments)
        return execution_rows.due(row) if row else None

    async def unlearned(self, older_than_s: float, limit: int, after: UUID | None = None) -> list[UnlearnedOutcome]:
        """Outcomes that are at least `older_than_s` seconds old, in the order of the notifications' ids. `after` is the
        last id of the page before."""
        rows = await self._database.fetch(SELECT_UNLEARNED, older_than_s, limit, after)
        return [UnlearnedOutcome(**row) for row in rows]
