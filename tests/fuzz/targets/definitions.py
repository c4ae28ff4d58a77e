"""Bodies of the API: a definition that can be stored, or a problem document that names the wrong fields.

Input: a route such as `PUT /webhooks/{id}`, the JSON document.
"""

from collections.abc import Callable
from typing import Any, get_args

import msgspec

from filas.flows import publishing_checks
from filas.flows.definition import flow_definition, node_handles
from filas.flows.definition.flow_definition import FlowInvalid, FlowOfNewerVersion
from ingest.api import routes
from ingest.api.definitions import channel_fields, webhook_routes
from ingest.api.definitions.flow_checks import field_errors, imported_and_checked
from ingest.api.routing.problems import ApiProblem, FieldError
from ingest.api.routing.request_parsing import parse_body
from tests.fuzz.target import chosen, first_line

DOCUMENTS = True
MAX_BYTES = 8192
ROUTES = {f"{route.method} {route.path}": route for route in routes.ROUTES if route.body is not None or route.decode}
FLOW = "PUT /flows/{id}"
WORDS = (
    "flowId", "nodeId", "path", "methods", "auth", "type", "secrets", "rateLimit", "max", "windowMs", "dedupe",
    "header", "conversation", "channel", "contact", "text", "accept", "role", "filter", "rules", "variable",
    "operator", "value", "expression", "response", "status", "contentType", "cors", "handshake", "cron", "every",
    "timezone", "at", "startsAt", "endsAt", "misfire", "input", "days", "hours", "name", "nodes", "edges",
    "variables", "settings", "id", "data", "source", "target", "sourceHandle", "targetHandle", "mode", "trigger",
    "webhook", "message", "condition", "delay", "api", "loop", "switch", "subflow", "notify", "set-variable", "end",
    "input", "retry", "onError", "metric", "threshold", "quietHours", "to", "{{ vars.x }}",
    "{{ webhook.body.a | upcase }}", "* * * * *", "0 0 31 2 *", "America/Sao_Paulo", "https://a.example/{{ vars.x }}",
    "body.a == 1", "matches", "(a+)+$", "default", "wait", "enc:v1:x", "env:NAME", "***", "whsec_c2VjcmV0", "locale",
    "pt-BR", "restartOn", "schema", "notes", "position",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Reads the body as its route does, and checks it as far as no store is needed."""
    name, raw = first_line(data)
    if name == FLOW:
        _check_flow(raw)
        return
    route = chosen(ROUTES, name)
    try:
        body, errors = parse_body(route, raw)
        for check in _CHECKS.get(type(body), ()):
            errors = [*errors, *check(body)]
    except ApiProblem as problem:
        assert 400 <= problem.status < 500
        msgspec.json.encode([problem.detail, problem.extra])
        return
    for error in errors:
        assert len(error.field) < 9000
        assert error.message
        msgspec.json.encode(error)
    msgspec.json.encode(body)


def _of_webhook(body: webhook_routes.WebhookBody) -> list[FieldError]:
    return webhook_routes._errors(body)


def _of_channel(body: channel_fields.ChannelBody) -> list[FieldError]:
    channel_fields.check(body)
    return []


_CHECKS: dict[type, tuple[Callable[[Any], list[FieldError]], ...]] = {
    webhook_routes.WebhookBody: (_of_webhook,),
    **dict.fromkeys(get_args(channel_fields.ChannelBody), (_of_channel,)),
}


def _check_flow(raw: bytes) -> None:
    """A flow without errors can be loaded by the flow runner, and is the same after it was stored."""
    try:
        document, _ = parse_body(ROUTES[FLOW], raw)
    except ApiProblem:
        return
    node_handles.default_handles(document)
    written, definition, problems = imported_and_checked(document)
    for problem in problems:
        assert problem.message
    msgspec.json.encode([field_errors(problems, "error"), field_errors(problems, "warning")])
    stored = msgspec.json.decode(msgspec.json.encode(written))
    assert (definition is None) == any(problem.severity == "error" for problem in problems)
    try:
        flow_definition.load(stored)
    except (FlowInvalid, FlowOfNewerVersion):
        assert definition is None
    assert publishing_checks.check(stored)[0] == definition
