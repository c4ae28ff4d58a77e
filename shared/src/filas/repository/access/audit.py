"""The audit: who changed what (table `audit_entries`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from filas.contract.identity import derived_id, new_id
from filas.models.access import COMMAND_LINE, SIGN_IN_FAILED, UNKNOWN, AuditEntry, NewAuditEntry, SignInFailures
from filas.models.record import Page
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json_or_null
from filas.repository.schema import AnyConnection

SIGN_IN: Final = "sign-in"

# Held until the transaction ends, so that no other change comes between the reading of `before` and the change itself.
LOCK: Final = "select pg_advisory_xact_lock(hashtextextended($1, 0))"

INSERT: Final = """
insert into audit_entries (id, at, last_at, who, key_id, role, address, action, subject, outcome, count, before, after)
values ($1, coalesce($11, now()), coalesce($11, now()), $2, $3, $4, $5, $6, $7, $8, 1, $9::json, $10::json)
on conflict (id) do nothing"""

# Several processes may add to the row of one address and minute.
ADD_FAILURES: Final = """
insert into audit_entries (id, at, last_at, who, address, action, subject, outcome, count)
select id, at, last_at, $6, address, $7, $8, 'failed', count
from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::bigint[])
    as new (id, at, last_at, address, count)
order by id
on conflict (id) do update set
    count = audit_entries.count + excluded.count, last_at = greatest(audit_entries.last_at, excluded.last_at)"""

SELECT: Final = "select * from audit_entries where id = $1"

HAS_TABLE: Final = "select to_regclass('public.audit_entries') is not null"

SIZE: Final = "coalesce(octet_length(before::text), 0) + coalesce(octet_length(after::text), 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """The filters of a search; an entry matches all that are given.

    `subject` is one subject (`webhooks/shop`) or a kind of them (`webhooks`). The entry is of `since` or later and
    before `until`.
    """

    who: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditRepository:
    """The table `audit_entries`. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lock(self, subject: str) -> None:
        """Waits until no other transaction holds the lock of the subject, and holds it until this one ends."""
        await self._database.fetch(LOCK, subject)

    async def insert(self, entry: NewAuditEntry, at: datetime | None = None) -> None:
        """Stores an entry, with the time `at` or the present time. A repeated call stores nothing twice."""
        await self._database.fetch(
            INSERT,
            entry.id,
            entry.who,
            entry.key_id,
            entry.role,
            entry.address,
            entry.action,
            entry.subject,
            entry.outcome,
            to_json_or_null(entry.before),
            to_json_or_null(entry.after),
            at,
        )

    async def add_failures(self, failures: Sequence[SignInFailures]) -> None:
        """Adds failed sign-ins to the rows of their addresses and minutes. No address and minute is given twice."""
        rows = [(_failures_id(one), one.at, one.last_at, one.address, one.count) for one in failures]
        columns = (list(column) for column in zip(*rows, strict=True))
        await self._database.fetch(ADD_FAILURES, *columns, UNKNOWN, SIGN_IN_FAILED, SIGN_IN)

    async def get(self, entry_id: UUID) -> AuditEntry | None:
        """Returns an entry; None if there is none."""
        row = await self._database.fetchrow(SELECT, entry_id)
        return None if row is None else _entry(row)

    async def search(self, wanted: AuditFilter, *, cursor: str | None, limit: int) -> Page:
        """Entries, the newest first. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.add("who = {}", wanted.who)
        search.add("action = {}", wanted.action)
        if wanted.subject is not None and "/" not in wanted.subject:
            # The subjects of a kind: "0" is the character after "/".
            search.add(
                "subject >= {} and subject < {} and (subject = {} or subject >= {})",
                wanted.subject, f"{wanted.subject}0", wanted.subject, f"{wanted.subject}/",
            )  # fmt: skip
        else:
            search.add("subject = {}", wanted.subject)
        search.add("at >= {}", wanted.since)
        search.add("at < {}", wanted.until)
        search.before(cursor, "at")
        order = ("order by at desc, id desc limit", search.place(limit + 1))
        select = " ".join(("select * from audit_entries", search.where(), *order))
        rows = await self._database.fetch(paging.within_bytes(select, SIZE, "at desc, id desc"), *search.arguments)
        return paging.page_by_time(rows, limit, "at", _entry)


async def record_command(connection: AnyConnection, action: str, subject: str, before: Any, after: Any) -> None:
    """Stores the entry of a command that uses Postgres itself, if the database has the table already."""
    if await connection.fetchval(HAS_TABLE):
        encoded = (to_json_or_null(before), to_json_or_null(after))
        await connection.execute(
            INSERT, new_id(), COMMAND_LINE, None, None, "local", action, subject, "done", *encoded, None
        )


def _failures_id(failures: SignInFailures) -> UUID:
    return derived_id("sign-in-failures", failures.at.isoformat(), failures.address)


def _entry(row: asyncpg.Record) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        at=row["at"],
        last_at=row["last_at"],
        who=row["who"],
        key_id=row["key_id"],
        role=row["role"],
        address=row["address"],
        action=row["action"],
        subject=row["subject"],
        outcome=row["outcome"],
        count=row["count"],
        before=from_json(row["before"]),
        after=from_json(row["after"]),
    )
