"""The log: one line per event on standard error, as JSON or for a person to read.

An event is a constant name with fields: `log.info("job.retry_scheduled", job_id=job_id, delay_s=2)`. Fields are ids and
numbers, not objects. They contain no secret and no body. Records that other libraries write with `logging` become lines
of the same log.

structlog did this with 3.8 MiB more in each process, because it also imports rich, which only the commands use.
"""

import contextlib
import contextvars
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TextIO

import msgspec

from filas.errors import StoreUnavailable

Fields = dict[str, Any]
Level = Literal["debug", "info", "warning", "error"]

_HIDDEN = frozenset({"authorization", "cookie", "password", "secret", "token"})
"""Names of fields whose value is always replaced, in case a secret is logged by mistake."""

_QUIET_LIBRARIES = ("aiohttp.access", "arq", "asyncio", "aiohttp")

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_bound: Final = contextvars.ContextVar[Mapping[str, Any]]("bound", default=_NOTHING)


@dataclass(frozen=True, slots=True)
class LogOutput:
    """Where events go: those of at least the level `least`, to `write`, with their level, their name and their
    fields."""

    least: int
    write: Callable[[str, str, Fields], None]


@dataclass(slots=True)
class _Process:
    output: LogOutput


class Logger:
    """Writes events to the log of the process. Each has `logger_name=name`.

    `exc_info` is an error, whose text and traceback become fields, or True for the error that is being handled.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        """Writes an event that helps to find an error."""
        self.log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Writes an event of normal work."""
        self.log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Writes a problem that the process handles."""
        self.log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Writes an error."""
        self.log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Like `error`, with the text and the traceback of the error that is being handled."""
        self.log(logging.ERROR, event, {"exc_info": True, **fields})

    def log(self, level: int, event: str, fields: Fields) -> None:
        """Writes an event of a level of `logging`."""
        output = _process.output
        if level >= output.least:
            output.write(
                logging.getLevelName(level).lower(), event, {**_bound.get(), **fields, "logger_name": self._name}
            )


def get_logger(name: str) -> Logger:
    """Returns a logger whose lines have `logger_name=name`. It may be created before `configure` is called."""
    return Logger(name)


@contextlib.contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds `fields` to every line that the current task logs in the block."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


@contextlib.contextmanager
def redirected(output: LogOutput | None = None) -> Iterator[None]:
    """Sends events to `output` while the block runs. At its end, the log is configured as before, whatever the
    block has configured."""
    root, before = logging.getLogger(), _process.output
    handlers, level = root.handlers[:], root.level
    if output is not None:
        _process.output = output
    try:
        yield
    finally:
        _process.output = before
        root.handlers[:] = handlers
        root.setLevel(level)


def configure(level: Level, fmt: Literal["json", "console"], service: str, stream: TextIO | None = None) -> None:
    """Configures the log of the process. `service` is in every line. The default of `stream` is standard error."""
    least = logging.getLevelNamesMapping()[level.upper()]
    _process.output = _lines(least, _render_json if fmt == "json" else _render_console, service, stream)
    root = logging.getLogger()
    root.handlers[:] = [_ToLog()]
    root.setLevel(max(least, logging.INFO))
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(max(least, logging.WARNING))
    # Its warnings are stack traces of an unavailable server, which the repository logs in one line.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def _lines(least: int, render: Callable[[Fields], str], service: str, stream: TextIO | None) -> LogOutput:
    def write(level: str, event: str, fields: Fields) -> None:
        _describe_exception(fields)
        for name in fields.keys() & _HIDDEN:
            fields[name] = "***"
        time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = render({**fields, "time": time, "level": level, "service": service, "event": event})
        # A full disk or a closed pipe loses log lines and nothing else. One write per line, so that lines of several
        # threads do not mix.
        with contextlib.suppress(OSError, ValueError):
            out = stream or sys.stderr
            out.write(f"{line}\n")
            out.flush()

    return LogOutput(least, write)


class _ToLog(logging.Handler):
    """Writes the records of other libraries to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: Fields = {"message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        get_logger(record.name).log(record.levelno, "library.message", fields)


def _describe_exception(fields: Fields) -> None:
    """Replaces `exc_info` by `error` and `exception`. An unavailable store is logged without a traceback."""
    given = fields.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given:
        error = sys.exc_info()[1]
    if error is None:
        return
    fields.setdefault("error", f"{type(error).__name__}: {error}")
    if not isinstance(error, StoreUnavailable):
        fields["exception"] = "".join(traceback.format_exception(error, limit=-20))


_encoder = msgspec.json.Encoder(enc_hook=str)


def _render_json(event: Fields) -> str:
    try:
        return _encoder.encode(event).decode()
    except (TypeError, ValueError):  # for example a lone surrogate: an escaped line is better than no line
        return _encoder.encode({key: ascii(value) for key, value in event.items()}).decode()


def _render_console(event: Fields) -> str:
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


_process: Final = _Process(_lines(logging.DEBUG, _render_console, "", None))
