"""Types and options that several commands have: queues, ages, times and the size of a list."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from filas.contract import policies

QUEUES: Final = click.Choice([policy.short for policy in policies.QUEUES] + [policy.name for policy in policies.QUEUES])
"""A queue by its name in the API (`webhook`) or by its name in Redis and the metrics (`webhook-processing`)."""

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_AGE: Final = re.compile(r"(\d{1,6})([smhdw])")

limit = click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
queue = click.option("--queue", type=QUEUES, help="Only those of this queue.")
delete_force = click.option("--force", is_flag=True, help="Also if other definitions refer to it.")


def milliseconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Converts an age such as `90s`, `30m`, `24h` or `7d` to milliseconds. Raises click.BadParameter."""
    if value is None:
        return None
    found = _AGE.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not an age such as 90s, 30m, 24h or 7d")
    return int(found[1]) * _UNITS_MS[found[2]]


def past(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Converts an age such as `2h` to the time that long ago, and leaves a time. Raises click.BadParameter."""
    return _moment(value, -1)


def future(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Converts an age such as `90d` to the time after it, and leaves a time. Raises click.BadParameter."""
    return _moment(value, 1)


def forced(force: bool) -> dict[str, str]:
    """The query parameter of `--force`."""
    return {"force": "true"} if force else {}


def period(verb: str) -> Callable[[Any], Any]:
    """Adds `--since` and `--until` for what was `verb` (queued, received) in that time."""

    def add(function: Any) -> Any:
        until = click.option("--until", metavar="TIME", callback=past, help=f"Only those {verb} before TIME.")(function)
        return click.option(
            "--since",
            metavar="TIME",
            callback=past,
            help=f"Only those {verb} at or after TIME (2026-11-22T12:00:00Z), or in the last 90s, 30m, 24h or 7d.",
        )(until)

    return add


def _moment(value: str | None, direction: int) -> str | None:
    if value is None:
        return None
    found = _AGE.fullmatch(value)
    try:
        if found is not None:
            age = timedelta(milliseconds=direction * int(found[1]) * _UNITS_MS[found[2]])
            return (datetime.now(UTC) + age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if datetime.fromisoformat(value).tzinfo is not None:
            return value
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter(f"{value!r} is neither a time (2026-11-22T12:00:00Z) nor an age (90s, 30m, 24h, 7d)")
