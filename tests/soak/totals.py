"""What must hold at the end: everything that was accepted has ended, and the figures count it, although its rows are
deleted."""

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import asyncpg

from tests.e2e.pipeline import Pipeline
from tests.soak import samples
from tests.soak.flows import ENDS_AS
from tests.soak.results import Results
from tests.soak.senders import Senders
from tests.waiting import eventually

DRAIN_S: Final = 180.0
READ_S: Final = 60.0
BUILT_S: Final = 400.0
"""How long the figures of the last minutes may take: a minute is built until it has been over for 90 s."""


async def drained(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Waits until nothing is unfinished: at most DRAIN_S. The totals show the rest."""
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        [row] = await pool.fetch(samples.UNFINISHED)
        if not any(dict(row).values()):
            return
        await asyncio.sleep(1)


async def read(pipeline: Pipeline, route: str) -> Any:
    """Reads from the API, again for up to READ_S: a busy machine answers 503 when a statement takes too long."""
    deadline = time.monotonic() + READ_S
    while True:
        try:
            return await pipeline.api("GET", route)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1)


async def check_totals(
    pipeline: Pipeline,
    pool: "asyncpg.Pool[asyncpg.Record]",
    results: Results,
    senders: Senders,
    began: datetime,
) -> None:
    """Compares the figures of the whole run with what the senders have counted."""
    end: datetime = await pool.fetchval("select clock_timestamp()")
    period = f"step=minute&since={quote(began.isoformat())}&until={quote((end + timedelta(minutes=1)).isoformat())}"

    async def is_built() -> bool:
        await asyncio.sleep(1)  # the API is asked once a second
        answer = await read(pipeline, f"/api/analytics/executions?{period}")
        return datetime.fromisoformat(answer["builtUntil"]) >= end

    await eventually(is_built, BUILT_S)
    [row] = await pool.fetch(samples.UNFINISHED)
    left = {name: value for name, value in dict(row).items() if value}
    results.check("nothing is left unfinished", f"{left}" if left else None)
    results.totals["accepted webhooks"] = senders.accepted
    refused = senders.refused + senders.minute.refused
    results.totals |= {f"refused: {reason}": count for reason, count in refused.items()}
    received = (await read(pipeline, f"/api/analytics/received?{period}"))["total"]["count"]
    # Ticks of the schedule start executions without an event.
    broken = None if received == senders.accepted else f"{received} are counted, {senders.accepted} were accepted"
    results.check("the figures count each accepted webhook", broken)
    for flow, started in sorted(senders.starts.items()):
        answer = await read(pipeline, f"/api/analytics/executions?{period}&flowId={flow}")
        outcomes = answer["total"]["outcomes"]
        results.totals |= {f"{flow} {status}": count for status, count in outcomes.items()}
        expected = {ENDS_AS[flow]: started}
        seen = {status: count for status, count in outcomes.items() if count}
        broken = None if seen == expected else f"{flow}: {seen} are counted, {expected} were started"
        results.check("the figures count each execution", broken)
