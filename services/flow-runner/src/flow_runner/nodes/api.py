"""Runs `api`: makes an HTTP call and assigns parts of the response to variables."""

from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from filas.flows.expressions import jmespath_mapping
from filas.flows.nodes.api import ApiData
from filas.flows.templates import template
from filas.flows.templates.form_text import URL_ENCODED
from filas.flows.templates.json_text import render_nested
from filas.flows.templates.url_text import render_url
from flow_runner.engine.node_protocol import Done, Failed, NodeFailure, Visit
from flow_runner.nodes.outbound_call import OutboundCall, make_call


async def run(visit: Visit) -> Done | Failed:
    data: ApiData = visit.data
    scope = visit.scope.roots
    url = _with_query(render_url(data.url, scope), render_nested(data.query, scope, URL_ENCODED))
    try:
        call = OutboundCall(data.method, url, data.headers, data.body, data.accept_status, reading=data.answer)
        done = await make_call(visit, call)
    except NodeFailure as failure:
        if data.on_uncertain == "fail" and (failure.outcome.detail or {}).get("sent"):
            # Without a class, no retry makes the call again.
            return msgspec.structs.replace(failure.outcome, classes=frozenset())
        raise
    _map_response(visit, data, done.output)
    return done


def _map_response(visit: Visit, data: ApiData, response: dict[str, Any]) -> None:
    for index, entry in enumerate(data.response_mapping):
        try:
            visit.assign(entry.variable, jmespath_mapping.search(entry.path, response))
        except ValueError as error:
            message = f"responseMapping[{index}]: {error} (in {entry.path[:64]})"
            raise NodeFailure("response-mapping", message, output=response) from None


def _with_query(url: str, query: dict[str, Any]) -> str:
    """`url` with `query` added to its query. A list repeats the name for each item, and null omits the name."""
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
        raise NodeFailure("request", f"the address cannot be parsed: {error}") from None
    encoded = "&".join(filter(None, [parts.query, urlencode(pairs, quote_via=quote)]))
    return urlunsplit(parts._replace(query=encoded))
