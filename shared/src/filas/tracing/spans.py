"""What the rest of Filas knows of tracing: spans that cost nothing while it is switched off.

Whoever has nothing else to do asks `is_on()` first: then switched off is one call. What a span is a child of is said
explicitly, by the traceparent that the cause has left in a job: a statement and a call to Redis are shared by many
jobs, so whatever a task inherits would name the wrong one. The one exception is `current()`, the span of the job that
this task runs.
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
"""By OpenTelemetry's names, and `filas.…` where it has none. None leaves an attribute out. No secret, no body, no
path of a webhook, no query."""


class Span:
    """A span that is recorded nowhere, and what every other one can do."""

    __slots__ = ()

    @property
    def traceparent(self) -> Traceparent:
        """What makes a job, or another span, a child of this one."""
        return msgspec.UNSET

    @property
    def trace_id(self) -> str:
        """As logs and tools write it."""
        return ""

    def tell(self, attributes: Attributes) -> None:
        """Add to what is known of it."""

    def link(self, traceparent: Traceparent) -> None:
        """Say that it has to do with another one."""

    def fail(self, kind: str, message: str = "") -> None:
        """It has failed. `kind` is a stable word or the exception's type; `message` holds no secret."""

    def end(self) -> None:
        """It ends now. One that is never ended is never recorded."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.fail(kind.__name__)
        self.end()


class Tracer(Protocol):
    """What records spans."""

    def start(
        self,
        name: str,
        kind: Kind,
        parent: Traceparent,
        attributes: Attributes,
        *,
        first_of: UUID | None,
        began_s: float | None,
    ) -> Span:
        """See `span`."""

    def first(self, origin: UUID) -> str:
        """The traceparent of the first span of the trace of `origin`."""

    def stop(self, timeout_s: float) -> None:
        """Send what is left, for so long at most."""


NOT_RECORDED = Span()
_tracer: Tracer | None = None
_current: ContextVar[Span] = ContextVar("span", default=NOT_RECORDED)


def use(tracer: Tracer | None) -> None:
    """Record with `tracer` from now on; None: not at all."""
    global _tracer  # noqa: PLW0603 - the process's, as its log and its metrics are
    _tracer = tracer


def used() -> Tracer | None:
    """What records now."""
    return _tracer


def is_on() -> bool:
    """Whether anything is recorded."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind,
    parent: Traceparent,
    attributes: Attributes,
    *,
    first_of: UUID | None = None,
    began_s: float | None = None,
) -> Span:
    """A span that begins now, or began at `began_s` (Unix seconds).

    `first_of`: it is the first span of the trace of that event or execution, and `parent` is not looked at. Without
    either it begins a trace of its own.
    """
    if _tracer is None:
        return NOT_RECORDED
    return _tracer.start(name, kind, parent, attributes, first_of=first_of, began_s=began_s)


def first(origin: UUID) -> Traceparent:
    """What makes a job a child of the first span of the trace of `origin`, an event or an execution."""
    return msgspec.UNSET if _tracer is None else _tracer.first(origin)


def current() -> Span:
    """The span of the job that this task runs."""
    return _current.get()


@contextmanager
def as_current(running: Span) -> Iterator[None]:
    """Makes `running` the current span in the block."""
    token = _current.set(running)
    try:
        yield
    finally:
        _current.reset(token)
