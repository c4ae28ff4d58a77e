"""Rows with a column that only the next version knows. During an update, processes of both versions read them."""

from datetime import UTC, datetime

import asyncpg

from filas.contract.identity import new_id
from filas.models.alerts import AlertFiring
from filas.repository.alerts import AlertChanges, AlertRepository
from filas.repository.postgres.database import Database


async def test_a_firing_is_read_from_a_table_with_a_newer_column(database: Database, owner_dsn: str) -> None:
    """An open firing ended the notifier of the present version during an update."""
    alerts = AlertRepository(database)
    lease = await alerts.take_lease("here", 60)
    assert lease is not None
    firing = AlertFiring(
        id=new_id(),
        rule_id="oldest-job",
        subject="notifications",
        state="firing",
        severity="warning",
        value=3.0,
        peak=4.0,
        detail={"queue": "notifications"},
        pending_since=datetime.now(UTC),
        fired_at=datetime.now(UTC),
    )
    await alerts.write(lease, AlertChanges(firings=[firing]))
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("alter table alert_firings add column next_version text not null default 'new'")
    await connection.close()

    assert await alerts.open_firings() == [firing]
