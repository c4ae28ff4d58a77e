"""The checks of each minute are broken once: by old rows, wrong figures, and a search that finds the wrong events."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from filas.contract.identity import new_id
from tests.e2e.pipeline import Pipeline
from tests.shared.repository.rollup_rows import COLUMNS, INSERTS
from tests.soak import life_cycle
from tests.soak.conftest import EXECUTION, Api
from tests.soak.results import Results
from tests.soak.senders import Accepted
from tests.soak.test_judgement import results

EVENT = "11111111-1111-5111-8111-111111111111"


async def add_event(pool: "asyncpg.Pool[asyncpg.Record]", received: datetime) -> None:
    """Adds a processed event."""
    row = {"id": new_id(), "webhook": "shop", "status": "processed", "received": received, "processed": received}
    await pool.execute(INSERTS["events"], *(row[column] for column in COLUMNS["events"]))


def broken(run: Results) -> dict[str, int]:
    """How often each check was broken."""
    return {name: len(one.broken) for name, one in run.checks.items()}


@pytest.mark.starts_processes
def test_a_process_that_has_ended_is_found(tmp_path: Path) -> None:
    pipeline, run = Pipeline("redis://127.0.0.1:1/0", "", tmp_path), results()
    with subprocess.Popen([sys.executable, "-c", "input(); exit(3)"], stdin=subprocess.PIPE) as process:
        pipeline._processes["notifier"] = process
        life_cycle.processes(pipeline, run)
        assert broken(run) == {"no process ends by itself": 0}
        process.communicate(b"\n")
    life_cycle.processes(pipeline, run)
    assert run.checks["no process ends by itself"].broken == ["minute 60: {'notifier': 3}"]


async def test_rows_that_are_too_old_are_found(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Retention is 10 minutes, and a row may be 3 minutes older."""
    run = results()
    await add_event(pool, datetime.now(UTC) - timedelta(minutes=12))
    ages = await life_cycle.old_rows(pool, run)
    assert broken(run) == {"old rows go: events": 0}
    assert ages["oldest/events"] == pytest.approx(12, abs=0.5)
    await add_event(pool, datetime.now(UTC) - timedelta(minutes=14))
    await life_cycle.old_rows(pool, run)
    assert broken(run) == {"old rows go: events": 1}


async def test_figures_that_do_not_equal_the_rows_are_found(
    pool: "asyncpg.Pool[asyncpg.Record]", pipeline: Pipeline, api: Api
) -> None:
    now = datetime.now(UTC)
    minute = (now - timedelta(minutes=4)).replace(second=0, microsecond=0)
    await add_event(pool, minute + timedelta(seconds=30))
    api.points = [{"at": minute.isoformat(), "count": 1}]
    run = results()
    await life_cycle.figures(pipeline, pool, run, now - timedelta(hours=1))
    # The test API shows the same figure of executions and deliveries, of which there are none.
    assert broken(run) == {
        "figures equal the rows: received": 0,
        "figures equal the rows: executions": 1,
        "figures equal the rows: deliveries": 1,
    }
    assert run.checks["figures equal the rows: executions"].broken == [f"minute 60: {minute:%H:%M}: 1, not 0"]
    api.points = []
    await life_cycle.figures(pipeline, pool, run, now - timedelta(hours=1))
    assert run.checks["figures equal the rows: received"].broken == [f"minute 60: {minute:%H:%M}: 0, not 1"]


async def test_minutes_that_are_not_built_are_not_compared(
    pool: "asyncpg.Pool[asyncpg.Record]", pipeline: Pipeline, api: Api
) -> None:
    now = datetime.now(UTC)
    await add_event(pool, now - timedelta(minutes=4))
    api.built_until = now - timedelta(minutes=6)
    run = results()
    await life_cycle.figures(pipeline, pool, run, now - timedelta(hours=1))
    assert run.checks == {}


async def test_a_search_that_finds_the_wrong_events_is_found(pipeline: Pipeline, api: Api) -> None:
    now = time.monotonic()
    old = Accepted("order", "33333333-3333-5333-8333-333333333333", "gone", now - 14 * 60)
    recent = [old, Accepted("order", EVENT, "new", now - 70), Accepted("order", EVENT, "newest", now)]
    api.known = {"new": EVENT, EXECUTION: EXECUTION}
    run = results()
    await life_cycle.search(pipeline, run, recent)
    assert set(broken(run).values()) == {0}
    assert len(run.checks) == 3
    api.known = {"gone": old.event_id}
    await life_cycle.search(pipeline, run, recent)
    assert broken(run) == {
        "the search finds a new event": 1,
        "the search finds a new execution": 1,
        "the search finds nothing old": 1,
    }
