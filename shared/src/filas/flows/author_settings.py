"""What templates, rules and expressions take from their surroundings: the flow's locale and time zone, and the time."""

from collections.abc import Callable
from contextvars import ContextVar, Token
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


class applied:  # noqa: N801 (used like a function, as `contextlib.suppress`)
    """All expressions in the block are evaluated with `settings`. (Each visit enters one, so it is no generator.)"""

    __slots__ = ("_settings", "_token")

    def __init__(self, settings: AuthorSettings) -> None:
        self._settings = settings

    def __enter__(self) -> None:
        self._token: Token[AuthorSettings] = _current.set(self._settings)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def current() -> AuthorSettings:
    """The settings of the flow that runs; the defaults outside of `applied`."""
    return _current.get()
