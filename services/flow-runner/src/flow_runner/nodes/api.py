"""Runs `api`."""

from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from filas.flows.expressions import jmespath_mapping
from filas.flows.nodes.api import ApiData
from filas.flows.templates import template
from flow_runner.engine.node_protocol import Done, NodeFailure, NodeRunner, Visit
from flow_runner.engine.redaction import headers_shown
from flow_runner.nodes import outbound_call


async def _run(visit: Visit) -> Done:
    data: ApiData = visit.data
    scope = visit.scope.roots
    url = _with_query(template.render_text(data.url, scope), template.render(data.query, scope))
    headers = outbound_call.render_headers(data.headers, scope)
    visit.input = {"method": data.method, "url": url, "headers": headers_shown(headers)}
    body = outbound_call.encode_body(data.body, headers, scope)
    if body is not None:
        visit.input["body"] = (
            body.decode(errors="replace") if isinstance(data.body, str) else template.render(data.body, scope)
        )
    outbound_call.set_missing(headers, "Idempotency-Key", visit.key)
    try:
        answer = await outbound_call.call(visit, data.method, url, headers, body, data.accept_status)
    except NodeFailure as failure:
        if data.on_uncertain == "fail" and (failure.detail or {}).get("sent"):
            failure.classes = frozenset()
        raise
    _map_response(visit, data, answer)
    return Done(answer, shown={**answer, "headers": headers_shown(answer["headers"])})


def _map_response(visit: Visit, data: ApiData, answer: dict[str, Any]) -> None:
    for entry in data.response_mapping:
        try:
            visit.scope.assign(entry.variable, jmespath_mapping.search(entry.path, answer))
        except ValueError as error:
            raise NodeFailure("response-mapping", f"{entry.path[:64]!r}: {error}", output=answer) from None


def _with_query(url: str, query: dict[str, Any]) -> str:
    """`url` with `query` added to what it has; a list gives its name once an item, null leaves it out."""
    pairs = [
        (name, template.as_text(item))
        for name, value in query.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]
    if not pairs:
        return url
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise NodeFailure("request", f"the address can't be read: {error}") from None
    encoded = "&".join(filter(None, [parts.query, urlencode(pairs, quote_via=quote)]))
    return urlunsplit(parts._replace(query=encoded))


def _call_s(data: ApiData) -> float:
    return data.timeout_ms / 1000


def _announced(data: ApiData) -> bool:
    return data.on_uncertain == "fail"


RUNNER = NodeRunner(_run, _call_s, _announced)
