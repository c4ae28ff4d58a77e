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
from filas.repository import retention_sql as sql
from filas.repository.postgres.database import Database

CHUNK_ROWS: Final = 500
PAUSE_SHARE: Final = 1.0
CONVERSATION_CHUNKS: Final = 40
SEGMENT_CHUNK: Final = 4

_log = get_logger("filas.repository")

_FIRST: Final = UUID(int=0)

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
    "flow_drafts": "one row for each flow that is being edited; deleted when it is published, and with the flow",
    "flow_tests": "definitions, at most 50 for each flow; deleted with it",
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
            "events": (sql.EVENTS, ages.events_days),
            "executions": (sql.EXECUTIONS, ages.executions_days),
            "notifications": (sql.NOTIFICATIONS, ages.notifications_days),
            "delivery_statuses": (sql.DELIVERY_STATUSES, ages.notifications_days),
            "dead_letters": (sql.DEAD_LETTERS, ages.dead_letters_days),
            "deleted_dead_letters": (sql.DELETED_DEAD_LETTERS, RESTORABLE_DAYS),
            "replay_runs": (sql.REPLAY_RUNS, ages.dead_letters_days),
            "refusals": (sql.REFUSALS, ages.refusals_days),
            "alert_firings": (sql.ALERT_FIRINGS, ages.dead_letters_days),
            "audit_entries": (sql.AUDIT_ENTRIES, ages.audit_days),
            "api_keys": (sql.API_KEYS, ages.audit_days),
        }
        counts = {}
        for table, (statement, days) in tables.items():
            counts[table] = await self._purge_table(statement, now - timedelta(days=days), until)
        counts["cancels"] = await self._database.fetchval(sql.CANCELS, now - timedelta(days=ages.dead_letters_days))
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
            row = await self._database.fetchrow(
                sql.CONVERSATIONS, older_than, self._next_conversation, self._chunk_rows
            )
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
                    chunk = await self._database.fetchval(sql.ROLLUPS, resolution, figure, cutoff, self._chunk_rows)
                    deleted += chunk
                    await asyncio.sleep((time.monotonic() - began) * PAUSE_SHARE)
        return deleted

    async def _purge_search(self, older_than: datetime, until: float) -> int:
        deleted, chunk = 0, SEGMENT_CHUNK
        while chunk == SEGMENT_CHUNK and time.monotonic() < until:
            began = time.monotonic()
            chunk = await self._database.fetchval(sql.SEARCH_SEGMENTS, older_than, SEGMENT_CHUNK)
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
