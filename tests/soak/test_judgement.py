"""What a run has broken: each check of the soak test is broken once."""

from tests.benchmarks.report.results import Machine
from tests.soak.judgement import BOUNDS, EACH_SESSION, EXPLAINED, NOT_JUDGED, breaches, first_minute, judged
from tests.soak.results import Results

MINUTES = 60


def results(**series: list[float | None]) -> Results:
    """A run of an hour with some series."""
    found = Results(
        measured_on="2026-11-27", commit="aaaaaaaa", machine=Machine("AMD EPYC", 2, 7.8, "6.1"), versions={},
        rate=20, retention_minutes=10, minutes=MINUTES,
    )  # fmt: skip
    found.series["rate/accepted"] = [20.0] * MINUTES
    found.series |= {name.replace("__", "/"): one for name, one in series.items()}
    return found


def growing(before: float, each_minute: float) -> list[float | None]:
    """A series that grows all the time."""
    return [before + minute * each_minute for minute in range(MINUTES)]


def test_a_run_without_growth_has_no_breach() -> None:
    flat: list[float | None] = [50.0] * MINUTES
    assert breaches(results(memory__ingest=flat, table__events=flat, files__redis=flat)) == []


def test_each_group_of_series_is_judged() -> None:
    for start in BOUNDS.keys() - {EACH_SESSION}:
        name = start + ("x" if start.endswith("/") else "")
        grown = results()
        grown.series[name] = growing(1, 1000)
        [breach] = breaches(grown)
        assert breach.startswith(f"{name} grows by 4.4e+04 in 45 minutes"), breach


def test_sessions_of_postgres_may_come_but_not_grow() -> None:
    """A pool that opens sessions needs more memory; each of them needs the same."""
    more: list[float | None] = [50.0 if minute < 40 else 55.0 for minute in range(MINUTES)]
    run = results(memory__postgres=[7 * (one or 0) for one in more], postgres__sessions=more)
    assert breaches(run) == []
    run.series["memory/postgres"] = [(7 + minute / 50) * (one or 0) for minute, one in enumerate(more)]
    assert [one.partition(" grows")[0] for one in breaches(run)] == [EACH_SESSION, "memory/postgres"]


def test_growth_of_the_first_life_cycle_is_no_breach() -> None:
    """Until the first rows are deleted, everything grows."""
    begins = first_minute(results())
    full: list[float | None] = [float(min(minute, begins)) * 100 for minute in range(MINUTES)]
    assert breaches(results(table__events=full, rows__events=full)) == []


def test_what_is_kept_longer_may_grow() -> None:
    grown = results()
    names = [*NOT_JUDGED, *(f"{group}/{table}" for group in ("table", "index", "rows") for table in EXPLAINED)]
    for name in names:
        grown.series[name + ("x" if name.endswith("/") else "")] = growing(1, 1000)
    grown.series["index/rollups.rollups_pkey"] = growing(1, 1000)
    assert breaches(grown) == []
    assert judged(grown) == []


def test_a_rate_that_is_too_low_is_a_breach() -> None:
    assert breaches(results(rate__accepted=[19.0] * MINUTES)) == ["rate/accepted is 19, not 20 webhooks/s"]


def test_a_check_that_did_not_hold_is_a_breach() -> None:
    run = results()
    run.check("old rows go", None)
    run.check("old rows go", "minute 9: 30 minutes")
    run.check("old rows go", "minute 10: 31 minutes")
    assert breaches(run) == ["old rows go: 2 times, first: minute 9: 30 minutes"]
    assert run.checks["old rows go"].held == 1
