"""The plans of all statements on empty tables: they must find their rows through an index.

A connection keeps the plan of a statement, so a plan that is made while the tables are empty may be used when they have
grown. Database makes it again then.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

import filas.repository
from filas.contract.identity import new_id
from filas.repository.analytics import rollup_sources
from filas.repository.executions import execution_sql
from filas.repository.postgres.database import Database
from filas.repository.postgres.statement_settings import planned_for_arguments
from filas.repository.postgres.table_growth import TableGrowth
from tests.waiting import PATIENCE_S, eventually

GROWING_TABLES: Final = frozenset(
    {
        "events",
        "event_keys",
        "executions",
        "steps",
        "callbacks",
        "conversations",
        "contacts",
        "contact_aliases",
        "notifications",
        "notification_attempts",
        "delivery_statuses",
        "dead_letters",
        "rollups",
        "search_words",
    }
)

# These read an index in its order and stop after some rows, or read an index or a table that has few rows.
READS_ALL: Final = {
    "executions.execution_sql.SECONDS_TO_NEXT_WAKE": {"executions_wake": "min() reads the first entry"},
    "executions.execution_sql.QUEUE_DUE": {
        "callbacks_untaken": "an entry leaves the index when its execution takes the call"
    },
    "delivery_receipts.SELECT_UNRECORDED": {"delivery_statuses_pkey": "ordered, with a limit"},
    "diagnosis.OLDEST": {
        "events_time": "min() reads the first entries",
        "executions_time": "min() reads the first entries",
        "dead_letters_time": "min() reads the first entry",
    },
    "diagnosis.ORPHANS": {"executions_unfinished": "ordered, with a limit"},
    "diagnosis.WAITING_BY_CHANNEL": {"notifications_unfinished": "ordered, with a limit"},
    "retention_sql.DELIVERY_STATUSES": {"delivery_statuses": "a row is deleted when its receipt is recorded"},
}

# Parts of the statements that a search composes. `{select}` marks a statement around another one.
FRAGMENTS: Final = frozenset(
    {
        "executions.checkpoint_sql._STATUSES",
        "executions.execution_view_sql.SEARCH",
        "executions.execution_search.SEARCH",
        "executions.execution_search._CONVERSATIONS",
        "executions.execution_search.EXAMINED",
        "executions.waiting_search.WAITING",
        "dead_letters._DELETE",
        "dead_letters._RESTORE",
        "failure_groups._GROUPS",
        "event_filter.OF_CONVERSATION",
        "postgres.paging._WITHIN_BYTES",
        "refusals.GROUPS",
        "analytics.rollup_queries._GROUPS",
    }
)


def _statements() -> Iterator[tuple[str, str]]:
    """Each constant of filas.repository that contains a statement, as (module.NAME, statement)."""
    for module_info in pkgutil.walk_packages(filas.repository.__path__, "filas.repository."):
        if ".migrations" in module_info.name:
            continue
        module = importlib.import_module(module_info.name)
        for name, value in vars(module).items():
            label = f"{module_info.name.removeprefix('filas.repository.')}.{name}"
            is_statement = isinstance(value, str) and re.match(r"\s*(with|select|insert|update|delete)\s", value)
            if is_statement and name.lstrip("_").isupper() and label not in FRAGMENTS and "{select}" not in value:
                yield label, value


STATEMENTS: Final = dict(_statements())


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


FIRST_COLUMNS: Final = """
select c.relname, pg_get_indexdef(i.indexrelid, 1, true) from pg_index i join pg_class c on c.oid = i.indexrelid"""

FILL_EXECUTIONS: Final = """
insert into executions (id, flow_id, version, node_id, trigger, queued_at)
select gen_random_uuid(), 'welcome', 1, 'start', '{}', now() from generate_series(1, 2000)"""

PLANS: Final = "select generic_plans, custom_plans from pg_prepared_statements where statement = $1"

ROWS_READ: Final = "select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables where relname = 'executions'"


async def _generic_plan(database: Database, statement: str) -> dict[str, Any]:
    """The plan that a connection keeps after five calls."""
    count = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
    arguments = f"({', '.join(['null'] * count)})" if count else ""
    async with database.connection() as connection, connection.transaction():
        await connection.execute("set local plan_cache_mode = force_generic_plan")
        await connection.execute(f"prepare statement as {statement}")
        text = await connection.fetchval(f"explain (format json) execute statement{arguments}")
        await connection.execute("deallocate statement")
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


async def _whole_reads(database: Database, name: str, first_columns: dict[str, str]) -> Iterator[str]:
    """What the statement reads completely. A condition on another column than the first one of an index does not
    count: it reads the whole index."""
    plan = await _generic_plan(database, STATEMENTS[name])
    return (
        f"{name} reads the whole of {read}"
        for node in _nodes(plan)
        if (read := _whole_read(node, first_columns)) is not None and read not in READS_ALL.get(name, {})
    )


def _whole_read(node: dict[str, Any], first_columns: dict[str, str]) -> str | None:
    table, index = node.get("Relation Name"), node.get("Index Name")
    if index is not None and index.startswith(tuple(f"{one}_" for one in GROWING_TABLES)):
        looked_up = re.search(rf"(?<!\w){re.escape(first_columns[index])}(?!\w)", node.get("Index Cond", ""))
        return None if looked_up else str(index)
    return str(table) if node["Node Type"] == "Seq Scan" and table in GROWING_TABLES else None


async def test_each_statement_finds_its_rows_through_an_index(owner_dsn: str) -> None:
    """Also the statements of `filas migrate`, so the tables' owner asks for the plans."""
    database = Database(owner_dsn, application_name="test", max_size=1)
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        first_columns = {row[0]: row[1] for row in await database.fetch(FIRST_COLUMNS)}
        found = [fault for name in STATEMENTS for fault in await _whole_reads(database, name, first_columns)]
        assert found == [], found
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        pytest.param([0, 50, 99], [False, False, False], id="a small table needs no new plans"),
        pytest.param([0, 100, 990, 1000], [False, True, False, True], id="each time there are ten times as many rows"),
        pytest.param([1000, 9900, 10_000], [True, False, True], id="the first plans may be older than the rows"),
        pytest.param([1000, 10, 150], [True, False, True], id="after the table has shrunk"),
    ],
)
def test_plans_are_renewed_when_a_table_has_grown_tenfold(checks: list[int], expected: list[bool]) -> None:
    growth = TableGrowth()
    assert [growth.needs_new_plans({"events": rows, "flows": 3}) for rows in checks] == expected


