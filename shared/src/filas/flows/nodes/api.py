"""`api`: an HTTP call."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from filas.flows.expressions import jmespath_mapping
from filas.flows.nodes.node_data import FallibleData, Part
from filas.flows.problems import Add
from filas.flows.templates.json_text import body_source

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

DEFAULT_TIMEOUT_MS = 10_000


class ResponseMapping(Part, frozen=True, kw_only=True):
    """Writes the value that the JMESPath `path` finds in `{status, headers, body}` to `variable`."""

    variable: str
    path: str


class ApiData(FallibleData, frozen=True, kw_only=True):
    """A response is an error unless its status is 2xx or listed in `accept_status`.

    `body` is JSON with templates, or text. `on_uncertain` is for a call whose outcome is unknown: `retry` repeats it
    under the same idempotency key, `fail` is an error. `answer`: `auto` reads the response by its content type, `text`
    reads it as a text.
    """

    method: Method = "GET"
    url: Annotated[str, Meta(min_length=1)]
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query: dict[str, Any] = msgspec.field(default_factory=dict)
    body: Any = None
    timeout_ms: Annotated[int, Meta(ge=1, le=50_000)] = DEFAULT_TIMEOUT_MS
    accept_status: list[Annotated[int, Meta(ge=100, le=599)]] = msgspec.field(default_factory=list)
    response_mapping: Annotated[list[ResponseMapping], Meta(max_length=100)] = msgspec.field(default_factory=list)
    on_uncertain: Literal["retry", "fail"] = "retry"
    answer: Literal["auto", "text"] = "auto"

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("url", self.url), ("query", self.query), ("body", body_source(self.body)))
        for name, text in self.headers.items():
            yield f"headers.{name}", text

    def assigns(self) -> Iterable[tuple[str, str]]:
        for index, entry in enumerate(self.response_mapping):
            yield f"responseMapping[{index}].variable", entry.variable

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        yield from super().waits_ms()
        if self.timeout_ms != DEFAULT_TIMEOUT_MS:
            yield "timeoutMs", self.timeout_ms

    def outbound_limit_s(self) -> float:
        return self.timeout_ms / 1000

    def call_at_most_once(self) -> bool:
        return self.on_uncertain == "fail"

    def check(self, add: Add) -> None:
        for index, entry in enumerate(self.response_mapping):
            problem = jmespath_mapping.problem(entry.path)
            if problem:
                add(f"responseMapping[{index}].path", problem)
        check_url(self.url, add)


def check_url(url: str, add: Add) -> None:
    """Reports a fixed address that cannot be called. An address that begins with a template is known only in a run."""
    if not url.startswith("{{") and not url.lower().startswith(("http://", "https://")):
        add("url", "must begin with http:// or https://")
