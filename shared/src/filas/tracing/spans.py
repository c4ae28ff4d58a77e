"""The spans that all code of Filas uses. They cost almost nothing while tracing is off.

Callers on hot paths check `is_on()` first, so that tracing costs one call while it is off. A span's parent is always
given explicitly, as the traceparent that the cause has left in a job. It is not inherited from the task, because many
jobs share one statement or one call to Redis, and the task would name the wrong job. The one exception is `current()`,
the span of the job that the task runs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, Protocol, Self
from uuid import UUID

import msgspec

from filas.contract.jobs import Traceparent

Kind = Literal["server", "producer", "consumer", "client", "internal"]
Attributes = Mapping[str, str | int | float | bool | None]
"""Attributes under OpenTelemetry's names, or `filas.…` if it has none. None omits an attribute. Attributes contain no
secret, no body, no webhook path and no query."""


class Span:
    """A span that is recorded nowhere. It is also the interface of all other spans."""

    __slots__ = ()

    @property
    def traceparent(self) -> Traceparent:
        """The value that makes a job or another span a child of this span. UNSET if the span is not recorded."""
        return msgspec.UNSET

    @property
    def trace_id(self) -> str:
        """The trace id in hexadecimal, as logs and tools show it. Empty if the span is not recorded."""
        return ""

    def set_attributes(self, attributes: Attributes) -> None:
        """Adds attributes to the span."""

    def link(self, traceparent: Traceparent) -> None:
        """Links the span to another span, usually in another trace."""

    def fail(self, kind: str, message: str = "") -> None:
        """Marks the span as failed. `kind` is a stable word or an exception's type. `message` contains no secret."""

    def end(self) -> None:
        """Ends the span now. A span that is never ended is never recorded."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.fail(kind.__name__)
        self.end()


class Tracer(Protocol):
    """Records spans."""

    def start_span(
        self,
        name: str,
        kind: Kind,
        parent: Traceparent,
        attributes: Attributes,
        *,
        root_of: UUID | None,
        began_s: float | None,
    ) -> Span:
        """See `span`."""

    def root_traceparent(self, origin: UUID) -> str:
        """See `root_traceparent`."""

    def shutdown(self, timeout_s: float) -> None:
        """Sends the remaining spans, for at most `timeout_s` seconds."""


NOT_RECORDED = Span()
_tracer: Tracer | None = None
_current: ContextVar[Span] = ContextVar("span", default=NOT_RECORDED)


def set_tracer(tracer: Tracer | None) -> None:
    """Records with `tracer` from now on. None switches recording off."""
    global _tracer  # noqa: PLW0603 - one tracer per process, as with logs and metrics
    _tracer = tracer


def tracer() -> Tracer | None:
    """Returns the process's tracer, or None while recording is off."""
    return _tracer


def is_on() -> bool:
    """Whether spans are recorded."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind,
    parent: Traceparent,
    attributes: Attributes,
    *,
    root_of: UUID | None = None,
    began_s: float | None = None,
) -> Span:
    """Starts a span that begins now, or began at `began_s` (Unix seconds).

    With `root_of`, the span is the root span of the trace of that event or execution, and `parent` is ignored. Without
    a root and without a valid parent, the span begins a trace of its own.
    """
    if _tracer is None:
        return NOT_RECORDED
    return _tracer.start_span(name, kind, parent, attributes, root_of=root_of, began_s=began_s)


def root_traceparent(origin: UUID) -> Traceparent:
    """Returns the value that makes a job a child of the root span of the trace of `origin`, an event or an execution.

    UNSET while recording is off.
    """
    return msgspec.UNSET if _tracer is None else _tracer.root_traceparent(origin)


def current() -> Span:
    """Returns the span of the job that this task runs."""
    return _current.get()


@contextmanager
def as_current(running: Span) -> Iterator[None]:
    """Makes `running` the current span within the block."""
    token = _current.set(running)
    try:
        yield
    finally:
        _current.reset(token)
