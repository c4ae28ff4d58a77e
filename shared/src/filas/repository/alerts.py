"""Alert rules and their firings. The holder of one lease evaluates the rules, and writes with its fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from filas.errors import LeaseLost
from filas.models.alerts import STANDARD_RULES, AlertFiring, AlertRule, StoredAlertRule
from filas.models.notifications import DueNotification
from filas.models.record import Page
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import from_json, to_json

RULES: Final = "select id, definition, silenced_until from alert_rules order by id"
RULE: Final = "select id, definition, silenced_until from alert_rules where id = $1"
STORE_RULE: Final = """
insert into alert_rules (id, definition, silenced_until) values ($1, $2::json, $3)
on conflict (id) do update set definition = excluded.definition, updated_at = now()"""
SILENCE: Final = """
insert into alert_rules (id, definition, silenced_until) values ($1, $2::json, $3)
on conflict (id) do update set silenced_until = excluded.silenced_until, updated_at = now()"""
DELETE_RULE: Final = "delete from alert_rules where id = $1 returning id"

TAKE_LEASE: Final = """
insert into alert_lease as l (id, owner, fence, until) values (1, $1, 1, now() + make_interval(secs => $2))
on conflict (id) do update set owner = $1, until = now() + make_interval(secs => $2),
    fence = l.fence + case when l.owner = $1 then 0 else 1 end
where l.owner = $1 or l.until < now()
returning fence, now() as now"""

LOCK_LEASE: Final = "select fence from alert_lease where id = 1 and owner = $1 and fence = $2 for update"

# The firings that are not over, those whose recovery may have to be announced, and the last announced one of each
# subject, for the cool-down.
OPEN: Final = """
select f.* from alert_firings f
where f.resolved_at is null
    or (f.pending_since >= now() - interval '31 days' and f.announced_at is not null
        and f.resolved_at >= now() - interval '31 days')
