"""The period of a page of analytics: a length that ends now, or the given times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from babel.dates import format_datetime

from filas.models.analytics import Resolution
from ingest.dashboard.page_types import PageCall
from ingest.dashboard.presentation.texts import Reader

LENGTHS: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
DEFAULT: Final = "24h"

_WITH_DATE: Final = timedelta(hours=30)
"""A longer period has dates on its axis."""


@dataclass(frozen=True, slots=True)
class ChosenPeriod:
    """`name` is a key of LENGTHS, or empty for given times. `query` are the parameters of the API, `options` those of
    `filas analytics`."""

    name: str
    query: Mapping[str, str]
    options: tuple[str, ...]


def chosen_period(call: PageCall, now: datetime) -> ChosenPeriod:
    """Returns the period of the page's query: `since` and `until`, or the length `period`."""
    given = call.filters("since", "until")
    if given:
        options = tuple(part for name, value in given.items() for part in (f"--{name}", value))
        return ChosenPeriod("", given, options)
    name = call.query.get("period", DEFAULT)
    if name not in LENGTHS:
        name = DEFAULT
    since = (now - LENGTHS[name]).isoformat(timespec="seconds")
    return ChosenPeriod(name, {"since": since}, ("--period", name))


def time_label(reader: Reader, at: datetime, step: Resolution, length: timedelta) -> str:
    """Returns a time of an axis or a table. Days are those of UTC, as the figures are."""
    if step == "day":
        return format_datetime(at.astimezone(UTC), "d MMM", locale=reader.locale)
    pattern = "d MMM HH:mm" if length > _WITH_DATE else "HH:mm"
    return format_datetime(at.astimezone(reader.zone), pattern, locale=reader.locale)
