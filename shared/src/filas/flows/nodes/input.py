"""`input`: asks the contact and waits for a valid reply."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from filas.flows import regular_expressions, value_limits
from filas.flows.nodes.node_data import Awaited, FallibleData, Part, SendingData
from filas.flows.problems import Add

INVALID, TIMEOUT, OUT, ERROR, OTHER = "invalid", "timeout", "out", "error", "other"

InputKind = Literal["text", "number", "email", "regex", "choice", "phone", "date", "file", "location", "form"]


class Choice(Part, frozen=True, kw_only=True):
    """One of the possible replies: `id` is the handle and the value, `title` (a template) is shown to the contact."""

    id: Annotated[
        str, Meta(min_length=1, max_length=value_limits.MAX_ID_CHARS, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")
    ]
    title: Annotated[str, Meta(min_length=1)]


class InputData(SendingData, frozen=True, kw_only=True):
    """Sends `prompt`, and writes the value of the contact's next message, the reply, to `variable`.

    An invalid reply repeats the question, with `retry_prompt` if it is given, at most `max_retries` times. Then the
    node is left by `invalid`. After `timeout_ms` without a reply (by default the flow's
    `settings.conversation.idleMs`), it is left by `timeout`. A choice without an edge of its own is left by `out`. If a
    reply matches no choice, the node is left by `other` if an edge leaves there; otherwise the reply is invalid.

    With `collect_ms`, the reply ends when no further message has arrived for that long. Its text is that of all
    messages, each on a line of its own.

    A prompt that could not be delivered fails the node as long as it waits, unless `await` is `recorded`. Every other
    value of `await` has the same effect here, and `awaitMs` has none: the node waits for the reply anyway.
    """

    prompt: Annotated[str, Meta(min_length=1)]
    variable: str | None = None
    kind: InputKind = "text"
    pattern: str | None = None
    choices: Annotated[list[Choice], Meta(max_length=100)] = msgspec.field(default_factory=list)
    max_retries: Annotated[int, Meta(ge=0, le=20)] = 2
    retry_prompt: Annotated[str, Meta(min_length=1)] | None = None
    timeout_ms: Annotated[int, Meta(ge=1, le=value_limits.DELAY_MAX_MS)] | None = None
    collect_ms: Annotated[int, Meta(ge=1, le=600_000)] | None = None

    @property
    def has_other(self) -> bool:
        """Whether a reply that matches no choice can leave by `other`. A choice may have that id; it is then the
        choice's handle alone."""
        return self.kind == "choice" and all(choice.id != OTHER for choice in self.choices)

    def handles(self) -> tuple[str, ...]:
        handles = (*(choice.id for choice in self.choices), OUT, INVALID, TIMEOUT)
        handles = (*handles, OTHER) if self.has_other else handles
        return (*handles, ERROR) if self.on_error == "branch" else handles

    def awaited(self, error_is_connected: bool) -> Awaited:
        del error_is_connected  # The question must arrive in any case.
        return self.awaits or "sent"

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("prompt", self.prompt), ("retryPrompt", self.retry_prompt))
        for index, choice in enumerate(self.choices):
            yield f"choices[{index}].title", choice.title

    def contents(self) -> Iterable[dict[str, Any]]:
        for text in (self.prompt, self.retry_prompt):
            if text is None:
                continue
            if self.choices:
                buttons = [{"id": choice.id, "title": choice.title} for choice in self.choices]
                yield {"type": "buttons", "text": text, "buttons": buttons}
            else:
                yield {"type": "text", "text": text}

    def field_of(self, field: str) -> str:
        return "prompt" if field == "text" else field.replace("buttons", "choices", 1)

    def assigns(self) -> Iterable[tuple[str, str]]:
        if self.variable is not None:
            yield "variable", self.variable

    def check(self, add: Add) -> None:
        if (self.kind == "choice") != bool(self.choices):
            add("choices", "is empty" if self.kind == "choice" else "is allowed only with kind choice")
        if (self.kind == "regex") != (self.pattern is not None):
            add("pattern", "is required" if self.kind == "regex" else "is allowed only with kind regex")
        elif self.pattern is not None and (problem := regular_expressions.problem(self.pattern)):
            add("pattern", problem)
        ids = Counter(choice.id for choice in self.choices)
        for index, choice in enumerate(self.choices):
            if choice.id in (OUT, INVALID, TIMEOUT) or (choice.id == ERROR and self.on_error == "branch"):
                add(f"choices[{index}].id", f"`{choice.id}` is a handle of the node")
            elif ids[choice.id] > 1:
                add(f"choices[{index}].id", f"{ids[choice.id]} choices have the id '{choice.id[:64]}'")

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        yield from FallibleData.waits_ms(self)  # awaitMs has no effect here.
        if self.timeout_ms is not None:
            yield "timeoutMs", self.timeout_ms

    def waits(self) -> bool:
        return True
