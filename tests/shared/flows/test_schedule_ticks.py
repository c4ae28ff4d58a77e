"""Ticks of schedules: time zones, daylight saving time, and the ticks that run after an outage."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.timing.intervals import UNITS, interval_ticks
from filas.flows.timing.moments import moments, next_moment
from filas.flows.timing.schedule_ticks import due_ticks, first_tick, next_runs, ticks
from filas.models.interval import Interval
from filas.models.schedules import Misfire, Schedule
from tests.long_form import examples

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _schedule(**fields: Any) -> Schedule:
    return Schedule(id="s", flow_id="f", **fields)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        pytest.param(
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T00:00-05:00",
            ["2026-03-07T02:30-05:00", "2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"],
            id="what the skipped hour would have had comes right after it",
        ),
        pytest.param(
            "10,50 2 * * *",
            "America/New_York",
            "2026-03-08T00:00-05:00",
            ["2026-03-08T03:00-04:00", "2026-03-09T02:10-04:00"],
            id="once, though it would have been twice",
        ),
        pytest.param(
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T00:00-04:00",
            ["2026-10-31T01:30-04:00", "2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"],
            id="in the doubled hour the first time only",
        ),
        pytest.param(
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T01:10-05:00",
            ["2026-11-02T01:30-05:00"],
            id="asked within the second half of the doubled hour",
        ),
        pytest.param(
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T01:00-04:00",
            ["2026-11-01T01:30-04:00", "2026-11-01T01:00-05:00", "2026-11-01T01:30-05:00", "2026-11-01T02:00-05:00"],
            id="every half hour goes by the clock as it runs, twice in the doubled hour",
        ),
        pytest.param(
            "*/30 * * * *",
            "America/New_York",
            "2026-03-08T01:00-05:00",
            ["2026-03-08T01:30-05:00", "2026-03-08T03:00-04:00"],
            id="not at all in the skipped hour",
        ),
        pytest.param(
            "30 2 * * *",
            "America/Sao_Paulo",
            "2026-10-17T00:00-03:00",
            ["2026-10-17T02:30-03:00", "2026-10-18T02:30-03:00"],
            id="São Paulo has had no daylight saving time since 2019",
        ),
        pytest.param("0 6 * * *", "Asia/Kathmandu", "2026-01-01T00:00Z", ["2026-01-01T00:15Z"], id="a quarter off"),
        pytest.param("15 * * * * *", None, "2026-01-01T00:00Z", ["2026-01-01T00:00:15Z"], id="with seconds"),
    ],
)
def test_ticks_are_those_of_the_zone(cron: str, zone: str | None, after: str, expected: list[str]) -> None:
    """The ticks are those of Debian's cron."""
    found = list(islice(moments(cron, zone, _at(after)), len(expected)))
    assert found == [_at(text) for text in expected]
    assert next_moment(cron, zone, _at(after)) == found[0]


_CRONS = st.sampled_from(["30 2 * * *", "30 1 * * *", "10,50 1,2 * * *", "*/20 * * * *", "0 */2 * * *", "5 0-3 * * *"])
_ZONES = st.sampled_from(["America/New_York", "Europe/Lisbon", "Australia/Lord_Howe", "America/Sao_Paulo", None])
_CHANGES = [
    datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 8), (3, 29), (4, 5), (10, 4), (10, 25), (11, 1))
]


@settings(max_examples=examples(150), deadline=None)
@given(_CRONS, _ZONES, st.sampled_from(_CHANGES), st.integers(-1800, 1800), st.integers(0, 1800))
def test_ticks_do_not_depend_on_the_moment_of_the_query(
    cron: str, zone: str | None, change: datetime, first_minutes: int, later_minutes: int
) -> None:
    """Ticks strictly increase, and the ticks after a moment are the same for every earlier start."""
    first = change + first_minutes * MINUTE
    later = first + later_minutes * MINUTE
    end = change + 4 * 24 * HOUR
    all_ticks = list(takewhile(lambda tick: tick < end, moments(cron, zone, first)))
    assert all(one < two for one, two in zip([first, *all_ticks], all_ticks, strict=False))
    assert list(takewhile(lambda tick: tick < end, moments(cron, zone, later))) == [t for t in all_ticks if t > later]


@pytest.mark.parametrize(
    ("every", "zone", "starts", "after", "expected"),
    [
        pytest.param({"minutes": 90}, None, None, "2026-11-27T08:10Z",
                     ["2026-11-27T09:00Z", "2026-11-27T10:30Z", "2026-11-27T12:00Z"], id="ninety minutes"),
        pytest.param({"hours": 13}, None, "2026-11-27T08:00Z", "2026-11-27T08:00Z",
                     ["2026-11-27T21:00Z", "2026-11-28T10:00Z", "2026-11-28T23:00Z"], id="thirteen hours"),
        pytest.param({"seconds": 45}, None, "2026-11-27T08:00Z", "2026-11-27T07:00Z",
                     ["2026-11-27T08:00Z", "2026-11-27T08:00:45Z", "2026-11-27T08:01:30Z"], id="the first is one"),
        pytest.param({"days": 1}, "America/New_York", "2026-03-06T02:30-05:00", "2026-03-06T12:00Z",
                     ["2026-03-07T02:30-05:00", "2026-03-08T03:30-04:00", "2026-03-09T02:30-04:00"],
                     id="a day by the calendar, also with 23 hours"),
        pytest.param({"hours": 24}, "America/New_York", "2026-03-06T12:00-05:00", "2026-03-07T12:00-05:00",
                     ["2026-03-08T13:00-04:00", "2026-03-09T13:00-04:00"], id="24 hours are exact"),
        pytest.param({"weeks": 2}, "America/Sao_Paulo", None, "2026-11-27T08:10Z",
                     ["2026-11-30T00:00-03:00", "2026-12-14T00:00-03:00"], id="weeks begin on Monday"),
        pytest.param({"days": 3}, None, None, "2020-02-27T12:00Z", ["2020-03-01T00:00Z", "2020-03-04T00:00Z"],
                     id="before the origin"),
    ],
)  # fmt: skip
def test_ticks_in_intervals(
    every: dict[str, int], zone: str | None, starts: str | None, after: str, expected: list[str]
) -> None:
    schedule = _schedule(
        every=Interval(**every), timezone=zone or "UTC", starts_at=None if starts is None else _at(starts)
    )
    assert list(islice(ticks(schedule, _at(after)), len(expected))) == [_at(text) for text in expected]


