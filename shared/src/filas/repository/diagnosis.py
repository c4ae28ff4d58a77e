"""What the doctor asks Postgres: about the server, and about rows that fail or wait. Every answer is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from filas.models.diagnosis_rows import (
    BloatedTable,
    EndedWork,
    EventsWithoutConversation,
    FailedMessages,
    LongTransaction,
    Orphans,
    OverdueTimers,
    RefusedRequests,
    ServerState,
    UnusableWebhook,
    WaitingMessages,
)
from filas.models.executions import FINAL_EXECUTION_STATUSES, DueExecution
from filas.models.record import ErrorDetail
from filas.repository.executions.execution_rows import due
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import error_detail
from filas.repository.schema import current_version

MAX_ROWS: Final = 10_000
MAX_NAMED: Final = 20

SERVER: Final = """
select extract(epoch from clock_timestamp())::float8 as now_s,
    (select setting::integer from pg_settings where name = 'max_connections') as max_connections,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    pg_database_size(current_database()) as database_bytes"""

LONG_TRANSACTIONS: Final = """
select pid, coalesce(application_name, '') as application, coalesce(state, '') as state, xact_start as since
from pg_stat_activity
where xact_start < now() - make_interval(secs => $1) and backend_type = 'client backend' and pid <> pg_backend_pid()
order by xact_start limit 5"""

BLOAT: Final = """
select relname as table_name, n_dead_tup as dead, n_live_tup as live
from pg_stat_user_tables where n_dead_tup > $1 and n_dead_tup > n_live_tup
order by n_dead_tup desc limit 5"""

VERSIONS: Final = """
select distinct application_name as name from pg_stat_activity
where application_name like 'filas-%' and datname = current_database()"""

OLDEST: Final = """
select (select min(received_at) from events where status <> 'received') as event,
    (select min(queued_at) from executions where ended_at is not null) as execution,
    (select min(failed_at) from dead_letters) as dead_letter"""

OVERDUE_TIMERS: Final = """
select count(*) as count, min(wake_at) as since, (array_agg(id order by wake_at))[1:20] as ids
from (
    select id, wake_at from executions where wake_at < now() - make_interval(secs => $1) order by wake_at limit $2
) due"""

# Executions that have not ended, of versions or channels that no longer exist. A deleted channel stays as a row.
ORPHANS: Final = """
select u.flow_id, u.version, u.channel, v.flow_id is null as no_flow, count(*) as count, min(u.queued_at) as since,
    (array_agg(u.id order by u.queued_at))[1] as example
from (
    select id, flow_id, version, channel, queued_at, status from executions
    where ended_at is null order by flow_id limit $1
) u
    left join flow_versions v on v.flow_id = u.flow_id and v.version = u.version
    left join channels c on c.id = u.channel and not c.deleted
where v.flow_id is null or (u.status = 'waiting-input' and u.channel is not null and c.id is null)
group by 1, 2, 3, 4 limit 20"""

WAITING_BY_CHANNEL: Final = """
select n.channel_id, count(*) as count, min(n.created_at) as since, bool_or(c.id is null) as unknown,
    (array_agg(n.id order by n.updated_at desc) filter (where n.has_failed))[1] as example
from (
    select id, channel_id, created_at, updated_at, error is not null as has_failed
    from notifications where ended_at is null order by due_at limit $1
) n
    left join channels c on c.id = n.channel_id and not c.deleted
group by n.channel_id"""

FAILED_BY_CHANNEL: Final = """
select channel_id, count(*) as count, min(ended_at) as first, max(ended_at) as last,
    (array_agg(id order by ended_at desc, id))[1] as example
