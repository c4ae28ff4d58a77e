"""Rows with given times for the tests of rollups, and the figures that they add up to, calculated without SQL."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from filas.contract.identity import new_id
from filas.models.analytics import ALL, Resolution, bucket_of
from filas.models.histograms import BOUNDS_MS
from filas.repository.postgres.database import Database

Key: TypeAlias = tuple[str, datetime, str, str, str]
Cell: TypeAlias = tuple[int, float, dict[int, int]]
"""Count, sum of the times in milliseconds (rounded to 1), and histogram."""

Row: TypeAlias = dict[str, Any]

WITH_SUM = frozenset(
    {"received", "events", "executions", "deliveries", "latency", "refusals"}
    | {"webhook-retries", "flow-retries", "channel-retries"}
)

INSERTS = {
    "events": """
insert into events (id, webhook_id, flow_id, node_id, status, method, headers, query_params, body, content_type,
    remote_address, config, received_at, processed_at)
values ($1, $2, 'f', 'start', $3, 'POST', '{}', '{}', '', '', '', '{}', $4, $5)
on conflict (id) do update set status = excluded.status, processed_at = excluded.processed_at""",
    "executions": """
insert into executions (id, flow_id, version, node_id, status, trigger, event_id, turn, resumed_id, queued_at,
    started_at, ended_at)
values ($1, $2, 1, 'start', $3, '{}', $4, $5, $6, $7, $8, $9)
on conflict (id) do update set status = excluded.status, ended_at = excluded.ended_at""",
    "steps": """
insert into steps (execution_id, seq, node_id, type, status, attempt, handle, started_at, ended_at)
values ($1, $2, $3, 'message', $4, $5, $6, $7, $8)""",
    "notifications": """
insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, status, due_at,
    created_at, updated_at, ended_at)
values ($1::uuid, $2, $3, $4, '', '{}', $1::uuid::text, $5, $6, $6, $6, $7)
on conflict (id) do update set status = excluded.status, ended_at = excluded.ended_at""",
    "attempts": """
insert into notification_attempts (notification_id, attempt, outcome, started_at, ended_at)
values ($1, $2, 'sent', $3, $4)""",
    "refusals": """
insert into refusals (id, received_at, webhook_id, path, method, address, status, reason, detail, size, headers,
    query_params, body)
