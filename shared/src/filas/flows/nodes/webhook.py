"""`webhook`: the trigger of a flow, a signed outgoing webhook, or the wait for a callback."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta

from filas.flows import value_limits
from filas.flows.nodes.api import Method, check_url
from filas.flows.nodes.node_data import FallibleData
from filas.flows.problems import Add
from filas.flows.templates.json_text import body_source

SEND_TIMEOUT_S = 15.0
"""The time limit of the call in mode `send`."""

_SEND_FIELDS = ("url", "headers", "body", "secret")


class WebhookData(FallibleData, frozen=True, kw_only=True):
    """`trigger` has no more fields. `send` posts `body` to `url`, signed with `secret` if it is given (Standard
    Webhooks, `whsec_…`). `wait` waits until its single-use address is called, for `timeout_ms`, by default as long as
    the execution may last."""

    mode: Literal["trigger", "send", "wait"]
    url: str | None = None
    method: Method = "POST"
    headers: dict[str, str] | None = None
    body: Any = None
    secret: str | None = None
    timeout_ms: Annotated[int, Meta(ge=1, le=value_limits.DELAY_MAX_MS)] | None = None

    def handles(self) -> tuple[str, ...]:
        if self.mode == "wait":
            return ("out", "timeout")
        return FallibleData.handles(self) if self.mode == "send" else ("out",)

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("url", self.url), ("body", body_source(self.body)), ("secret", self.secret))
        for name, text in (self.headers or {}).items():
            yield f"headers.{name}", text

    def check(self, add: Add) -> None:
        if self.mode == "send":
            if self.url is None:
                add("url", "is required")
            else:
                check_url(self.url, add)
        for field in _SEND_FIELDS if self.mode != "send" else ():
            if getattr(self, field) is not None:
                add(field, "is allowed only with mode send")
        if self.timeout_ms is not None and self.mode != "wait":
            add("timeoutMs", "is allowed only with mode wait")

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        yield from super().waits_ms()
        if self.mode == "wait" and self.timeout_ms is not None:
            yield "timeoutMs", self.timeout_ms

    def waits(self) -> bool:
        return self.mode == "wait"

    def awaits_call(self) -> bool:
        return self.mode == "wait"

    def starts(self) -> bool:
        return self.mode == "trigger"

    def outbound_limit_s(self) -> float:
        return SEND_TIMEOUT_S if self.mode == "send" else 0.0
