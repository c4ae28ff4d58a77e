"""Settings of Postgres for the statements of a block. Each of these statements needs a transaction and more round trips
than other ones."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

SET_LOCAL: Final = "select set_config(name, value, true) from unnest($1::text[], $2::text[]) as s (name, value)"

_settings: ContextVar[Mapping[str, str]] = ContextVar("statement_settings", default=MappingProxyType({}))


def current() -> Mapping[str, str]:
    """The settings of the present block."""
    return _settings.get()


@contextmanager
def _with(name: str, value: str) -> Iterator[None]:
    token = _settings.set({**_settings.get(), name: value})
    try:
        yield
    finally:
        _settings.reset(token)


def lock_wait(seconds: float) -> AbstractContextManager[None]:
    """The statements of this block wait `seconds` for a lock instead of `database.LOCK_WAIT_S`."""
    return _with("lock_timeout", str(int(seconds * 1000)))


def planned_for_arguments() -> AbstractContextManager[None]:
    """The statements of this block are planned for their arguments, also if the Database has `plan_once`. The plan for
    a range of time depends on how long it is."""
    return _with("plan_cache_mode", "force_custom_plan")
