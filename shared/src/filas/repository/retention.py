"""Removes rows that are older than the age of their table, in small chunks.

Dropping partitions would be an alternative. It was measured and rejected:

Measured (`tests/benchmarks/retention.py`; two cores shared with the client, Postgres 18 with its default
settings and durable commits; 300,000 events present, 270,000 of them past their age; 100 new events a batch,
20 batches a second). Latency of a batch's insert in ms:

| layout, and what runs beside the inserts                     | p50 | p99  |
|--------------------------------------------------------------|-----|------|
| one table, nothing                                           | 3.4 | 11.2 |
| one table, this purge (it deleted all 270,000 within 15 s)   | 3.1 | 10.1 |
| partitions by day and a table of keys, nothing               | 2.8 | 17.0 |
| the same, a partition dropped and its 270,000 keys deleted   | 2.9 | 11.4 |

The purge does not slow the inserts down. With half of the time of one connection it deletes 18,000 rows per second,
three times the rate of the busiest installation that we plan for. With partitions, deleting the rows would cost
nothing, but no unique key can span partitions: a second table would hold the ids of the events, its rows would have to
be deleted in chunks all the same, and every read by id would search every partition. The promise that an effect happens
once depends on these keys, so they are in the table itself.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from filas.models.analytics import SUBJECTS, bucket_of
from filas.observability.logs import get_logger
from filas.repository.postgres.database import Database

CHUNK_ROWS: Final = 500
PAUSE_SHARE: Final = 1.0
CONVERSATION_CHUNKS: Final = 40
SEGMENT_CHUNK: Final = 4

_log = get_logger("filas.repository")

_FIRST: Final = UUID(int=0)

# A conversation has no time of its last message, because that would cost a write for each message. `updated_at` is the
# time of its last variable, or of its last execution that retention has deleted (EXECUTIONS). The other executions are
# looked up. The conversations are examined in the order of their ids, so no index by time is needed. A contact is
# deleted with its last conversation, together with its aliases and the contacts that were merged into it.
CONVERSATIONS: Final = """
with chunk as (
    select id from conversations where id > $2 order by id limit $3
), unused as (
    select v.id from conversations v join chunk c on c.id = v.id
    where v.updated_at < $1 and not exists (
        select from executions e where e.conversation_id = v.id
            and (e.ended_at is null or e.ended_at >= $1 or e.queued_at >= $1) offset 0)
    order by v.id for update of v skip locked
), deleted_rows as (
    delete from conversations v using unused u where v.id = u.id returning v.id, v.contact_id
), left_contacts as (
    select c.id from contacts c join (select distinct contact_id from deleted_rows) g on g.contact_id = c.id
    where not exists (
        select from conversations v where v.contact_id = c.id and v.id not in (select id from deleted_rows) offset 0)
    order by c.id for update of c skip locked
), deleted_contacts as (
    delete from contacts c using left_contacts l where c.id = l.id
), deleted_merged as (
    delete from contacts c using left_contacts l where c.merged_into = l.id
), deleted_aliases as (
    delete from contact_aliases a using left_contacts l where a.contact_id = l.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, id
from chunk order by id desc limit 1"""

# Each statement examines one chunk of at most $4 rows that are older than $1, after the position ($2, $3). It returns
# the number of rows that it examined and deleted, and the position of the last one. Rows that have not ended are kept,
# whatever their age. `skip locked`: two processes that purge at the same time share the work.
EVENTS: Final = """
with chunk as (
    select id, received_at as time, status <> 'received' as done from events
    where received_at < $1 and (received_at, id) > ($2, $3)
    order by received_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from events e using chunk c where e.id = c.id and c.done returning e.id
), deleted_keys as (
    delete from event_keys k using deleted_rows g where k.event_id = g.id
), deleted_duplicates as (
    delete from event_duplicates d using deleted_rows g where d.event_id = g.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

EXECUTIONS: Final = """
with chunk as (
    select id, queued_at as time, coalesce(ended_at < $1, false) as done from executions
    where queued_at < $1 and (queued_at, id) > ($2, $3)
    order by queued_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from executions e using chunk c where e.id = c.id and c.done
    returning e.id, e.conversation_id, e.ended_at
), deleted_steps as (
    delete from steps s using deleted_rows g where s.execution_id = g.id
), deleted_callbacks as (
    delete from callbacks k using deleted_rows g where k.execution_id = g.id
), active as (
    select conversation_id, max(ended_at) as at from deleted_rows where conversation_id is not null
    group by conversation_id
), touched as (
    select v.id from conversations v join active a on a.conversation_id = v.id
    where v.updated_at < a.at order by v.id for update of v skip locked
), marked as (
    update conversations v set updated_at = a.at from active a join touched t on t.id = a.conversation_id
    where v.id = t.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

NOTIFICATIONS: Final = """
with chunk as (
    select id, created_at as time, coalesce(ended_at < $1, false) as done from notifications
    where created_at < $1 and (created_at, id) > ($2, $3)
    order by created_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from notifications n using chunk c where n.id = c.id and c.done returning n.id
), deleted_attempts as (
    delete from notification_attempts a using deleted_rows g where a.notification_id = g.id
), deleted_outcomes as (
    delete from message_outcomes o using deleted_rows g where o.notification_id = g.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

# Every row that is old enough is deleted, so no position is needed. There are never many rows.
DELIVERY_STATUSES: Final = """
with chunk as (
    select job_id, created_at as time from delivery_statuses
    where created_at < $1 and created_at >= $2
    order by created_at limit $4 for update skip locked
), deleted_rows as (
    delete from delivery_statuses d using chunk c where d.job_id = c.job_id returning d.job_id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, $3::uuid as id
from chunk order by time desc limit 1"""

# Cancels whose job, execution or notification no longer exists. There are never many rows.
CANCELS: Final = """
with jobs as (
    delete from job_cancels where requested_at < $1 returning 1
), executions as (
    delete from execution_cancels where requested_at < $1 returning 1
), notifications as (
    delete from notification_cancels where requested_at < $1 returning 1
)
select (select count(*) from jobs) + (select count(*) from executions) + (select count(*) from notifications)"""

DEAD_LETTERS: Final = """
with chunk as (
    select id, failed_at as time from dead_letters
    where failed_at < $1 and (failed_at, id) > ($2, $3)
    order by failed_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from dead_letters d using chunk c where d.id = c.id returning d.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

DELETED_DEAD_LETTERS: Final = """
with chunk as (
    select id, deleted_at as time from deleted_dead_letters
    where deleted_at < $1 and (deleted_at, id) > ($2, $3)
    order by deleted_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from deleted_dead_letters d using chunk c where d.id = c.id returning d.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

REPLAY_RUNS: Final = """
with chunk as (
    select id, started_at as time, ended_at is not null as done from replay_runs
    where started_at < $1 and (started_at, id) > ($2, $3)
    order by started_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from replay_runs r using chunk c where r.id = c.id and c.done returning r.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

REFUSALS: Final = """
with chunk as (
    select id, received_at as time from refusals
    where received_at < $1 and (received_at, id) > ($2, $3)
    order by received_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from refusals r using chunk c where r.id = c.id returning r.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

AUDIT_ENTRIES: Final = """
with chunk as (
    select id, at as time from audit_entries
    where at < $1 and (at, id) > ($2, $3)
    order by at, id limit $4 for update skip locked
), deleted_rows as (
    delete from audit_entries a using chunk c where a.id = c.id returning a.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

ALERT_FIRINGS: Final = """
with chunk as (
    select id, pending_since as time, resolved_at < $1 as done from alert_firings
    where pending_since < $1 and (pending_since, id) > ($2, $3)
    order by pending_since, id limit $4 for update skip locked
), deleted_rows as (
    delete from alert_firings a using chunk c where a.id = c.id and c.done returning a.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

# A key that was valid within the time of the audit is kept, because entries name it.
API_KEYS: Final = """
with chunk as (
    select id, created_at as time, coalesce(least(revoked_at, expires_at) < $1, false) as done from api_keys
    where created_at < $1 and (created_at, id) > ($2, $3)
    order by created_at, id limit $4 for update skip locked
), deleted_rows as (
    delete from api_keys k using chunk c where k.id = c.id and c.done returning k.id
)
select (select count(*) from chunk) as examined, (select count(*) from deleted_rows) as deleted, time, id
from chunk order by time desc, id desc limit 1"""


# The buckets of one figure.
ROLLUPS: Final = """
with chunk as (
    select resolution, figure, at, subject, part, outcome from rollups
    where resolution = $1 and figure = $2 and at < $3 order by at limit $4
), deleted_rows as (
    delete from rollups r using chunk c
    where r.resolution = c.resolution and r.figure = c.figure and r.at = c.at and r.subject = c.subject
        and r.part = c.part and r.outcome = c.outcome
    returning 1
)
select count(*) from deleted_rows"""


# The newest event of a segment is older than $1. $2: the segments of one chunk, because each has many rows.
SEARCH_SEGMENTS: Final = """
with chunk as (
    select no from search_segments where last_at < $1 order by last_at limit $2
), deleted_rows as (
    delete from search_segments s using chunk c where s.no = c.no returning s.no
), deleted_words as (
    delete from search_words w using deleted_rows g where w.segment = g.no
)
select count(*) from deleted_rows"""


RESTORABLE_DAYS: Final = 7.0
"""How many days a deleted dead letter can be restored."""


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """How many days the rows of each table are kept after they ended (events: after they were received).

    Content keys are deleted with their event, steps and callbacks with their execution, attempts and outcomes with
    their notification. Cancels that concern no job, execution or notification any more are kept as long as dead
    letters. Delivery receipts that were never recorded are kept as long as notifications. A conversation, with the
    contact's variables, is kept for so many days after its last execution, and while it has an unfinished one. A
    contact is deleted with its last conversation. Refusals have no setting of their own: the processes that write
    them also keep at most 10,000. Revoked and expired keys of the API are kept as long as the audit, which names
    them. Rollups are kept by minute, hour and day for different times, counted from the bucket. The index of the words
    in events is kept as long as events; an old event that is kept because it is unfinished is not found by words.
    """

    events_days: float = 30.0
    executions_days: float = 30.0
    notifications_days: float = 30.0
    dead_letters_days: float = 90.0
    conversations_days: float = 365.0
    refusals_days: float = 7.0
    audit_days: float = 400.0
    rollup_minutes_days: float = 2.0
    rollup_hours_days: float = 14.0
    rollup_days_days: float = 730.0


KEPT_TABLES: Final = {
    "flows": "a definition: an operator deletes it",
    "flow_versions": "executions name the version that they run, and operators compare versions; deleted with the flow",
    "webhooks": "a definition; a deleted one leaves a row, so that every process learns of its deletion",
    "channels": "a definition; a deleted one leaves a row, so that every process learns of its deletion",
    "secrets": "a definition: an operator deletes it",
    "schedules": "a definition, with its last tick only",
    "queue_pauses": "one row for each paused queue",
    "configuration_revision": "one row",
    "rollup_progress": "some rows for each source of rollups",
    "rollup_marks": "a row is deleted when its bucket is built, with the next round",
    "rollup_lease": "one row",
    "search_progress": "one row",
    "alert_rules": "definitions, which operators delete",
    "alert_lease": "one row",
    "revoked_tokens": "an expired one is deleted with the next revocation",
    "_pogo_migration": "one row for each migration",
    "_pogo_version": "one row",
}
"""The tables without an age, with the reason. They grow with what operators write and not with use."""


class Retention:
    """Purges the tables that grow with use."""

    def __init__(self, database: Database, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._database = database
        self._chunk_rows = chunk_rows
        self._next_conversation = _FIRST

    async def now(self) -> datetime:
        """Returns the time by the clock of Postgres. Raises StoreUnavailable."""
        now: datetime = await self._database.fetchval("select clock_timestamp()")
        return now

    async def purge(self, now: datetime, ages: Ages, *, budget_s: float = 60.0) -> dict[str, int]:
        """Deletes the rows that are older than `ages` at `now`, the oldest first. Returns the number of deleted rows by
        table.

        It ends when no such row is left, or after `budget_s` seconds; the next call continues. After each chunk it
        pauses for as long as the chunk took, so that it uses at most half of the time of one connection. Any number of
        processes may purge at the same time. Raises StoreUnavailable.
        """
        until = time.monotonic() + budget_s
        tables = {
            "events": (EVENTS, ages.events_days),
            "executions": (EXECUTIONS, ages.executions_days),
            "notifications": (NOTIFICATIONS, ages.notifications_days),
            "delivery_statuses": (DELIVERY_STATUSES, ages.notifications_days),
            "dead_letters": (DEAD_LETTERS, ages.dead_letters_days),
            "deleted_dead_letters": (DELETED_DEAD_LETTERS, RESTORABLE_DAYS),
            "replay_runs": (REPLAY_RUNS, ages.dead_letters_days),
            "refusals": (REFUSALS, ages.refusals_days),
            "alert_firings": (ALERT_FIRINGS, ages.dead_letters_days),
            "audit_entries": (AUDIT_ENTRIES, ages.audit_days),
            "api_keys": (API_KEYS, ages.audit_days),
        }
        counts = {}
        for table, (statement, days) in tables.items():
            counts[table] = await self._purge_table(statement, now - timedelta(days=days), until)
        counts["cancels"] = await self._database.fetchval(CANCELS, now - timedelta(days=ages.dead_letters_days))
        counts["conversations"] = await self._purge_conversations(now - timedelta(days=ages.conversations_days), until)
        counts["search_segments"] = await self._purge_search(now - timedelta(days=ages.events_days), until)
        counts["rollups"] = await self._purge_rollups(now, ages, until)
        _log.info("retention.purged", **counts)
        return counts

    async def _purge_conversations(self, older_than: datetime, until: float) -> int:
        """Examines the next conversations, after those of the last call. Most of them are kept, so one call examines
        only some chunks."""
        deleted = 0
        for _ in range(CONVERSATION_CHUNKS):
            if time.monotonic() >= until:
                break
            began = time.monotonic()
            row = await self._database.fetchrow(CONVERSATIONS, older_than, self._next_conversation, self._chunk_rows)
            deleted += 0 if row is None else row["deleted"]
            if row is None or row["examined"] < self._chunk_rows:
                self._next_conversation = _FIRST
                break
            self._next_conversation = row["id"]
            await asyncio.sleep((time.monotonic() - began) * PAUSE_SHARE)
        return deleted

    async def _purge_rollups(self, now: datetime, ages: Ages, until: float) -> int:
        """The minutes of an hour are deleted together, and the hours of a day, because they may be added up again."""
        cutoffs = {
            "minute": bucket_of("hour", now - timedelta(days=ages.rollup_minutes_days)),
            "hour": bucket_of("day", now - timedelta(days=ages.rollup_hours_days)),
            "day": bucket_of("day", now - timedelta(days=ages.rollup_days_days)),
        }
        deleted = 0
        for resolution, cutoff in cutoffs.items():
            for figure in SUBJECTS:
                chunk = self._chunk_rows
                while chunk == self._chunk_rows and time.monotonic() < until:
                    began = time.monotonic()
                    chunk = await self._database.fetchval(ROLLUPS, resolution, figure, cutoff, self._chunk_rows)
                    deleted += chunk
                    await asyncio.sleep((time.monotonic() - began) * PAUSE_SHARE)
        return deleted

    async def _purge_search(self, older_than: datetime, until: float) -> int:
        deleted, chunk = 0, SEGMENT_CHUNK
        while chunk == SEGMENT_CHUNK and time.monotonic() < until:
            began = time.monotonic()
            chunk = await self._database.fetchval(SEARCH_SEGMENTS, older_than, SEGMENT_CHUNK)
            deleted += chunk
            await asyncio.sleep((time.monotonic() - began) * PAUSE_SHARE)
        return deleted

    async def _purge_table(self, statement: str, older_than: datetime, until: float) -> int:
        deleted = 0
        time_examined, id_examined = datetime.min.replace(tzinfo=older_than.tzinfo), _FIRST
        while time.monotonic() < until:
            began = time.monotonic()
            row = await self._database.fetchrow(statement, older_than, time_examined, id_examined, self._chunk_rows)
            if row is None:
                break
            deleted += row["deleted"]
            time_examined, id_examined = row["time"], row["id"]
            if row["examined"] < self._chunk_rows:
                break
            await asyncio.sleep((time.monotonic() - began) * PAUSE_SHARE)
        return deleted
