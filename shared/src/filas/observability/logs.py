"""The log: one line per event on standard error, as JSON or for a person to read.

An event is a constant name with fields: `log.info("job.retry_scheduled", job_id=job_id, delay_s=2)`. Fields are ids and
numbers, not objects. They contain no secret and no body. Records that other libraries write with `logging` become lines
of the same log.
"""

import contextlib
import logging
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from filas.errors import StoreUnavailable

Event = MutableMapping[str, Any]

_HIDDEN = frozenset({"authorization", "cookie", "password", "secret", "token"})
"""Names of fields whose value is always replaced, in case a secret is logged by mistake."""

_QUIET_LIBRARIES = ("aiohttp.access", "arq", "asyncio", "aiohttp")


def get_logger(name: str) -> FilteringBoundLogger:
    """Returns a logger whose lines have `logger_name=name`. It may be created before `configure` is called."""
    return cast("FilteringBoundLogger", structlog.get_logger(logger_name=name))


def bound(**fields: Any) -> AbstractContextManager[None]:
    """Adds `fields` to every line that the current task logs in the block."""
    return structlog.contextvars.bound_contextvars(**fields)


def configure(
    level: Literal["debug", "info", "warning", "error"],
    fmt: Literal["json", "console"],
    service: str,
    stream: TextIO | None = None,
) -> None:
    """Configures the log of the process. `service` is in every line. The default of `stream` is standard error."""
    least = logging.getLevelNamesMapping()[level.upper()]
    out = _SafeStream(stream or sys.stderr)

    def add_service(_logger: Any, _method: str, event: Event) -> Event:
        event["service"] = service
        return event

    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_service,
        _describe_exception,
        _hide_secrets,
        _render_json if fmt == "json" else _render_console,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", out)),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_ToStructlog()]
    root.setLevel(max(least, logging.INFO))
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(max(least, logging.WARNING))
    # Its warnings are stack traces of an unavailable server, which the repository logs in one line.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


class _SafeStream:
    """A stream whose writes never raise: a full disk or a closed pipe loses log lines and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _ToStructlog(logging.Handler):
    """Writes the records of other libraries to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        get_logger(record.name).log(record.levelno, "library.message", **fields)


def _describe_exception(_logger: Any, _method: str, event: Event) -> Event:
    """Replaces `exc_info` by `error` and `exception`. An unavailable store is logged without a traceback."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given:
        error = sys.exc_info()[1]
    if error is None:
        return event
    event.setdefault("error", f"{type(error).__name__}: {error}")
    if not isinstance(error, StoreUnavailable):
        event["exception"] = "".join(traceback.format_exception(error, limit=-20))
    return event


def _hide_secrets(_logger: Any, _method: str, event: Event) -> Event:
    for name in event:
        if name in _HIDDEN:
            event[name] = "***"
    return event


_encoder = msgspec.json.Encoder(enc_hook=str)


def _render_json(_logger: Any, _method: str, event: Event) -> str:
    try:
        return _encoder.encode(event).decode()
    except (TypeError, ValueError):  # for example a lone surrogate: an escaped line is better than no line
        return _encoder.encode({key: ascii(value) for key, value in event.items()}).decode()


def _render_console(_logger: Any, _method: str, event: Event) -> str:
    time = str(event.pop("time", ""))[11:23]
    level, service, name = (str(event.pop(key, "")) for key in ("level", "service", "event"))
    exception = event.pop("exception", None)
    event.pop("logger_name", None)
    fields = " ".join(f"{key}={_console_value(value)}" for key, value in event.items())
    line = f"{time} {level:<7} {service:<12} {name} {fields}".rstrip()
    return f"{line}\n{exception.rstrip()}" if isinstance(exception, str) else line


def _console_value(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    plain = text.isprintable() and text and not any(mark in text for mark in ' "=')
    return text if plain else ascii(text) if not text.isprintable() else f'"{text}"'
