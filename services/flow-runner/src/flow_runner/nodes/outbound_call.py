"""What `api` and `webhook` share: one call to the outside, and how its end reads to the author of a flow."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from filas.errors import OutboundError, OutboundRefused, OutboundTimeout
from filas.flows.templates import template
from filas.flows.value_limits import TooLarge, plain
from filas.tracing import spans
from flow_runner.engine.node_protocol import NodeFailure, Visit
from flow_runner.engine.ports import OutboundAnswer

_MAX_RETRY_AFTER_S = 3600.0


async def call(
    visit: Visit, method: str, url: str, headers: dict[str, str], body: bytes | None, accepted: Iterable[int] = ()
) -> dict[str, Any]:
    """The answer as `{status, headers, body}`. Raises NodeFailure unless its status is 2xx or accepted."""
    _check_headers(headers)
    try:
        with _span_of(visit, method, url) as span:
            answer = await visit.outbound.request(method, url, headers=headers, body=body, timeout_s=visit.time_limit_s)
            span.tell({"http.response.status_code": answer.status})
    except OutboundRefused as error:
        raise NodeFailure("outbound-refused", str(error)) from None
    except OutboundTimeout as error:
        raise NodeFailure("timeout", str(error), classes=frozenset({"timeout"}), detail={"sent": error.sent}) from None
    except OutboundError as error:
        classes = frozenset({error.kind})
        raise NodeFailure(error.kind, str(error), classes=classes, detail={"sent": error.sent}) from None
    except ValueError as error:
        raise NodeFailure("request", f"the request can't be made: {error}") from None
    output = _output(answer)
    if not 200 <= answer.status < 300 and answer.status not in accepted:
        raise NodeFailure(
            "http-status",
            f"the answer's status is {answer.status}",
            classes=frozenset({str(answer.status), f"{answer.status // 100}xx"}),
            detail={"status": answer.status},
            output=output,
            retry_after_s=_retry_after(answer.headers),
        )
    return output


def _span_of(visit: Visit, method: str, url: str) -> spans.Span:
    """The call's span: of the address it tells the host alone. The trace is not made known to the other side."""
    if not spans.is_on():
        return spans.NOT_RECORDED
    try:
        # Where a secret is a part of the host, what is left is no address.
        address = urlsplit(visit.scope.redactor.text(url))
        host, port = address.hostname, address.port
    except ValueError:
        host, port = None, None
    attributes = {
        "http.request.method": method,
        "server.address": host,
        "server.port": port,
    }
    return spans.span(method, "client", visit.traceparent, attributes)


def render_headers(headers: Mapping[str, str], scope: template.Scope) -> dict[str, str]:
    """Each header's value as text."""
    return {name: template.render_text(text, scope) for name, text in headers.items()}


def encode_body(body: Any, headers: dict[str, str], scope: template.Scope) -> bytes | None:
    """The bytes of a rendered body; sets `Content-Type` where the author did not.

    A text that reads as a JSON object or list is sent as JSON: many builders keep bodies as text.
    """
    if body is None:
        return None
    rendered = template.render(body, scope)
    if rendered is None:
        return None
    is_json = not isinstance(rendered, str) or _reads_as_json(rendered)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json" if is_json else "text/plain; charset=utf-8"
    return rendered.encode() if isinstance(rendered, str) else msgspec.json.encode(rendered)


def set_missing(headers: dict[str, str], name: str, value: str) -> None:
    """Sets a header unless the author did, in whatever case."""
    if not any(known.lower() == name.lower() for known in headers):
        headers[name] = value


def _reads_as_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if any(mark in name + value for mark in "\r\n\0"):
            raise NodeFailure("request", f"header {name[:64]!r} holds a line break")


def _output(answer: OutboundAnswer) -> dict[str, Any]:
    body: Any
    try:
        body = msgspec.json.decode(answer.body) if answer.body else None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        body = answer.body.decode(errors="replace")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    try:
        return {"status": answer.status, "headers": headers, "body": plain(body)}
    except TooLarge as error:
        raise NodeFailure("response-too-large", f"the answer's body can't be kept: {error}") from None


def _retry_after(headers: Mapping[str, str]) -> float:
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(text), _MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
