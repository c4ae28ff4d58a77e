"""Cron expressions that do not mean what they seem to mean.

A step counts from the start of its field: `*/90` minutes begins again each hour, and `*/13` hours each day.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from filas.flows.locales import zone_of, zone_problem
from filas.flows.problems import Severity
from filas.flows.timing.moments import cron_problem, moments

SHOWN: Final = 5
"""How many of the next ticks a finding shows."""


class Finding(NamedTuple):
    """An error is certain, a warning is only doubtful."""

    severity: Severity
    message: str


class _Field(NamedTuple):
    unit: str
    size: int
    whole: str
    is_regular: bool
    """Whether its units have the same length, so that a step that does not fit is an error."""


_FIELDS: Final = (
    _Field("seconds", 60, "minute", True),
    _Field("minutes", 60, "hour", True),
    _Field("hours", 24, "day", True),
    _Field("days of the month", 31, "month", False),
    _Field("months", 12, "year", False),
    _Field("days of the week", 7, "week", False),
)

_MONTHS: Final = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def findings(expression: str, zone: str | None, now: datetime) -> Iterator[Finding]:
    """The findings of a valid cron expression, each with the next five ticks after `now` in `zone` (UTC where None).
    Nothing for an expression that is not valid."""
    if cron_problem(expression) is not None or (zone is not None and zone_problem(zone) is not None):
        return
    fields = expression.upper().split()
    fields = ["0", *fields] if len(fields) == 5 else fields
    found = list(dict.fromkeys(_in_fields(fields)))
    if not found:
        return
    ticks = list(islice(moments(expression, zone, now), SHOWN))
    local = [f"{tick.astimezone(zone_of(zone or 'UTC')):%Y-%m-%d %H:%M}" for tick in ticks]
    for severity, message in found:
        yield Finding(severity, f"{message}; the next five ticks are {', '.join(local)} ({zone or 'UTC'})")


def _in_fields(fields: list[str]) -> Iterator[Finding]:
    for text, field in zip(fields, _FIELDS, strict=True):
        for term in text.split(","):
            if "/" in term and (found := _step(term, field, alone="," not in text)):
                yield found
    _, minute, hour, day, month, weekday = fields
    if minute == "*" and (hour.isdigit() or hour.startswith("*/")):
        yield Finding("warning", f"minute * with hour {hour} is every minute of the hour; minute 0 is once an hour")
    if hour == "*" and day.isdigit():
        yield Finding("warning", f"hour * with day {day} is every hour of the day; hour 0 is once a day")
    if not day.startswith("*") and not weekday.startswith("*"):
        yield Finding("warning", f"day of the month {day} and day of the week {weekday}: one of them is sufficient")
    if day.isdigit() and weekday.startswith("*") and _lacks(int(day), month):
        yield Finding("warning", f"months without a day {day} are left out; L is the last day of each month")


def _lacks(day: int, month: str) -> bool:
    """Whether a month of the field may have fewer days."""
    number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month) if month.isdigit() else 0
    return day > {0: 28, 2: 28, 4: 30, 6: 30, 9: 30, 11: 30}.get(number, 31)


def _step(term: str, field: _Field, *, alone: bool) -> Finding | None:
    """The finding of a term with a step, such as `*/90`. `alone`: the field has no other term."""
    span, _, written = term.partition("/")
    step, size = int(written), _size(span, field)
    if size is None:
        return None
    severity: Severity = "error" if field.is_regular else "warning"
    does_not_fit = step >= size and step > 1
    if not does_not_fit and not (alone and size == field.size and size % step):
        return None
    reason = f"it has {size} of them" if does_not_fit else "the count begins again"
    instead = f'; write "every": {{"{field.unit}": {step}}}' if field.is_regular and span == "*" else ""
    message = f"`{term}` is not every {step} {field.unit}, because in each {field.whole} {reason}{instead}"
    return Finding(severity, message)


def _size(span: str, field: _Field) -> int | None:
    """How many values the span of a term has: `*`, `5` (until the end of the field) or `9-17`. None: other names."""
    first, dash, last = span.partition("-")
    if span == "*" or (first.isdigit() and not dash):
        return field.size
    return int(last) - int(first) + 1 if first.isdigit() and last.isdigit() else None
