"""Frequent updates that write no index. An update that changes a column of any index of its table, also one that is
only in the condition of a partial index, writes a new entry into every index of the row."""

from filas.repository.executions import checkpoint_sql, execution_sql
from filas.repository.executions.checkpoint_columns import columns_of, plain_columns_of
from filas.repository.executions.execution_repository import INLINE_BYTES, ExecutionRepository
from filas.repository.notification_sql import BEGIN_ATTEMPTS, RECORD_MANY
from filas.repository.postgres.database import Connection, Database
from tests.shared.repository.builders import checkpoint, claimed, notification, started, step

# Of the transaction, and of those of the session before it that the server has not reported yet.
UPDATES = "select n_tup_upd, n_tup_upd - n_tup_hot_upd from pg_stat_xact_user_tables where relname = $1"


async def assert_heap_only(connection: Connection, table: str) -> None:
    """Every row of the table that was updated was updated without an index entry."""
    row = await connection.fetchrow(UPDATES, table)
    assert row is not None
    assert row[0] > 0
    assert row[1] == 0, f"{row[1]} of {row[0]} updates of {table} wrote its indexes"


async def test_a_claim_and_a_renewal_write_no_index(database: Database, published: str) -> None:
    new, other = await started(database, flow_id=published), await started(database, flow_id=published)
    async with database.transaction() as connection:
        await connection.fetch(execution_sql.CLAIM_MANY, [new.id], [1], "worker-1", 8.0, INLINE_BYTES)
        await connection.fetch(execution_sql.CLAIM_FRESH, [other.id], "worker-1", 8.0, INLINE_BYTES)
        await assert_heap_only(connection, "executions")
        await connection.fetch(execution_sql.RENEW, [new.id], [1], 8.0)
        await assert_heap_only(connection, "executions")


async def test_a_checkpoint_of_a_running_execution_writes_no_index(database: Database, published: str) -> None:
    execution = await claimed(database, flow_id=published)
    async with database.transaction() as connection:
        one = checkpoint(execution, steps=[step()])
        await connection.fetch(checkpoint_sql.CHECKPOINT_PLAIN, *plain_columns_of([one]))
        await connection.fetch(checkpoint_sql.CHECKPOINT_MANY, *columns_of([one]))
        await assert_heap_only(connection, "executions")


async def test_the_outcome_of_an_attempt_writes_no_index_of_attempts(database: Database, published: str) -> None:
    execution = await claimed(database, flow_id=published)
    sent = notification(execution.id)
    await ExecutionRepository(database).checkpoint_many([checkpoint(execution, notifications=[sent])])
    async with database.transaction() as connection:
        await connection.fetch(BEGIN_ATTEMPTS, [sent.id], [False], 1000)
        await connection.fetch(RECORD_MANY, [sent.id], [1], ["sent"], ["sent"], [200], [None], [None], [None])
        await assert_heap_only(connection, "notification_attempts")