_INTERVALS = st.builds(lambda unit, number: Interval(**{unit: number}), st.sampled_from(UNITS), st.integers(1, 50))


@settings(max_examples=examples(150), deadline=None)
@given(_INTERVALS, _ZONES, st.sampled_from(_CHANGES), st.integers(-1800, 1800), st.integers(0, 1800))
def test_ticks_in_intervals_do_not_depend_on_the_moment_of_the_query(
    every: Interval, zone: str | None, change: datetime, first_minutes: int, later_minutes: int
) -> None:
    """Ticks strictly increase, and the ticks after a moment are the same for every earlier start."""
    first = change + first_minutes * MINUTE
    later = first + later_minutes * MINUTE
    found = list(islice(interval_ticks(every, zone, None, later), 5))
    assert all(one < two for one, two in zip([later, *found], found, strict=False))
    earlier = (tick for tick in interval_ticks(every, zone, None, first) if tick > later)
    assert list(islice(earlier, 5)) == found


def test_set_times_and_bounds() -> None:
    """Set times occur once each and in order. The bounds are inclusive. A disabled schedule has no first tick."""
    times = [NOON + HOUR, NOON, NOON + 2 * HOUR, NOON]
    assert list(ticks(_schedule(at=times), NOON - SECOND)) == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    bounded = _schedule(at=times, starts_at=NOON + HOUR, ends_at=NOON + HOUR)
    assert list(ticks(bounded, NOON - HOUR)) == [NOON + HOUR]
    hourly = _schedule(cron="0 * * * *", starts_at=NOON, ends_at=NOON + 2 * HOUR)
    assert list(ticks(hourly, NOON - 24 * HOUR)) == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert first_tick(hourly, NOON + 2 * HOUR) is None
    assert first_tick(_schedule(cron="0 * * * *", enabled=False), NOON) is None
    assert next_runs(hourly, 5) == []


@pytest.mark.parametrize(
    ("misfire", "late", "run"),
    [
        ("skip", 0 * SECOND, [0]),
        ("skip", 60 * MINUTE, [0]),
        ("skip", 60 * MINUTE + 30 * SECOND, [30]),
        ("run-once", 30 * SECOND, [30]),
        ("run-once", 60 * MINUTE, [0]),
        ("catch-up", 2 * MINUTE, [120, 60, 0]),
        ("catch-up", 60 * MINUTE, [180, 120, 60, 0]),
    ],
)
def test_after_an_outage_the_misfire_policy_decides(misfire: Misfire, late: timedelta, run: list[int]) -> None:
    """A schedule of every minute is due since `late`, and at most four ticks are caught up. `run`: the ages of the
    ticks that run, in seconds. The next tick is the first one in the future."""
    now = NOON + late % MINUTE
    schedule = _schedule(cron="* * * * *", misfire=misfire, misfire_grace_ms=59_000, catch_up_limit=4)
    due = due_ticks(_replaced(schedule, now - late), now)
    assert [(now - tick).total_seconds() for tick in due.run] == run
    assert due.next_run_at == NOON + MINUTE
    assert due.missed == (late >= MINUTE)


def test_skip_runs_no_tick_that_is_late() -> None:
    """A daily tick that is found an hour later does not run, and the next tick is that of tomorrow."""
    schedule = _schedule(cron="0 12 * * *", misfire="skip")
    due = due_ticks(_replaced(schedule, NOON), NOON + HOUR)
    assert (due.run, due.next_run_at, due.missed) == ([], NOON + 24 * HOUR, True)


def test_an_outage_of_a_week_is_not_counted_second_by_second() -> None:
    """The newest of 600,000 ticks run. Only a few thousand ticks are calculated for that."""
    schedule = _schedule(cron="* * * * * *", misfire="catch-up", catch_up_limit=100)
    due = due_ticks(_replaced(schedule, NOON - 7 * 24 * HOUR), NOON)
    assert due.run == [NOON - n * SECOND for n in range(99, -1, -1)]


def test_a_time_zone_that_no_longer_exists_is_an_error_of_the_schedule() -> None:
    """The schedule stops, and its error names the time zone."""
    due = due_ticks(_replaced(_schedule(cron="0 * * * *", timezone="Gone/Away"), NOON), NOON)
    assert (due.run, due.next_run_at) == ([], None)
    assert due.error is not None
    assert "Gone/Away" in due.error.message


def _replaced(schedule: Schedule, next_run_at: datetime) -> Schedule:
    return msgspec.structs.replace(schedule, next_run_at=next_run_at)
