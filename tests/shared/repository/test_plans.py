"""The plans of the frequent statements on empty tables: they must use indexes, because they are kept as tables grow."""

import re
from typing import Final

import pytest

from filas.repository import delivery_receipts, events, notifications
from filas.repository.executions import execution_sql
from filas.repository.postgres.database import Database

STATEMENTS: Final = {
    "start executions": execution_sql.START_MANY,
    "claim executions": execution_sql.CLAIM_MANY,
    "resume executions": execution_sql.RESUME_MANY,
    "renew leases": execution_sql.RENEW,
    "write checkpoints": execution_sql.CHECKPOINT_MANY,
    "queue due executions": execution_sql.QUEUE_DUE,
    "find the next wake-up": execution_sql.NEXT_WAKE,
    "find unfinished executions": execution_sql.UNFINISHED,
    "insert events": events.INSERT_MANY,
    "find unfinished events": events.UNFINISHED,
    "reopen events": events.REOPEN_MANY,
    "begin delivery attempts": notifications.BEGIN_ATTEMPTS,
    "record delivery attempts": notifications.RECORD_MANY,
    "record delivery receipts": notifications.RECORD_RECEIPTS,
    "find unfinished notifications": notifications.UNFINISHED,
    "find unrecorded receipts": delivery_receipts.SELECT_UNRECORDED,
}
GROWING_TABLES: Final = r"(?:executions|steps|events|notifications|notification_attempts|delivery_statuses)"


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_frequent_statement_scans_no_table_sequentially(database: Database, name: str) -> None:
    """The generic plan is the one that a connection keeps after five calls."""
    statement = STATEMENTS[name]
    count = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
    arguments = f"({', '.join(['null'] * count)})" if count else ""
    async with database.connection() as connection, connection.transaction():
        await connection.execute("set local plan_cache_mode = force_generic_plan")
        await connection.execute(f"prepare statement as {statement}")
        plan = "\n".join(row[0] for row in await connection.fetch(f"explain execute statement{arguments}"))
    assert not re.search(rf"Seq Scan on {GROWING_TABLES}\b", plan), plan
