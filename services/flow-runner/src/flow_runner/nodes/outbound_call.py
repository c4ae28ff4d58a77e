"""The outbound call of `api` and `webhook`, and how its outcome is described to the author of a flow."""

import asyncio
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from filas.errors import OutboundError, OutboundRefused, OutboundTimeout
from filas.flows.library_errors import shown
from filas.flows.templates import template
from filas.outbound.outbound_response import OutboundResponse
from filas.tracing import spans
from flow_runner.engine.node_protocol import Done, NodeFailure, Visit
from flow_runner.engine.redaction import headers_shown
from flow_runner.nodes.request_body import render_body
from flow_runner.nodes.response_body import Reading, output_of

LARGE_BODY = 32 * 1024
"""A longer body of a response, in bytes, may take more than 5 milliseconds to decode."""

_NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class OutboundCall(msgspec.Struct, frozen=True):
    """A call as the author defined it: `headers` and `body` are templates, `url` is rendered.

    A response is a failure unless its status is 2xx or in `accepted`. `sign` returns the signature headers for the
    body. `always_has_body`: without a body, an empty one is sent (a webhook), and the trace shows the rendered value.
    `reading`: how the response's body is read.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    accepted: Sequence[int] = ()
    sign: Callable[[bytes], Mapping[str, str]] | None = None
    always_has_body: bool = False
    reading: Reading = "auto"


async def make_call(visit: Visit, call: OutboundCall) -> Done:
    """Makes the call under the visit's key. The output is `{status, headers, body}` of the response.

    Adds `method`, `url`, `headers` and `body` to the visit's input; the trace shows no credentials of the headers.
    Raises NodeFailure.
    """
    scope = visit.scope.roots
    headers = {name: template.render_text(text, scope).strip() for name, text in call.headers.items()}
    visit.input = {**(visit.input or {}), "method": call.method, "url": call.url, "headers": headers_shown(headers)}
    body = None if call.body is None else render_body(call.body, headers, scope, visit.scope.redactor.text)
    content = body.content if body else b"" if call.always_has_body else None
    if body or call.always_has_body:
        visit.input["body"] = body.shown if body else None
    if call.sign is not None:
        headers |= call.sign(content or b"")
    if not _has(headers, "Idempotency-Key"):
        headers["Idempotency-Key"] = visit.key
    response = await _request(visit, call, headers, content)
    read = functools.partial(output_of, response, call.accepted, visit.now, call.reading, visit.scope.redactor.text)
    # The thread keeps a large response from delaying the other executions.
    output = await asyncio.to_thread(read) if len(response.body) > LARGE_BODY else read()
    return Done(output, shown={**output, "headers": headers_shown(output["headers"])})


async def _request(visit: Visit, call: OutboundCall, headers: dict[str, str], body: bytes | None) -> OutboundResponse:
    for name, value in headers.items():
        if _NOT_IN_HEADERS.search(name + value):
            found = shown(visit.scope.redactor.text(headers_shown({name: value})[name]))
            raise NodeFailure("request", f"headers.{name[:64]}: a line break or control character in {found}")
    try:
        with _span_of(visit, call) as span:
            response = await visit.outbound.request(
                call.method, call.url, headers=headers, body=body, timeout_s=visit.time_limit_s
            )
            span.set_attributes({"http.response.status_code": response.status})
    except OutboundRefused as error:
        raise NodeFailure("outbound-refused", str(error)) from None
    except OutboundTimeout as error:
        raise NodeFailure("timeout", str(error), classes=frozenset({"timeout"}), detail={"sent": error.sent}) from None
    except OutboundError as error:
        classes = frozenset({error.kind})
        raise NodeFailure(error.kind, str(error), classes=classes, detail={"sent": error.sent}) from None
    except ValueError as error:
        raise NodeFailure("request", f"the request cannot be made: {error}") from None
    return response


def _span_of(visit: Visit, call: OutboundCall) -> spans.Span:
    """The call's span. Of the address it has only host and port. The trace is not propagated to the other side."""
    if not spans.is_on():
        return spans.NOT_RECORDED
    try:
        # If a secret is part of the host, the redacted text is not an address.
        address = urlsplit(visit.scope.redactor.text(call.url))
        host, port = address.hostname, address.port
    except ValueError:
        host, port = None, None
    attributes = {
        "http.request.method": call.method,
        "server.address": host,
        "server.port": port,
    }
    return spans.span(call.method, "client", visit.traceparent, attributes)


def _has(headers: Mapping[str, str], name: str) -> bool:
    return any(known.lower() == name.lower() for known in headers)
