"""The checks at the end of a run are broken once."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from filas.contract.identity import new_id
from tests.chaos.flows import ORDER
from tests.e2e.pipeline import Pipeline
from tests.shared.repository.rollup_rows import COLUMNS, INSERTS
from tests.soak.conftest import Api
from tests.soak.flows import SILENT
from tests.soak.results import Outcome
from tests.soak.senders import Senders
from tests.soak.test_judgement import results
from tests.soak.totals import check_totals

ALL_COUNTED: dict[str, dict[str, int]] = {
    "received": {"": 5}, ORDER: {"succeeded": 3, "failed": 0}, SILENT: {"timed-out": 2}
}  # fmt: skip


@pytest.fixture
def senders() -> Senders:
    """Senders that have sent five webhooks."""
    found = Senders("", rate=1, keep_s=1)
    found.starts = Counter({ORDER: 3, SILENT: 2})
    found.accepted = 5
    found.refused = Counter({"503": 1})
    return found


async def check(
    pipeline: Pipeline, pool: "asyncpg.Pool[asyncpg.Record]", senders: Senders, api: Api, totals: Any
) -> dict[str, Outcome]:
    """The checks with these totals of the API."""
    run = results()
    api.totals, api.built_until = totals, datetime.now(UTC) + timedelta(hours=1)
    await check_totals(pipeline, pool, run, senders, datetime.now(UTC) - timedelta(hours=1))
    assert run.totals.items() >= {"accepted webhooks": 5, "refused: 503": 1}.items()
    return run.checks


async def test_figures_that_count_everything(
    pipeline: Pipeline, pool: "asyncpg.Pool[asyncpg.Record]", senders: Senders, api: Api
) -> None:
    checks = await check(pipeline, pool, senders, api, ALL_COUNTED)
    assert [one.broken for one in checks.values()] == [[], [], []]
    assert checks["the figures count each execution"].held == 2


async def test_an_api_that_is_busy_is_asked_again(
    pipeline: Pipeline, pool: "asyncpg.Pool[asyncpg.Record]", senders: Senders, api: Api
) -> None:
    api.fails = 1
    checks = await check(pipeline, pool, senders, api, ALL_COUNTED)
    assert [one.broken for one in checks.values()] == [[], [], []]


@pytest.mark.parametrize(
    ("changed", "check_name", "words"),
    [
        ({"received": {"": 4}}, "the figures count each accepted webhook", "4 are counted, 5 were accepted"),
        (
            {ORDER: {"succeeded": 2, "failed": 1}},
            "the figures count each execution",
            "order: {'succeeded': 2, 'failed': 1} are counted, {'succeeded': 3} were started",
        ),
    ],
)
async def test_figures_that_count_something_else(
    changed: dict[str, dict[str, int]],
    check_name: str,
    words: str,
    pipeline: Pipeline,
    pool: "asyncpg.Pool[asyncpg.Record]",
    senders: Senders,
    api: Api,
) -> None:
    checks = await check(pipeline, pool, senders, api, ALL_COUNTED | changed)
    assert checks[check_name].broken == [words]
    assert sum(len(one.broken) for one in checks.values()) == 1


async def test_an_event_that_is_left_unfinished(
    pipeline: Pipeline, pool: "asyncpg.Pool[asyncpg.Record]", senders: Senders, api: Api
) -> None:
    row = {"id": new_id(), "webhook": "shop", "status": "received", "received": datetime.now(UTC)}
    await pool.execute(INSERTS["events"], *(row.get(column) for column in COLUMNS["events"]))
    checks = await check(pipeline, pool, senders, api, ALL_COUNTED)
    assert checks["nothing is left unfinished"].broken == ["{'events': 1.0}"]