order by f.pending_since, f.id limit 5000"""

WRITE_FIRINGS: Final = """
insert into alert_firings (id, rule_id, subject, state, severity, value, peak, detail, pending_since, fired_at,
    announced_at, resolved_at, recovery_announced_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[], $8::json[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[])
on conflict (id) do update set state = excluded.state, severity = excluded.severity, value = excluded.value,
    peak = excluded.peak, detail = excluded.detail, fired_at = excluded.fired_at,
    announced_at = excluded.announced_at, resolved_at = excluded.resolved_at,
    recovery_announced_at = excluded.recovery_announced_at"""

DELETE_FIRINGS: Final = "delete from alert_firings where id = any($1::uuid[])"

INSERT_MESSAGES: Final = """
insert into notifications (id, seq, channel_id, recipient, payload, idempotency_key, due_at, created_at, updated_at)
select id, 0, channel_id, recipient, payload, idempotency_key, now(), now(), now()
from unnest($1::uuid[], $2::text[], $3::text[], $4::json[], $5::text[])
    as m (id, channel_id, recipient, payload, idempotency_key)
on conflict do nothing"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """A message that no execution sends: about an alert, or a test. It is delivered like any other notification."""

    id: UUID
    channel_id: str
    recipient: str
    payload: dict[str, Any]
    idempotency_key: str


@dataclass(slots=True)
class AlertChanges:
    """What one evaluation changes: firings to write, firings to delete, and messages to send."""

    firings: list[AlertFiring] = field(default_factory=list)
    deleted: list[UUID] = field(default_factory=list)
    messages: list[AlertMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AlertLease:
    """The lease of the evaluating notifier, and the time of Postgres when it was renewed."""

    owner: str
    fence: int
    now: datetime


class AlertRepository:
    """The tables `alert_rules`, `alert_firings` and `alert_lease`. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rules(self) -> list[StoredAlertRule]:
        """All rules by id: the stored ones, and the standard ones that no stored rule replaces."""
        stored = [_rule(row) for row in await self._database.fetch(RULES)]
        names = {one.id for one in stored}
        standard = [as_standard(rule) for rule in STANDARD_RULES if rule.id not in names]
        return sorted([*stored, *standard], key=lambda one: one.id)

    async def rule(self, rule_id: str) -> StoredAlertRule | None:
        """The rule, or None."""
        row = await self._database.fetchrow(RULE, rule_id)
        if row is not None:
            return _rule(row)
        return next((as_standard(rule) for rule in STANDARD_RULES if rule.id == rule_id), None)

    async def store(self, rule: AlertRule) -> StoredAlertRule:
        """Creates or replaces a rule. A silence stays."""
        await self._database.fetch(STORE_RULE, rule.id, _definition(rule), None)
        stored = await self.rule(rule.id)
        assert stored is not None, "has just been stored"  # noqa: S101 - for the type checker
        return stored

    async def delete(self, rule_id: str) -> bool:
        """Deletes a stored rule. A standard rule then has its standard definition. False if none was stored."""
        return await self._database.fetchrow(DELETE_RULE, rule_id) is not None

    async def silence(self, rule: AlertRule, until: datetime | None) -> StoredAlertRule:
        """Silences a rule until then; None ends the silence."""
        await self._database.fetch(SILENCE, rule.id, _definition(rule), until)
        stored = await self.rule(rule.id)
        assert stored is not None, "has just been stored"  # noqa: S101 - for the type checker
        return stored

    async def take_lease(self, owner: str, seconds: float) -> AlertLease | None:
        """Takes or renews the lease for `seconds`. None while another process holds it."""
        row = await self._database.fetchrow(TAKE_LEASE, owner, seconds)
        return None if row is None else AlertLease(owner, row["fence"], row["now"])

    async def open_firings(self) -> list[AlertFiring]:
        """The firings that an evaluation needs, the oldest first: those that are not over, and those of the last 31
        days that were announced."""
        return [_firing(row) for row in await self._database.fetch(OPEN)]

    async def write(self, lease: AlertLease, changes: AlertChanges) -> list[DueNotification]:
        """Writes an evaluation in one transaction. Returns the messages that need a job.

        Raises LeaseLost if another process has taken the lease since.
        """
        async with self._database.connection() as connection, connection.transaction():
            if await connection.fetchrow(LOCK_LEASE, lease.owner, lease.fence) is None:
                raise LeaseLost("the lease of the alerts")
            if changes.deleted:
                await connection.execute(DELETE_FIRINGS, changes.deleted)
            if changes.firings:
                await connection.execute(WRITE_FIRINGS, *_columns(changes.firings))
            return await self._send(connection, changes.messages)

    async def send(self, messages: Sequence[AlertMessage]) -> list[DueNotification]:
        """Stores messages without a firing, such as that of a test. Returns those that need a job."""
        async with self._database.connection() as connection, connection.transaction():
            return await self._send(connection, messages)

    async def history(self, rule_id: str | None, cursor: str | None, limit: int = paging.DEFAULT_LIMIT) -> Page:
        """One page of firings, the newest first; of one rule, or of all. Raises InvalidCursor."""
        limit = paging.bounded(limit)
        search = paging.Filter()
        search.add("rule_id = {}", rule_id)
        search.before(cursor, "pending_since")
        order = ("order by pending_since desc, id desc limit", search.place(limit + 1))
        rows = await self._database.fetch(
            " ".join(("select * from alert_firings", search.where(), *order)), *search.arguments
        )
        return paging.page_by_time(rows, limit, "pending_since", _firing)

    async def _send(self, connection: Any, messages: Sequence[AlertMessage]) -> list[DueNotification]:
        if messages:
            await connection.execute(
                INSERT_MESSAGES,
                [one.id for one in messages],
                [one.channel_id for one in messages],
                [one.recipient for one in messages],
                [to_json(one.payload) for one in messages],
                [one.idempotency_key for one in messages],
            )
        return [
            DueNotification(id=one.id, channel_id=one.channel_id, conversation_id=None, recipient=one.recipient)
            for one in messages
        ]


def as_standard(rule: AlertRule) -> StoredAlertRule:
    """A standard rule as the API shows it."""
    return StoredAlertRule(**{**msgspec.structs.asdict(rule), "standard": True})


def _definition(rule: AlertRule) -> str:
    fields = msgspec.structs.asdict(rule)
    return to_json(AlertRule(**{name: fields[name] for name in AlertRule.__struct_fields__}))


def _rule(row: asyncpg.Record) -> StoredAlertRule:
    rule = msgspec.convert({**from_json(row["definition"]), "id": row["id"]}, AlertRule)
    return StoredAlertRule(**msgspec.structs.asdict(rule), silenced_until=row["silenced_until"])


def _firing(row: asyncpg.Record) -> AlertFiring:
    # By name: the table may have a column of the next version.
    fields = {name: row[name] for name in AlertFiring.__struct_fields__}
    return AlertFiring(**{**fields, "detail": from_json(row["detail"])})


def _columns(firings: Sequence[AlertFiring]) -> list[list[object]]:
    return [
        [one.id for one in firings],
        [one.rule_id for one in firings],
        [one.subject for one in firings],
        [one.state for one in firings],
        [one.severity for one in firings],
        [one.value for one in firings],
        [one.peak for one in firings],
        [to_json(one.detail) for one in firings],
        [one.pending_since for one in firings],
        [one.fired_at for one in firings],
        [one.announced_at for one in firings],
        [one.resolved_at for one in firings],
        [one.recovery_announced_at for one in firings],
    ]
