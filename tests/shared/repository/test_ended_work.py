"""What the alert rules count: work counts when it ends, however long it took."""

from datetime import UTC, datetime, timedelta

from filas.contract.identity import new_id
from filas.repository.diagnosis import DiagnosisRepository
from filas.repository.postgres.database import Database
from tests.shared.repository.rollup_rows import INSERTS

LONG_AGO = datetime.now(UTC) - timedelta(hours=2)


async def execution(database: Database, flow: str, ended_at: datetime | None, status: str = "failed") -> None:
    """An execution that began two hours ago."""
    await database.fetch(
        INSERTS["executions"], new_id(), flow, status, None, 1, None, LONG_AGO, LONG_AGO, ended_at
    )  # fmt: skip


async def message(database: Database, channel: str, ended_at: datetime | None, status: str = "failed") -> None:
    """A message that was created two hours ago."""
    await database.fetch(INSERTS["notifications"], new_id(), new_id(), 1, channel, status, LONG_AGO, ended_at)


async def test_an_execution_counts_when_it_ends(database: Database) -> None:
    """One that waited for hours before it failed is among the failures of the last minutes; an old failure is not."""
    now = datetime.now(UTC)
    await execution(database, "slow", now)
    await execution(database, "slow", now, "succeeded")
    await execution(database, "slow", now - timedelta(hours=1))
    await execution(database, "slow", None, "waiting-timer")
    await execution(database, "old", now - timedelta(hours=1))
    [found] = await DiagnosisRepository(database).ended_by_flow(600)
    assert (found.name, found.ended, found.failed) == ("slow", 2, 1)


async def test_a_message_counts_when_it_has_its_outcome(database: Database) -> None:
    """Retries take longer than most windows."""
    now = datetime.now(UTC)
    await message(database, "crm", now)
    await message(database, "crm", now, "delivered")
    await message(database, "crm", now - timedelta(hours=1))
    await message(database, "crm", None, "retrying")
    [found] = await DiagnosisRepository(database).ended_by_channel(600)
    assert (found.name, found.ended, found.failed) == ("crm", 2, 1)
