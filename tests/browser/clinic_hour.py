"""The time before the morning's work, as the rollups count it, so that the charts show what they show in production."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.models.analytics import ALL, WIDTHS, Resolution, bucket_of
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

# By figure, subject, node and outcome: how many in ten minutes, and how long each takes.
SERIES: Final = """
    ('received', '*', '', '', 140, 0), ('events', 'marcar-consulta', '', 'processed', 60, 90),
    ('events', 'pagamento', '', 'processed', 40, 120), ('events', 'pagamento', '', 'failed', 2, 150),
    ('events', 'meta', '', 'processed', 28, 60), ('executions', '*', '', 'succeeded', 120, 900),
    ('executions', '*', '', 'failed', 4, 300), ('latency', '*', '', '', 130, 260),
    ('executions', 'pagamento', '', 'succeeded', 38, 700), ('executions', 'pagamento', '', 'failed', 3, 400),
    ('executions', 'marcar-consulta', '', 'succeeded', 58, 4000),
    ('nodes', 'pagamento', 'financeiro', 'failed', 3, 400),
    ('nodes', 'pagamento', 'financeiro', 'succeeded', 38, 520),
    ('nodes', 'marcar-consulta', 'menu', 'succeeded', 58, 40000),
    ('nodes', 'marcar-consulta', 'horarios', 'succeeded', 50, 300),
    ('nodes', 'marcar-consulta', 'horarios', 'failed', 1, 900),
    ('deliveries', 'whatsapp', '', 'delivered', 70, 800), ('deliveries', 'whatsapp', '', 'failed', 1, 900),
    ('deliveries', 'equipe', '', 'failed', 2, 200), ('latency', 'pagamento', '', '', 38, 240),
    ('flow-retries', '*', '', '', 5, 0), ('flow-retries', 'pagamento', '', '', 4, 0),
    ('node-retries', 'pagamento', 'financeiro', '', 4, 0), ('channel-retries', '*', '', '', 2, 0),
    ('channel-retries', 'whatsapp', '', '', 2, 0), ('webhook-retries', 'pagamento', '', '', 4, 0),
    ('nodes', 'marcar-consulta', 'start', 'succeeded', 60, 2),
    ('nodes', 'marcar-consulta', 'escolha', 'succeeded', 46, 60000),
    ('nodes', 'marcar-consulta', 'reserva', 'succeeded', 44, 350),
    ('nodes', 'marcar-consulta', 'reserva', 'failed', 7, 900),
    ('nodes', 'marcar-consulta', 'confirmacao', 'succeeded', 44, 250),
    ('nodes', 'marcar-consulta', 'recepcao', 'succeeded', 3, 200),
    ('nodes', 'marcar-consulta', 'desculpa', 'succeeded', 1, 200),
    ('outputs', 'marcar-consulta', 'start', 'out', 60, 0), ('outputs', 'marcar-consulta', 'menu', 'cardio', 24, 0),
    ('outputs', 'marcar-consulta', 'menu', 'dermato', 16, 0),
    ('outputs', 'marcar-consulta', 'menu', 'pediatria', 11, 0),
    ('outputs', 'marcar-consulta', 'menu', 'invalid', 3, 0), ('outputs', 'marcar-consulta', 'horarios', 'out', 50, 0),
    ('outputs', 'marcar-consulta', 'horarios', 'error', 1, 0),
    ('outputs', 'marcar-consulta', 'escolha', 'out', 46, 0), ('outputs', 'marcar-consulta', 'reserva', 'out', 44, 0),
    ('endings', 'marcar-consulta', 'confirmacao', 'succeeded', 44, 0),
    ('endings', 'marcar-consulta', 'desculpa', 'succeeded', 1, 0),
    ('endings', 'marcar-consulta', 'recepcao', 'succeeded', 3, 0),
    ('endings', 'marcar-consulta', 'reserva', 'failed', 7, 0),
    ('endings', 'marcar-consulta', 'menu', 'timed-out', 5, 0),
    ('queue-total', 'flow-processing', '', '', 130, 600), ('queue-wait', 'flow-processing', '', '', 130, 20),
    ('queue-retries', 'flow-processing', '', '', 5, 0), ('queue-total', 'notifications', '', '', 110, 800)"""
MEASURED: Final = "case when s.ms = 0 then null else {} end"
BEFORE: Final = f"""
insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms, h{QUICK}, h{SLOW})
select $1::text, s.figure, $2::timestamptz - ago * $4::interval, s.subject, s.part, s.outcome, c.n, c.n * s.ms,
    {MEASURED.format("c.n - c.n / 6")}, {MEASURED.format("c.n / 6")}
from generate_series(1, $3::integer) ago cross join (values {SERIES}) as s (figure, subject, part, outcome, amount, ms)
    cross join lateral (select round(s.amount * extract(epoch from $4::interval) / 600
        * (0.75 + 0.25 * sin(ago / 3.0 + s.amount)))::bigint as n) c
where c.n > 0 on conflict do nothing"""


async def fill(database: Database) -> None:
    """Writes the minutes of the hour, and coarser figures of the months before it."""
    await _fill_hour(database)
    steps: tuple[tuple[Resolution, int], ...] = (("minute", 119), ("hour", 14 * 24), ("day", 180))
    for resolution, buckets in steps:
        at = bucket_of(resolution, datetime.now(UTC))
        await database.fetch(BEFORE, resolution, at, buckets, WIDTHS[resolution])


async def _fill_hour(database: Database) -> None:
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
