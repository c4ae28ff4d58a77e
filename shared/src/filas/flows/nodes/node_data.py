"""What the data of every node type has in common."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from filas.flows.problems import Add

RetryClass = Annotated[str, Meta(pattern="^(timeout|communication|4xx|5xx|[1-5][0-9]{2})$")]
"""What a node may try again after: a time-out, a broken connection, or a status of the answer."""

Millis = Annotated[int, Meta(ge=0, le=30 * 24 * 3600 * 1000)]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of a node's data. A field that is not known is an error, so that no misspelling goes unseen."""


class Retry(Part, frozen=True, kw_only=True):
    """How a node is tried again: at most `max_attempts` tries in all, waiting
    `min(max_delay_ms, delay_ms * rate ** (attempt - 1))` milliseconds after each, times a random share
    when `jitter` is `full`. Only failures named in `on` are tried again."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 1
    delay_ms: Millis = 2000
    rate: Annotated[float, Meta(ge=1, le=100)] = 2
    max_delay_ms: Millis = 60_000
    jitter: Literal["full", "none"] = "full"
    on: Annotated[list[RetryClass], Meta(max_length=50)] = msgspec.field(
        default_factory=lambda: ["timeout", "communication", "429", "5xx"]
    )


class NodeData(Part, frozen=True, kw_only=True):
    """The data of a node. Each type overrides what differs from these answers."""

    label: str | None = None

    def ways_out(self) -> tuple[str, ...]:
        """The source handles that an edge may leave by."""
        return ("out",)

    def templates(self) -> Iterable[tuple[str, object]]:
        """Each field that holds templates, with its text or JSON."""
        return ()

    def expressions(self) -> Iterable[tuple[str, str]]:
        """Each field that holds a CEL expression, with its text."""
        return ()

    def assigns(self) -> Iterable[tuple[str, str]]:
        """Each field that names a variable to be written, with that name."""
        return ()

    def check(self, add: Add) -> None:
        """Reports what the types of the fields can't say."""

    def waits(self) -> bool:
        """True when a visit gives up the worker and time passes: a cycle through it can't spin."""
        return False

    def starts(self) -> bool:
        """True when a flow begins here."""
        return False

    def awaits_call(self) -> bool:
        """True when a visit ends as somebody calls the node's address."""
        return False

    def repeats(self) -> str | None:
        """The name of the item, of a node that repeats what its way out `loop` leads to."""
        return None

    def outbound_limit_s(self) -> float:
        """The longest time, in seconds, that a visit may spend on an outbound call; 0 if it makes none."""
        return 0.0

    def call_at_most_once(self) -> bool:
        """True when an outbound call whose outcome is uncertain must not be made again."""
        return False

    def calls(self) -> tuple[str, int | None] | None:
        """The flow and the version, of a node that runs another flow; without a version the published one."""
        return None


class FallibleData(NodeData, frozen=True, kw_only=True):
    """The data of a node that can fail. Its `error` way out exists where `on_error` is `branch`."""

    on_error: Literal["fail", "continue", "branch"] = "fail"
    retry: Retry = Retry()

    def ways_out(self) -> tuple[str, ...]:
        return ("out", "error") if self.on_error == "branch" else ("out",)
