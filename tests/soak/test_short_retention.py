"""The soak test's retention of minutes is what the worker uses."""

from datetime import timedelta
from typing import Any

import pytest

from filas.repository.analytics import rollup_builder
from filas.repository.retention import Ages
from filas.settings.setting_groups import RetentionSettings
from ingest import worker_app
from tests.soak.short_retention import ages, settling, shorten


def test_the_worker_uses_the_short_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: Any = worker_app
    # What is changed here is restored after the test.
    monkeypatch.setattr(worker_app, "_ages", changed._ages)
    monkeypatch.setattr(worker_app, "PURGE_EVERY_S", worker_app.PURGE_EVERY_S)
    monkeypatch.setitem(rollup_builder.SETTLING, "settle-soon", rollup_builder.SETTLING["settle-soon"])
    shorten(5)
    assert changed._ages(RetentionSettings()) == ages(5)
    assert changed.PURGE_EVERY_S == 60
    assert rollup_builder.SETTLING["settle-soon"] == timedelta(minutes=2)


def test_only_the_figures_are_kept_as_always() -> None:
    kept = {name: value for name, value in ages_of(ages(5)).items() if value == ages_of(Ages())[name]}
    assert kept.keys() == {"rollup_minutes_days", "rollup_hours_days", "rollup_days_days"}


def test_a_minute_is_built_again_before_its_rows_are_deleted() -> None:
    assert settling(20) == timedelta(minutes=15), "as in the product"
    assert settling(10) == timedelta(minutes=7)


def ages_of(given: Ages) -> dict[str, float]:
    """The ages by their names."""
    return {name: getattr(given, name) for name in given.__struct_fields__}
