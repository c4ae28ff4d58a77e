"""Removes what is older than its table's age, in small chunks. Why not by dropping partitions:

Measured (`tests/benchmarks/retention.py`; two cores shared with the client, Postgres 18 with its default
settings and durable commits; 300,000 events present, 270,000 of them past their age; 100 new events a batch,
20 batches a second). Latency of a batch's insert in ms:

| layout and what goes on beside the inserts                   | p50 | p99  |
|--------------------------------------------------------------|-----|------|
| one table, nothing                                           | 3.4 | 11.2 |
| one table, this purge (it deleted all 270,000 within 15 s)   | 3.1 | 10.1 |
| partitions by day and a table of keys, nothing               | 2.8 | 17.0 |
| the same, a partition dropped and its 270,000 keys deleted   | 2.9 | 11.4 |

The inserts don't notice the purge, and at half of one connection's time it deletes 18,000 rows a second,
three times what the busiest installation that we plan for takes in. Partitions would make the deletion of
the rows free, but no unique key could span them: each event's id would stand in a second table without a
time, whose rows must be deleted in chunks all the same, and every reading by id would look into every
partition. "Once" rests on those keys, so they are kept in the table itself.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from filas.observability.logs import get_logger
from filas.repository.postgres.database import Database

CHUNK_ROWS: Final = 500
PAUSE_SHARE: Final = 1.0

_log = get_logger("filas.repository")

_FIRST: Final = UUID(int=0)

# Each deletes one chunk behind the position ($2, $3) that is older than $1, of at most $4 rows, and answers
# how many rows it looked at and deleted, and the position after them. Rows that are not done are passed by:
# age alone ends nothing. `skip locked`: two that purge at once share the work.
EVENTS: Final = """
with chunk as (
    select id, received_at as time, status <> 'received' as done from events
    where received_at < $1 and (received_at, id) > ($2, $3)
    order by received_at, id limit $4 for update skip locked
), gone as (
    delete from events e using chunk c where e.id = c.id and c.done returning e.id
)
select (select count(*) from chunk) as seen, (select count(*) from gone) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

EXECUTIONS: Final = """
with chunk as (
    select id, queued_at as time, coalesce(ended_at < $1, false) as done from executions
    where queued_at < $1 and (queued_at, id) > ($2, $3)
    order by queued_at, id limit $4 for update skip locked
), gone as (
    delete from executions e using chunk c where e.id = c.id and c.done returning e.id
), gone_steps as (
    delete from steps s using gone g where s.execution_id = g.id
), gone_callbacks as (
    delete from callbacks k using gone g where k.execution_id = g.id
)
select (select count(*) from chunk) as seen, (select count(*) from gone) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

NOTIFICATIONS: Final = """
with chunk as (
    select id, created_at as time, coalesce(ended_at < $1, false) as done from notifications
    where created_at < $1 and (created_at, id) > ($2, $3)
    order by created_at, id limit $4 for update skip locked
), gone as (
    delete from notifications n using chunk c where n.id = c.id and c.done returning n.id
), gone_attempts as (
    delete from notification_attempts a using gone g where a.notification_id = g.id
)
select (select count(*) from chunk) as seen, (select count(*) from gone) as deleted, time, id
from chunk order by time desc, id desc limit 1"""

# All that are old enough go, whatever their state, so there is no position; few rows are ever there.
DELIVERY_STATUSES: Final = """
with chunk as (
    select job_id, created_at as time from delivery_statuses
    where created_at < $1 and created_at >= $2
    order by created_at limit $4 for update skip locked
), gone as (
    delete from delivery_statuses d using chunk c where d.job_id = c.job_id returning d.job_id
)
select (select count(*) from chunk) as seen, (select count(*) from gone) as deleted, time, $3::uuid as id
from chunk order by time desc limit 1"""

DEAD_LETTERS: Final = """
with chunk as (
    select id, failed_at as time from dead_letters
    where failed_at < $1 and (failed_at, id) > ($2, $3)
    order by failed_at, id limit $4 for update skip locked
), gone as (
    delete from dead_letters d using chunk c where d.id = c.id returning d.id
)
select (select count(*) from chunk) as seen, (select count(*) from gone) as deleted, time, id
from chunk order by time desc, id desc limit 1"""


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """How many days each table's rows are kept after they were done (events: received; dead letters: failed).

    Steps go with their execution, tries with their notification. Delivery statuses that nobody has told are kept as
    long as notifications.
    """

    events_days: float = 30.0
    executions_days: float = 30.0
    notifications_days: float = 30.0
    dead_letters_days: float = 90.0


class Retention:
    """Purges the tables that grow."""

    def __init__(self, database: Database, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._database = database
        self._chunk_rows = chunk_rows

    async def purge(self, now: datetime, ages: Ages, *, budget_s: float = 60.0) -> dict[str, int]:
        """Delete what is older than `ages` at `now`, the oldest first; give how many rows of each table went.

        Ends when nothing is left or after `budget_s` seconds (the next call goes on). Between two chunks it
        rests as long as a chunk took, so that it has at most half of one connection's time. Any number of
        processes may purge at once. Raises StoreUnavailable.
        """
        until = time.monotonic() + budget_s
        tables = {
            "events": (EVENTS, ages.events_days),
            "executions": (EXECUTIONS, ages.executions_days),
            "notifications": (NOTIFICATIONS, ages.notifications_days),
            "delivery_statuses": (DELIVERY_STATUSES, ages.notifications_days),
            "dead_letters": (DEAD_LETTERS, ages.dead_letters_days),
        }
        counts = {}
        for table, (statement, days) in tables.items():
            counts[table] = await self._purge_table(statement, now - timedelta(days=days), until)
        _log.info("retention.purged", **counts)
        return counts

    async def _purge_table(self, statement: str, older_than: datetime, until: float) -> int:
        deleted = 0
        time_seen, id_seen = datetime.min.replace(tzinfo=older_than.tzinfo), _FIRST
        while time.monotonic() < until:
            began = time.monotonic()
            row = await self._database.fetchrow(statement, older_than, time_seen, id_seen, self._chunk_rows)
            if row is None:
                break
            deleted += row["deleted"]
            time_seen, id_seen = row["time"], row["id"]
            if row["seen"] < self._chunk_rows:
                break
            await asyncio.sleep((time.monotonic() - began) * PAUSE_SHARE)
        return deleted
