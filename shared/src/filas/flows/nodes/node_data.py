"""The common fields and methods of the data of every node type."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from filas.flows import value_limits
from filas.flows.problems import Add

Awaited = Literal["recorded", "sent", "delivered"]
"""What a node waits for after it has recorded a message: nothing, the provider's acceptance, or the delivery."""

AWAIT_MS: dict[Awaited, int] = {"recorded": 0, "sent": 60_000, "delivered": 24 * 3600 * 1000}
"""How long a node waits by default, in milliseconds."""

RetryClass = Annotated[str, Meta(pattern="^(timeout|communication|4xx|5xx|[1-5][0-9]{2})(?!\\n)$")]
"""A failure that a node may retry: a timeout, a broken connection, or a status of the response."""

Used = Literal["flow", "channel", "secret"]
"""A kind of definition outside of a flow that it uses."""

Millis = Annotated[int, Meta(ge=0, le=30 * 24 * 3600 * 1000)]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of a node's data. An unknown field is an error, so that a misspelling is noticed."""


class Retry(Part, frozen=True, kw_only=True):
    """The retries of a node: at most `max_attempts` attempts, with a wait of
    `min(max_delay_ms, delay_ms * rate ** (attempt - 1))` milliseconds after each, times a random factor from 0 to 1 if
    `jitter` is `full`. Only the failures in `on` are retried."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 1
    delay_ms: Millis = 2000
    rate: Annotated[float, Meta(ge=1, le=100)] = 2
    max_delay_ms: Millis = 60_000
    jitter: Literal["full", "none"] = "full"
    on: Annotated[list[RetryClass], Meta(max_length=50)] = msgspec.field(
        default_factory=lambda: ["timeout", "communication", "429", "5xx"]
    )


class NodeData(Part, frozen=True, kw_only=True):
    """The data of a node. Each type overrides the methods whose results differ."""

    label: str | None = None

    def handles(self) -> tuple[str, ...]:
        """The source handles of edges."""
        return ("out",)

    def templates(self) -> Iterable[tuple[str, object]]:
        """Each field that has templates, with its text or JSON."""
        return ()

    def expressions(self) -> Iterable[tuple[str, str]]:
        """Each field that is a CEL expression, with its text."""
        return ()

    def assigns(self) -> Iterable[tuple[str, str]]:
        """Each field that names a variable to be written, with that name."""
        return ()

    def crons(self) -> Iterable[tuple[str, str, str | None]]:
        """Each field that is a cron expression, with its text and its time zone."""
        return ()

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        """Each field that sets how long a visit waits at most, with its milliseconds."""
        return ()

    def delay_ms(self) -> int:
        """The milliseconds that each visit waits, whatever happens."""
        return 0

    def uses(self) -> Iterable[tuple[str, Used, str]]:
        """Each field that names a definition outside of the flow, with the kind and the name (or a template)."""
        return ()

    def check(self, add: Add) -> None:
        """Reports the errors that the types of the fields do not cover."""

    def waits(self) -> bool:
        """True if a visit releases the worker while time passes, so that a cycle through the node is allowed."""
        return False

    def starts(self) -> bool:
        """True if the node is a trigger."""
        return False

    def awaits_call(self) -> bool:
        """True if a visit ends with a call of the node's address."""
        return False

    def repeats(self) -> str | None:
        """The name of the item, for a node that repeats the nodes behind its handle `loop`."""
        return None

    def outbound_limit_s(self) -> float:
        """The longest time, in seconds, that a visit may spend on an outbound call; 0 if it makes none."""
        return 0.0

    def call_at_most_once(self) -> bool:
        """True if an outbound call whose outcome is uncertain must not be repeated."""
        return False

    def calls(self) -> tuple[str, int | None] | None:
        """The flow and the version, for a node that runs another flow; None means the published version."""
        return None

    def contents(self) -> Iterable[dict[str, Any]]:
        """The messages that a visit sends, with their templates, in the form that the notifier sends them."""
        return ()

    def field_of(self, field: str) -> str:
        """The field of the node that holds `field` of the contents."""
        return field

    def awaited(self, error_is_connected: bool) -> Awaited:
        """What a visit waits for after its message is recorded. `error_is_connected`: an edge leaves by `error`."""
        del error_is_connected
        return "recorded"


class FallibleData(NodeData, frozen=True, kw_only=True):
    """The data of a node that can fail. Its handle `error` exists if `on_error` is `branch`."""

    on_error: Literal["fail", "continue", "branch"] = "fail"
    retry: Retry = Retry()

    def handles(self) -> tuple[str, ...]:
        return ("out", "error") if self.on_error == "branch" else ("out",)

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        if self.retry.max_attempts > 1:
            yield "retry.delayMs", min(self.retry.delay_ms, self.retry.max_delay_ms)


class SendingData(FallibleData, frozen=True, kw_only=True):
    """The data of a node that sends a message.

    A message that has failed permanently fails its node if the node waits for it: until the message has the state
    `awaits`, for at most `await_ms` milliseconds. By default a node with an edge at `error` waits for `sent` and any
    other one for nothing.
    """

    awaits: Awaited | None = msgspec.field(name="await", default=None)
    await_ms: Annotated[int, Meta(ge=1, le=value_limits.DELAY_MAX_MS)] | None = None

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        yield from super().waits_ms()
        if self.await_ms is not None and self.awaits != "recorded":
            yield "awaitMs", self.await_ms

    def awaited(self, error_is_connected: bool) -> Awaited:
        return self.awaits or ("sent" if error_is_connected else "recorded")
