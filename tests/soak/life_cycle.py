"""What must hold during the run: old rows go, the figures equal the rows, and the search finds what exists."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import asyncpg

from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline
from tests.soak.results import Results
from tests.soak.samples import Values
from tests.soak.senders import Accepted

SLACK_MINUTES: Final = 3.0
"""How much older than the retention a row may be: retention runs once a minute and takes a part of it."""

FIGURES: Final = {
    "received": "select date_trunc('minute', received_at) as at, count(*) as count from events group by 1",
    "executions": """
        select date_trunc('minute', ended_at) as at, count(*) as count from executions
        where ended_at is not null and resumed_id is null group by 1""",
    "deliveries": """
        select date_trunc('minute', ended_at) as at, count(*) as count from notifications
        where ended_at is not null group by 1""",
}
"""The rows that a figure counts, by the minute in which it counts them."""

OLDEST: Final = """
select extract(epoch from clock_timestamp() - min(received_at)) / 60 as events,
    (select extract(epoch from clock_timestamp() - min(ended_at)) / 60 from executions) as executions,
    (select extract(epoch from clock_timestamp() - min(ended_at)) / 60 from notifications) as notifications,
    (select extract(epoch from clock_timestamp() - min(failed_at)) / 60 from dead_letters) as "dead letters",
    (select extract(epoch from clock_timestamp() - min(last_at)) / 60 from search_segments) as "search segments",
    (select extract(epoch from clock_timestamp() - min(updated_at)) / 60 from conversations v where not exists (
        select from executions e where e.conversation_id = v.id)) as conversations
from events"""
"""The age of the oldest row of each table in minutes."""


def processes(pipeline: Pipeline, results: Results) -> None:
    """Checks that every process runs."""
    ended = pipeline.ended
    results.check("no process ends by itself", f"minute {results.minutes}: {ended}" if ended else None)


async def old_rows(pool: "asyncpg.Pool[asyncpg.Record]", results: Results) -> Values:
    """Checks that no row is much older than the retention. Returns the ages in minutes."""
    [row] = await pool.fetch(OLDEST)
    limit = results.retention_minutes + SLACK_MINUTES
    values = {f"oldest/{name}": float(age) for name, age in dict(row).items() if age is not None}
    for name, age in values.items():
        # A conversation is examined after its last execution was deleted, so it may live twice as long.
        most = limit * (2 if name == "oldest/conversations" else 1)
        broken = None if age <= most else f"minute {results.minutes}: {age:.1f} minutes, allowed: {most:g}"
        results.check(f"old rows go: {name.partition('/')[2]}", broken)
    return values


async def figures(pipeline: Pipeline, pool: "asyncpg.Pool[asyncpg.Record]", results: Results, began: datetime) -> None:
    """Checks that the figures of some minutes equal the numbers of rows. `began`: the load started then."""
    now: datetime = await pool.fetchval("select clock_timestamp()")
    first = max(began, now - timedelta(minutes=min(10.0, results.retention_minutes - 1)))
    since = first.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for figure, statement in FIGURES.items():
        route = f"/api/analytics/{figure}?step=minute&since={quote(since.isoformat())}&until={quote(now.isoformat())}"
        answer = await pipeline.api("GET", route)
        rows = {row["at"]: row["count"] for row in await pool.fetch(statement)}
        until = datetime.fromisoformat(answer["builtUntil"])
        shown = {datetime.fromisoformat(point["at"]): point["count"] for point in answer["points"]}
        minutes = [at for at in {*shown, *rows} if since <= at <= until - timedelta(minutes=1)]
        wrong = [f"{at:%H:%M}: {shown.get(at, 0)}, not {rows.get(at, 0)}" for at in sorted(minutes)
                 if shown.get(at, 0) != rows.get(at, 0)]  # fmt: skip
        if minutes:
            broken = f"minute {results.minutes}: {'; '.join(wrong)}" if wrong else None
            results.check(f"figures equal the rows: {figure}", broken)


async def search(pipeline: Pipeline, results: Results, recent: Sequence[Accepted]) -> None:
    """Checks that the search finds an event and an execution of a minute ago, and no event that retention has removed.
    `recent` are accepted webhooks, the oldest first."""
    now = time.monotonic()
    new = next((one for one in reversed(recent) if one.at < now - 60), None)
    if new is not None:
        events = await _found(pipeline, new.word)
        results.check("the search finds a new event", None if new.event_id in events else _missing(results, new))
        executions = await pipeline.api("GET", f"/api/executions?eventId={new.event_id}")
        missing = [one["id"] for one in executions if one["id"] not in await _found(pipeline, one["id"])]
        broken = _missing(results, new) if missing or not executions else None
        results.check("the search finds a new execution", broken)
    gone_s = (results.retention_minutes + SLACK_MINUTES) * 60
    old = next((one for one in reversed(recent) if one.at < now - gone_s), None)
    if old is not None:
        broken = f"minute {results.minutes}: {old.event_id} of {old.flow}"
        for query in (old.word, old.event_id):
            results.check("the search finds nothing old", broken if await _found(pipeline, query) else None)


def _missing(results: Results, one: Accepted) -> str:
    return f"minute {results.minutes}: {one.event_id} of {one.flow} is not found"


async def _found(pipeline: Pipeline, query: str) -> list[str]:
    """The ids of all events and objects that the search finds. A page may be empty although more follow."""
    found: list[str] = []
    cursor = ""
    while True:
        url = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}/api/search?q={query}{cursor}"
        async with pipeline.session.get(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as answer:
            answer.raise_for_status()
            document: Any = await answer.json()
        found += [one["id"] for part in ("events", "entities") for one in document["data"][part]]
        if not document.get("nextCursor"):
            return found
        cursor = f"&cursor={quote(document['nextCursor'])}"
