"""What templates, rules and expressions take from their surroundings: the flow's locale and time zone, and the time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

from filas.flows.locales import DEFAULT_LOCALE


def _unchanged(text: str) -> str:
    return text


class AuthorSettings(msgspec.Struct, frozen=True):
    """`timezone`: of times without an offset (None: UTC). `now`: the time that expressions see (None: the clock's).
    `redact` removes secrets from a text, before an error shows a part of it."""

    locale: str = DEFAULT_LOCALE
    timezone: str | None = None
    now: datetime | None = None
    redact: Callable[[str], str] = _unchanged

    def moment(self) -> datetime:
        """The present time, in UTC."""
        return self.now or datetime.now(UTC)

    @property
    def zone(self) -> str:
        return self.timezone or "UTC"


_DEFAULT = AuthorSettings()
_current: ContextVar[AuthorSettings] = ContextVar("author_settings", default=_DEFAULT)


@contextmanager
def applied(settings: AuthorSettings) -> Iterator[None]:
    """All expressions in the block are evaluated with `settings`."""
    token = _current.set(settings)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> AuthorSettings:
    """The settings of the flow that runs; the defaults outside of `applied`."""
    return _current.get()
