"""The hour before the morning's work, as the rollups count it, so that the charts show what they show in production."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.models.analytics import ALL, bucket_of
from filas.models.histograms import BUCKETS
from filas.repository.postgres.database import Database

MINUTES: Final = range(4, 59)
WEBHOOKS: Final = {"marcar-consulta": 9, "pagamento": 5, "meta": 4, "lembrete": 2, "pedido-enviado": 1}
"""How many events a minute each webhook has at most."""

FAILING: Final = range(18, 26)
"""The minutes in which the accounts do not answer."""

QUICK: Final = 7
SLOW: Final = 10
"""The buckets of answers within 128 ms, and within a second."""

_COLUMNS: Final = ", ".join(f"h{bucket}" for bucket in range(BUCKETS))
INSERT: Final = f"""
insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms, {_COLUMNS})
values ('minute', $1, $2, $3, '', $4, $5, $6, {", ".join(f"${bucket + 7}" for bucket in range(BUCKETS))})
on conflict do nothing"""


async def fill(database: Database) -> None:
    """Writes the minutes of the hour."""
    now = bucket_of("minute", datetime.now(UTC))
    for minute in MINUTES:
        at = now - timedelta(minutes=minute)
        counts = {name: round(most * _wave(minute, index)) for index, (name, most) in enumerate(WEBHOOKS.items())}
        total = sum(counts.values())
        failed = counts["pagamento"] if minute in FAILING else 0
        for webhook, count in counts.items():
            if count:
                await _write(database, "received", at, webhook, "", count)
        await _write(database, "received", at, ALL, "", total)
        await _write(database, "executions", at, ALL, "succeeded", total - failed)
        if failed:
            await _write(database, "executions", at, ALL, "failed", failed)
        slow = total // 2 if minute in FAILING else total // 20
        await _write(database, "latency", at, ALL, "", total, {QUICK: total - slow, SLOW: slow})


def _wave(minute: int, phase: int) -> float:
    return 0.65 + 0.35 * math.sin(minute / 7 + phase) * math.cos(minute / 3)


async def _write(
    database: Database, figure: str, at: datetime, subject: str, outcome: str, count: int,
    histogram: dict[int, int] | None = None,
) -> None:  # fmt: skip
    found = histogram or {}
    columns: list[Any] = [found.get(bucket, 0) for bucket in range(BUCKETS)] if histogram else [None] * BUCKETS
    await database.fetch(INSERT, figure, at, subject, outcome, count, 100.0 * count, *columns)
