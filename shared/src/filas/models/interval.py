"""An interval between two ticks of a schedule, or the length of a delay, in one unit."""

from typing import Annotated

from msgspec import Meta

from filas.models.record import Record

MAX_DAYS = 366


class Interval(Record, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of the units has a number. Days and weeks follow the calendar of a time zone, so a change of its
    offset does not move them; the other units are exact."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_DAYS * 86_400)] | None = None
    minutes: Annotated[int, Meta(ge=1, le=MAX_DAYS * 1440)] | None = None
    hours: Annotated[int, Meta(ge=1, le=MAX_DAYS * 24)] | None = None
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None
    weeks: Annotated[int, Meta(ge=1, le=MAX_DAYS // 7)] | None = None
