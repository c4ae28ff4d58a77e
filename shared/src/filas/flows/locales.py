"""Locales and time zones: the names that an author may write, and their data."""

import functools
import zoneinfo

import babel

DEFAULT_LOCALE = "pt-BR"


@functools.lru_cache(maxsize=64)
def locale_of(name: str) -> babel.Locale:
    """The locale of a language tag such as `pt-BR` or `en_US`. Raises ValueError."""
    try:
        return babel.Locale.parse(name.replace("-", "_"))
    except (babel.UnknownLocaleError, ValueError, TypeError):
        raise ValueError(f"{name[:80]!r} is not a locale such as pt-BR or en-US") from None


@functools.lru_cache(maxsize=256)
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The IANA time zone of that name. Raises ValueError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:80]!r} is not a time zone such as America/Sao_Paulo") from None


def locale_problem(name: str) -> str | None:
    """The error of the name of a locale, or None."""
    try:
        locale_of(name)
    except ValueError as error:
        return str(error)
    return None


def zone_problem(name: str) -> str | None:
    """The error of the name of a time zone, or None."""
    try:
        zone_of(name)
    except ValueError as error:
        return str(error)
    return None