async def test_a_plan_for_an_empty_table_is_not_kept_when_the_table_grows(owner_dsn: str) -> None:
    """Statistics of an empty table let the planner read a whole index for each lookup."""
    database = Database(owner_dsn, application_name="test", max_size=1, growth_check_interval_s=0.05)
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        session = await database.fetchval("select pg_backend_pid()")
        await database.fetch("vacuum analyze executions")
        for _ in range(6):
            await _rows_read_by_renew(database)
        await database.fetch(FILL_EXECUTIONS)

        async def few_rows_are_read() -> bool:
            return await _rows_read_by_renew(database) < 100

        await eventually(few_rows_are_read)
        assert await database.fetchval("select pg_backend_pid()") == session, "a new connection costs much more"
    finally:
        await database.close()


async def test_a_batch_is_planned_once_and_a_range_each_time(postgres_dsn: str) -> None:
    database = Database(postgres_dsn, application_name="test", max_size=1, plan_once=True)
    database.start()
    try:
        await database.wait_ready(PATIENCE_S)
        for count in range(1, 8):
            await database.fetch(execution_sql.RENEW, [new_id() for _ in range(count)], [1] * count, 30.0)
            with planned_for_arguments():
                await database.fetch(rollup_sources.NEXT_EVENT, datetime.now(UTC))
        for statement, expected in ((execution_sql.RENEW, (7, 0)), (rollup_sources.NEXT_EVENT, (0, 7))):
            row = await database.fetchrow(PLANS, statement)
            assert row is not None
            assert tuple(row) == expected
    finally:
        await database.close()


async def _rows_read_by_renew(database: Database) -> int:
    ids = [new_id() for _ in range(10)]
    async with database.transaction() as connection:
        await connection.fetch(execution_sql.RENEW, ids, [1] * 10, 30.0)
        rows: int = await connection.fetchval(ROWS_READ)
    return rows