values ($1, $2, $3, '/', 'POST', '', 401, $4, '', 0, '{}', '{}', '')""",
}

COLUMNS = {
    "events": ("id", "webhook", "status", "received", "processed"),
    "executions": ("id", "flow", "status", "event", "turn", "resumed", "queued", "started", "ended"),
    "steps": ("execution", "seq", "node", "status", "attempt", "handle", "started", "ended"),
    "notifications": ("id", "execution", "seq", "channel", "status", "created", "ended"),
    "attempts": ("notification", "attempt", "started", "ended"),
    "refusals": ("id", "received", "webhook", "reason"),
}


@dataclass
class Rows:
    """The rows of a database, by table."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in INSERTS})

    async def write(self, database: Database, added: Rows) -> None:
        """Inserts the rows of `added`; a row whose id exists is changed."""
        async with database.transaction() as connection:
            for name, rows in added.tables.items():
                for row in rows:
                    await connection.execute(INSERTS[name], *(row[column] for column in COLUMNS[name]))
        for name, rows in added.tables.items():
            changed = {row["id"]: row for row in rows if "id" in row}
            self.tables[name] = [one for one in self.tables[name] if one.get("id") not in changed] + rows

    def chain(self, chance: random.Random, ended: datetime) -> None:
        """Adds an event whose execution, with two steps or none, sends two messages. All has ended at `ended`."""

        def before(moment: datetime, longest_s: float) -> datetime:
            return moment - timedelta(seconds=round(chance.expovariate(3 / longest_s), 6))

        created = before(ended, 40)
        started = before(created, 10)
        received = before(started, 20)
        event, execution = new_id(), new_id()
        flow = chance.choice(["welcome", "orders"])
        self.tables["events"].append(
            {
                "id": event,
                "webhook": chance.choice(["shop", "whatsapp"]),
                "status": chance.choice(["processed", "ignored", "failed"]),
                "received": received,
                "processed": started,
            }
        )
        self.tables["executions"].append(
            {
                "id": execution,
                "flow": flow,
                "status": chance.choice(["succeeded", "failed", "timed-out"]),
                "event": event,
                "turn": chance.choice([1, 1, 2]),
                "resumed": None,
                "queued": received,
                "started": started if chance.random() < 0.9 else None,
                "ended": created,
            }
        )
        has_steps = chance.random() < 0.9
        for seq in (1, 2):
            if has_steps:
                self._step(chance, execution, seq, started, created)
            self._notification(chance, execution, seq, created, ended)
        self.tables["refusals"].append(
            {"id": new_id(), "received": ended, "webhook": chance.choice(["shop", None]), "reason": "signature"}
        )

    def _step(self, chance: random.Random, execution: UUID, seq: int, started: datetime, ended: datetime) -> None:
        self.tables["steps"].append(
            {
                "execution": execution,
                "seq": seq,
                "node": f"node-{seq}",
                "status": chance.choice(["succeeded", "failed"]),
                "attempt": chance.choice([1, 1, 2, 3]),
                "handle": chance.choice(["out", "error", None]),
                "started": started,
                "ended": ended if chance.random() < 0.8 else None,
            }
        )

    def _notification(
        self, chance: random.Random, execution: UUID, seq: int, created: datetime, ended: datetime
    ) -> None:
        notification = new_id()
        self.tables["notifications"].append(
            {
                "id": notification,
                "execution": execution,
                "seq": seq,
                "channel": chance.choice(["crm", "console"]),
                "status": chance.choice(["sent", "delivered", "failed"]),
                "created": created,
                "ended": ended,
            }
        )
        for attempt in (1, 2):
            self.tables["attempts"].append(
                {"notification": notification, "attempt": attempt, "started": created, "ended": ended}
            )

    def changed(self, chance: random.Random, since: datetime, now: datetime) -> Rows:
        """A receipt, a replay and an end for rows that ended after `since`."""
        added = Rows()
        for row in self.tables["notifications"]:
            if row["ended"] >= since and chance.random() < 0.3:
                added.tables["notifications"].append(row | {"status": "read"})
        for row in self.tables["executions"]:
            if row["ended"] is not None and row["ended"] >= since and chance.random() < 0.3:
                added.tables["executions"].append(row | {"status": "succeeded", "ended": now})
        return added

    def figures(self, resolution: Resolution) -> dict[Key, Cell]:
        """What the rollups of the resolution should contain."""
        cells: dict[Key, list[tuple[float | None]]] = defaultdict(list)
        for figure, at, subject, part, outcome, ms in self._facts():
            for one in (subject, ALL) if figure in WITH_SUM else (subject,):
                cells[figure, bucket_of(resolution, at), one, part, outcome].append((ms,))
        return {key: _cell([ms for (ms,) in times]) for key, times in cells.items()}

    def _facts(self) -> list[tuple[str, datetime, str, str, str, float | None]]:
        facts: list[tuple[str, datetime, str, str, str, float | None]] = []
        for one in self.tables["refusals"]:
            facts.append(("refusals", one["received"], one["webhook"] or "", "", one["reason"], None))
        for one in self.tables["events"]:
            facts.append(("received", one["received"], one["webhook"], "", "", None))
            if one["processed"] is not None:
                ms = _ms(one["received"], one["processed"])
                facts.append(("events", one["processed"], one["webhook"], "", one["status"], ms))
                facts.append(("queue-total", one["processed"], "webhook-processing", "", "", ms))
        for one in self.tables["executions"]:
            facts += self._of_execution(one)
        for one in self.tables["notifications"]:
            facts += self._of_notification(one)
        return facts

    def _of_execution(self, one: Row) -> list[tuple[str, datetime, str, str, str, float | None]]:
        ended, started, queue = one["ended"], one["started"], "flow-processing"
        if ended is None or one["resumed"] is not None:
            return []
        facts = [("executions", ended, one["flow"], "", one["status"], _ms(started, ended))]
        if started is not None:
            facts.append(("queue-wait", ended, queue, "", "", _ms(one["queued"], started)))
        if started is not None and one["turn"] == 1:
            facts.append(("queue-run", ended, queue, "", "", _ms(started, ended)))
            facts.append(("queue-total", ended, queue, "", "", _ms(one["queued"], ended)))
        steps = [step for step in self.tables["steps"] if step["execution"] == one["id"]]
        for step in steps:
            ms = _ms(step["started"], step["ended"])
            facts.append(("nodes", ended, one["flow"], step["node"], step["status"], ms))
            facts += self._retries(one, step) * (step["attempt"] - 1)
            if step["handle"] is not None:
                facts.append(("outputs", ended, one["flow"], step["node"], step["handle"], None))
        last = max(steps, key=lambda step: step["seq"])["node"] if steps else "start"
        facts.append(("endings", ended, one["flow"], last, one["status"], None))
        return facts

    def _retries(self, execution: Row, step: Row) -> list[tuple[str, datetime, str, str, str, float | None]]:
        ended, flow = execution["ended"], execution["flow"]
        webhooks = [event["webhook"] for event in self.tables["events"] if event["id"] == execution["event"]]
        return [
            ("node-retries", ended, flow, step["node"], "", None),
            ("flow-retries", ended, flow, "", "", None),
            ("queue-retries", ended, "flow-processing", "", "", None),
            *(("webhook-retries", ended, webhook, "", "", None) for webhook in webhooks),
        ]

    def _of_notification(self, one: Row) -> list[tuple[str, datetime, str, str, str, float | None]]:
        ended, created, queue = one["ended"], one["created"], "notifications"
        if ended is None:
            return []
        facts = [
            ("deliveries", ended, one["channel"], "", one["status"], _ms(created, ended)),
            ("queue-total", ended, queue, "", "", _ms(created, ended)),
        ]
        for attempt in self.tables["attempts"]:
            if attempt["notification"] == one["id"]:
                facts.append(("queue-run", ended, queue, "", "", _ms(attempt["started"], attempt["ended"])))
                if attempt["attempt"] == 1:
                    facts.append(("queue-wait", ended, queue, "", "", _ms(created, attempt["started"])))
                else:
                    facts.append(("channel-retries", ended, one["channel"], "", "", None))
                    facts.append(("queue-retries", ended, queue, "", "", None))
        event = self._answered(one)
        if event is not None:
            facts.append(("latency", ended, event["webhook"], "", "", _ms(event["received"], ended)))
        return facts

    def _answered(self, one: Row) -> Row | None:
        """The event of which the message is the first answer."""
        if one["status"] not in ("sent", "delivered", "read"):
            return None
        owners = [x for x in self.tables["executions"] if one["execution"] in (x["id"], x["resumed"])]
        ids = {owner["event"] for owner in owners}
        events = [x for x in self.tables["events"] if x["id"] in ids and x["received"] <= one["created"]]
        if not events:
            return None
        event = max(events, key=lambda x: x["received"])
        order = (one["created"], one["seq"], one["id"])
        earlier = [
            x
            for x in self.tables["notifications"]
            if x["execution"] == one["execution"]
            and x["created"] >= event["received"]
            and (x["created"], x["seq"], x["id"]) < order
        ]
        return None if earlier else event


def _ms(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return max((end - start).total_seconds() * 1000, 0.0)


def _cell(times: list[float | None]) -> Cell:
    histogram: dict[int, int] = defaultdict(int)
    for ms in times:
        if ms is not None:
            histogram[sum(ms >= bound for bound in BOUNDS_MS)] += 1
    return len(times), round(sum(ms or 0.0 for ms in times)), dict(histogram)


async def stored(database: Database, resolution: Resolution) -> dict[Key, Cell]:
    """What the rollups of the resolution contain."""
    rows = await database.fetch("select * from rollups where resolution = $1", resolution)
    return {
        (row["figure"], row["at"], row["subject"], row["part"], row["outcome"]): (
            row["count"],
            round(row["sum_ms"]),
            {bucket: row[f"h{bucket}"] for bucket in range(32) if row[f"h{bucket}"]},
        )
        for row in rows
    }
