"""Runs `ingest work` with a retention of minutes: `python -m tests.soak.short_retention MINUTES ingest work`.

The settings count in days, because the rollups build each minute again when it is 20 hours old, and its rows must still
exist then. So this is no setting of the product. The age at which a minute is built again is shortened here too.
Figures are kept as in the product: two days by minute.
"""

import runpy
import sys
from datetime import timedelta
from typing import Any

from filas.repository.analytics import rollup_builder
from filas.repository.retention import Ages
from filas.settings.setting_groups import RetentionSettings
from ingest import worker_app

PURGE_EVERY_S = 60.0
SETTLE_BEFORE_MINUTES = 3.0
"""How long before its rows may be deleted a minute is built again."""


def ages(minutes: float) -> Ages:
    """Everything that is counted in days of the rows' life is kept for `minutes`."""
    days = minutes / 24 / 60
    return Ages(
        events_days=days,
        executions_days=days,
        notifications_days=days,
        dead_letters_days=days,
        conversations_days=days,
        refusals_days=days,
        audit_days=days,
    )


def settling(minutes: float) -> timedelta:
    """The age at which a minute is built again: 15 minutes as in the product, or less if rows are deleted earlier."""
    return timedelta(minutes=min(15.0, minutes - SETTLE_BEFORE_MINUTES))


def shorten(minutes: float) -> None:
    """Changes what this process uses. `minutes` is at least 5."""

    def short(_: RetentionSettings) -> Ages:
        return ages(minutes)

    worker: Any = worker_app
    worker._ages = short
    worker.PURGE_EVERY_S = PURGE_EVERY_S
    rollup_builder.SETTLING["settle-soon"] = settling(minutes)


if __name__ == "__main__":
    shorten(float(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
