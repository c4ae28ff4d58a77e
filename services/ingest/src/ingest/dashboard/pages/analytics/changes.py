"""How a figure has changed since the period before: a shape, words, and a colour where more is better or worse."""

import math
from dataclasses import dataclass
from typing import Final

from ingest.dashboard.presentation.figures import number
from ingest.dashboard.presentation.texts import Reader

UP: Final = "▲"
DOWN: Final = "▼"
SAME: Final = "="
_SAME_SHARE: Final = 0.005
_MANY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Change:
    """`css` is `completed` for the better, `failed` for the worse, and `muted` where neither is."""

    shape: str
    text: str
    css: str = "muted"


def change_of_count(reader: Reader, present: float, before: float, *, more_is_bad: bool = False) -> Change:
    """Compares two numbers: `12 % more than before`."""
    if not before:
        if not present:
            return Change(SAME, reader.text("analytics.as-before"))
        return Change(UP, reader.text("analytics.none-before"), "failed" if more_is_bad else "muted")
    return _relative(reader, present / before - 1, "more", "less", ("completed", "failed") if more_is_bad else None)


def change_of_time(reader: Reader, present_ms: float | None, before_ms: float | None) -> Change:
    """Compares two times: `12 % slower than before`."""
    if present_ms is None or before_ms is None or not before_ms:
        return Change(SAME, reader.text("analytics.not-comparable"))
    return _relative(reader, present_ms / before_ms - 1, "slower", "faster", ("completed", "failed"))


def change_of_share(reader: Reader, present: float | None, before: float | None) -> Change:
    """Compares two shares of success, in percentage points."""
    if present is None or before is None:
        return Change(SAME, reader.text("analytics.not-comparable"))
    points = (present - before) * 100
    if abs(points) < 0.05:
        return Change(SAME, reader.text("analytics.as-before"))
    name, shape, css = ("points-more", UP, "completed") if points > 0 else ("points-less", DOWN, "failed")
    return Change(shape, reader.text(f"analytics.{name}", points=number(reader, round(abs(points), 1))), css)


def _relative(reader: Reader, share: float, more: str, less: str, colours: tuple[str, str] | None) -> Change:
    """`colours`: that of less and that of more."""
    if abs(share) < _SAME_SHARE:
        return Change(SAME, reader.text("analytics.as-before"))
    is_more = share > 0
    css = "muted" if colours is None else colours[is_more]
    if share >= _MANY:
        text = reader.text(f"analytics.times-{more}", times=number(reader, math.floor(share + 1)))
    else:
        percent = number(reader, max(1, round(abs(share) * 100)))
        text = reader.text(f"analytics.percent-{more if is_more else less}", percent=percent)
    return Change(UP if is_more else DOWN, text, css)