from (
    select id, channel_id, ended_at from notifications
    where status = 'failed' and ended_at >= now() - make_interval(secs => $1) order by ended_at desc limit $2
) failed
group by channel_id order by count(*) desc limit 20"""

NOTIFICATION_ERRORS: Final = "select id, error from notifications where id = any($1::uuid[])"

WITHOUT_CONVERSATION: Final = """
select webhook_id, reason, count(*) as count, min(received_at) as since
from (
    select webhook_id, reason, status, received_at from events
    where received_at >= now() - make_interval(secs => $1) order by received_at desc limit $2
) recent
where status = 'ignored' and reason in ('no-contact', 'no-channel')
group by webhook_id, reason limit 20"""

REFUSALS: Final = """
select count(*) filter (where received_at >= now() - make_interval(secs => $1)) as recent, count(*) as day
from (
    select received_at from refusals where received_at >= now() - interval '1 day' order by received_at desc limit $2
) refused"""

TOP_REFUSAL: Final = """
select coalesce(webhook_id, path) as target, webhook_id is not null as known, reason, count(*) as count
from (
    select webhook_id, path, reason from refusals
    where received_at >= now() - make_interval(secs => $1) order by received_at desc limit $2
) refused
group by 1, 2, 3 order by count(*) desc limit 1"""

WEBHOOK_TARGETS: Final = """
select w.id, w.flow_id, w.node_id, f.id is null as no_flow, f.published_version is null as unpublished
from webhooks w left join flows f on f.id = w.flow_id
where f.published_version is null and w.enabled and not w.deleted
order by w.id limit 20"""

FAILING_SCHEDULES: Final = "select id, last_error from schedules where last_error is not null order by id limit 20"

# Of the newest rows only, so that a busy hour costs no more than a quiet one.
ENDED_BY_FLOW: Final = """
select flow_id as name, count(*) as ended, count(*) filter (where status in ('failed', 'timed-out')) as failed
from (
    select flow_id, status from executions
    where ended_at >= now() - make_interval(secs => $1) and resumed_id is null order by ended_at desc limit $2
) recent
group by flow_id"""

ENDED_BY_CHANNEL: Final = """
select channel_id as name, count(*) as ended, count(*) filter (where status = 'failed') as failed
from (
    select channel_id, status from notifications
    where ended_at >= now() - make_interval(secs => $1) order by ended_at desc limit $2
) recent
group by channel_id"""

COUNT_REFUSALS: Final = """
select count(*) from (
    select status from refusals where received_at >= now() - make_interval(secs => $1)
    order by received_at desc limit $2
) refused
where $3::integer[] is null or status = any($3::integer[])"""

DUE_EXECUTION: Final = """
select id, turn, flow_id, conversation_id, status, channel, contact, event_id from executions where id = $1"""

AWAITED_MESSAGE: Final = "select awaits_message from executions where id = $1 and status = 'waiting-callback'"

OPEN_LETTERS: Final = """
select count(*) as count, min(failed_at) as since
from (
    select failed_at from dead_letters where replayed_at is null and failed_at >= now() - make_interval(secs => $1)
    order by failed_at desc limit $2
) letters"""


class DiagnosisRepository:
    """Reads many tables. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def server(self) -> ServerState:
        """The state of the server."""
        row = await self._database.fetchrow(SERVER)
        assert row is not None, "returns one row"  # noqa: S101 - for the type checker
        return ServerState(**row)

    async def schema_version(self) -> int:
        """The number of the newest migration that was applied with all before it."""
        async with self._database.connection() as connection:
            return await current_version(connection)

    async def long_transactions(self, older_than_s: float) -> list[LongTransaction]:
        """The oldest transactions that are open for longer, at most five."""
        return [LongTransaction(**row) for row in await self._database.fetch(LONG_TRANSACTIONS, older_than_s)]

    async def bloat(self, more_than: int) -> list[BloatedTable]:
        """Tables with more dead rows than `more_than` and than live rows, at most five."""
        return [BloatedTable(**row) for row in await self._database.fetch(BLOAT, more_than)]

    async def process_names(self) -> list[str]:
        """The names under which processes are connected: `filas-flow-runner 0.3.0`."""
        return sorted(row["name"] for row in await self._database.fetch(VERSIONS))

    async def oldest(self) -> dict[str, datetime | None]:
        """The time of the oldest ended row, by `event`, `execution` and `dead_letter`."""
        row = await self._database.fetchrow(OLDEST)
        return {} if row is None else dict(row)

    async def overdue_timers(self, by_s: float) -> OverdueTimers:
        """The executions whose wait ended at least `by_s` seconds ago. Counts at most MAX_ROWS."""
        row = await self._database.fetchrow(OVERDUE_TIMERS, by_s, MAX_ROWS)
        if row is None or not row["count"]:
            return OverdueTimers(count=0, since=None, ids=[])
        return OverdueTimers(**row)

    async def orphans(self) -> list[Orphans]:
        """The executions that have not ended, of versions and channels that do not exist, in at most 20 groups."""
        return [Orphans(**row) for row in await self._database.fetch(ORPHANS, 5 * MAX_ROWS)]

    async def waiting_by_channel(self) -> list[WaitingMessages]:
        """The messages that are not delivered yet, by channel."""
        rows = await self._database.fetch(WAITING_BY_CHANNEL, MAX_ROWS)
        errors = await self._notification_errors([row["example"] for row in rows if row["example"]])
        return [WaitingMessages(**row, error=errors.get(row["example"])) for row in rows]

    async def failed_by_channel(self, seconds: float) -> list[FailedMessages]:
        """The messages that failed in the last `seconds`, by channel."""
        rows = await self._database.fetch(FAILED_BY_CHANNEL, seconds, MAX_ROWS)
        errors = await self._notification_errors([row["example"] for row in rows])
        return [FailedMessages(**row, error=errors.get(row["example"])) for row in rows]

    async def _notification_errors(self, ids: list[UUID]) -> dict[UUID, ErrorDetail | None]:
        found = await self._database.fetch(NOTIFICATION_ERRORS, ids) if ids else []
        return {row["id"]: error_detail(row["error"]) for row in found}

    async def without_conversation(self, seconds: float) -> list[EventsWithoutConversation]:
        """The events of the last `seconds` whose templates found no contact or channel, by webhook and reason."""
        rows = await self._database.fetch(WITHOUT_CONVERSATION, seconds, MAX_ROWS)
        return [EventsWithoutConversation(**row) for row in rows]

    async def refusals(self, seconds: float) -> RefusedRequests:
        """The refused requests of the last `seconds` and of the last day."""
        counts = await self._database.fetchrow(REFUSALS, seconds, MAX_ROWS)
        recent, day = (0, 0) if counts is None else (counts["recent"], counts["day"])
        if not recent:
            return RefusedRequests(recent=recent, day=day)
        top = await self._database.fetchrow(TOP_REFUSAL, seconds, MAX_ROWS)
        if top is None:
            return RefusedRequests(recent=recent, day=day)
        return RefusedRequests(
            recent=recent, day=day, target=top["target"], is_webhook=top["known"], reason=top["reason"]
        )

    async def unusable_webhooks(self) -> list[UnusableWebhook]:
        """The webhooks whose flow cannot start, at most 20."""
        rows = await self._database.fetch(WEBHOOK_TARGETS)
        return [UnusableWebhook(id=row["id"], flow_id=row["flow_id"], no_flow=row["no_flow"]) for row in rows]

    async def failing_schedules(self) -> list[tuple[str, ErrorDetail]]:
        """The schedules whose last run failed, at most 20."""
        rows = await self._database.fetch(FAILING_SCHEDULES)
        return [(row["id"], error) for row in rows if (error := error_detail(row["last_error"])) is not None]

    async def ended_by_flow(self, seconds: float) -> list[EndedWork]:
        """The executions that ended in the last `seconds`, by flow; of the last MAX_ROWS."""
        return [EndedWork(**row) for row in await self._database.fetch(ENDED_BY_FLOW, seconds, MAX_ROWS)]

    async def ended_by_channel(self, seconds: float) -> list[EndedWork]:
        """The messages that had their outcome in the last `seconds`, by channel; of the last MAX_ROWS."""
        return [EndedWork(**row) for row in await self._database.fetch(ENDED_BY_CHANNEL, seconds, MAX_ROWS)]

    async def count_refusals(self, seconds: float, statuses: Sequence[int] | None) -> int:
        """The refused requests of the last `seconds` with one of `statuses` (None: all), at most MAX_ROWS."""
        count: int = await self._database.fetchval(COUNT_REFUSALS, seconds, MAX_ROWS, statuses)
        return count

    async def due_execution(self, execution_id: UUID) -> DueExecution | None:
        """The execution as its next job names it. None if it has ended or does not exist."""
        row = await self._database.fetchrow(DUE_EXECUTION, execution_id)
        return None if row is None or row["status"] in FINAL_EXECUTION_STATUSES else due(row)

    async def awaited_message(self, execution_id: UUID) -> UUID | None:
        """The notification for whose outcome an execution waits. None if it waits for none."""
        found: UUID | None = await self._database.fetchval(AWAITED_MESSAGE, execution_id)
        return found

    async def open_dead_letters(self, seconds: float) -> tuple[int, datetime | None]:
        """How many dead letters of the last `seconds` were not replayed, and the time of the first one."""
        row = await self._database.fetchrow(OPEN_LETTERS, seconds, MAX_ROWS)
        return (0, None) if row is None else (row["count"], row["since"])
