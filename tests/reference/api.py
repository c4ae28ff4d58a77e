"""The pages of the API, made from its OpenAPI document. The example requests are in api_examples.json."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.api.routes import ROUTES
from ingest.api.routing.openapi import document

EXAMPLES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("api_examples.json").read_text())
ANY_ID = "01990f3c-5d2e-7000-8000-3f2a9c1d0e4b"
TITLES = {
    "queue": "Queues", "jobs": "Jobs", "flows": "Flows", "webhooks": "Webhooks", "channels": "Channels",
    "schedules": "Schedules", "secrets": "Secrets", "events": "Events", "executions": "Executions",
    "notifications": "Notifications", "dead-letters": "Dead letters", "refusals": "Refusals", "scaling": "Scaling",
    "doctor": "Doctor", "keys": "Keys", "audit": "Audit", "analytics": "Analytics",
    "contacts": "Contacts", "conversations": "Conversations",
}  # fmt: skip

BODY_PAGES = {
    "putFlow": "nodes.md", "putWebhook": "webhooks.md", "putChannel": "channels.md", "putSchedule": "schedules.md",
}  # fmt: skip
"""Bodies that have a page of their own."""

_TIME, _NUMBER = "2026-11-22T12:00:00Z", 1
_MAX_DEPTH = 5


def openapi() -> dict[str, Any]:
    """The document, without the version, which changes with each release."""
    return document(ROUTES, "")


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation of every route, in the order of the table."""
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def overview() -> str:
    """A table of all routes."""
    lines = ["| route | role | description |", "|---|---|---|"]
    for method, path, operation in operations(openapi()):
        anchor = operation["operationId"].lower()
        lines.append(f"| [`{method} {path}`](#{anchor}) | {operation['x-role']} | {operation['summary']} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Every route with its parameters, an example request and an example answer."""
    found, sections, tag = openapi(), [], ""
    for method, path, operation in operations(found):
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            sections.append(f"## {TITLES.get(tag, tag)}\n")
        sections.append(_section(found, method, path, operation))
    return "\n".join(sections)


def _section(found: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"### {operation['operationId']}", "", f"`{method} {path}` · role `{operation['x-role']}`", ""]
    lines += [operation["summary"], ""]
    for one in (one for one in operation["parameters"] if one["in"] == "query"):
        if not lines[-1].startswith("|"):
            lines += ["| query parameter | takes | default | meaning |", "|---|---|---|---|"]
        lines.append(_row(one["name"], one["schema"], one.get("description")))
    if lines[-1]:
        lines.append("")
    lines += _body(found, operation)
    errors = ", ".join(status for status in operation["responses"] if int(status) >= 400)
    lines += ["```sh", _curl(method, path, operation), "```", "", f"Errors: {errors}. Answer:", "", "```json"]
    content = operation["responses"]["200"]["content"]["application/json"]["schema"]
    lines += [json.dumps(sample(found, content), indent=2, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _body(found: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """The fields of the body, or the page that describes them."""
    if "requestBody" not in operation:
        return []
    if operation["operationId"] in BODY_PAGES:
        page = BODY_PAGES[operation["operationId"]]
        return [f"The body is described in [{page.removesuffix('.md')}]({page}).", ""]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    part = found["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    lines = ["| field of the body | takes | default | meaning |", "|---|---|---|---|"]
    for name, field in part["properties"].items():
        lines.append(_row(name, field, "required" if name in part.get("required", ()) else None))
    return [*lines, ""]


def _row(name: str, schema: dict[str, Any], description: str | None) -> str:
    default = schema.get("default")
    shown = f"`{json.dumps(default)}`" if default not in (None, {}, []) else ""
    if description == "required":
        shown, description = "required", None
    return f"| `{name}` | {_type(schema)} | {shown} | {description or _described(schema)} |"


def _curl(method: str, path: str, operation: dict[str, Any]) -> str:
    example = EXAMPLES.get(operation["operationId"], {})
    values = example.get("path", {})
    address = re.sub(r"{(\w+)}", lambda match: values.get(match[1]) or _usual(path, match[1]), path)
    query = f"?{example['query']}" if "query" in example else ""
    quote = '"' if not query and "{" not in address else "'"
    url = f'"$FILAS{address}{query}"' if quote == '"' or query else f'"$FILAS{address}"'
    verb = "" if method == "GET" else f"-X {method} "
    line = f'curl {verb}{url} -H "Authorization: Bearer $TOKEN"'
    if "body" in example:
        body = json.dumps(example["body"], ensure_ascii=False)
        line += f" \\\n  -H 'Content-Type: application/json' -d '{body}'"
    return line


def _usual(path: str, name: str) -> str:
    """The example value of a path parameter: a name for definitions, otherwise an id."""
    named = {"flows": "hello", "webhooks": "hello", "channels": "shop", "schedules": "greeting", "secrets": "shop"}
    tag = path.split("/")[2]
    return named[tag] if name in ("id", "name") and tag in named else ANY_ID


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"] if one is not None)
    kind = {"string": "text", "integer": "number", "number": "number", "boolean": "`true`, `false`"}
    text = kind.get(str(schema.get("type")), "JSON")
    low, high = schema.get("minimum"), schema.get("maximum")
    text = {"date-time": "time", "uuid": "id"}.get(str(schema.get("format")), text)
    return f"{text}, {low} to {high}" if low is not None and high is not None else text


def _described(schema: dict[str, Any]) -> str:
    return schema.get("description") or next(
        (d for one in schema.get("anyOf", ()) if (d := one.get("description"))), ""
    )


def sample(found: dict[str, Any], schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
    """An example value of a schema: the first choice everywhere, named values for known names."""
    if "$ref" in schema:
        part = schema["$ref"].rpartition("/")[2]
        return None if depth > _MAX_DEPTH else sample(found, found["components"]["schemas"][part], name, depth + 1)
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if choices:
        return sample(found, choices[0], name, depth)
    if "const" in schema or "enum" in schema:
        return schema.get("const") or next(one for one in schema["enum"] if one is not None)
    return _of_type(found, schema, name, depth)


def _of_type(found: dict[str, Any], schema: dict[str, Any], name: str, depth: int) -> Any:
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {key: sample(found, part, key, depth) for key, part in schema["properties"].items()}
        case "object":
            below = schema.get("additionalProperties")
            return {"name": sample(found, below, "", depth + 1)} if isinstance(below, dict) and below else {}
        case "array":
            items = schema.get("items")
            return [sample(found, items, name, depth + 1)] if isinstance(items, dict) else []
        case list() as kinds:
            return sample(found, {**schema, "type": next(kind for kind in kinds if kind != "null")}, name, depth)
        case kind:
            return _scalar(kind, schema, name)


def _scalar(kind: Any, schema: dict[str, Any], name: str) -> Any:
    if kind == "string":
        by_format = {"date-time": _TIME, "uuid": ANY_ID}
        usual = _TIME if name.endswith("At") or name == "nextRuns" else "text"
        return by_format.get(str(schema.get("format"))) or _TEXTS.get(name, usual)
    return {"integer": schema.get("minimum", _NUMBER), "number": 1.0, "boolean": True}.get(kind, {})


_TEXTS = {
    "id": ANY_ID, "flowId": "hello", "nodeId": "greet", "webhookId": "hello", "channelId": "shop", "path": "hello",
    "channel": "shop", "contact": "+5511999990000", "recipient": "+5511999990000", "name": "Hello", "kind": "timeout",
    "message": "the call took longer than 10000 ms", "type": "message", "jobId": f"{{webhook-processing}}:{ANY_ID}",
    "queue": "webhook-processing", "idempotencyKey": f"{ANY_ID}:2", "cron": "0 9 * * 1-5", "nextCursor": None,
    "timezone": "America/Sao_Paulo", "method": "POST", "worker": "flow-runner", "timestamp": "2026-11-22T12:00:00.000Z",
    "remoteAddress": "203.0.113.7", "contentType": "application/json", "duplicateKey": "order-7", "handle": "out",
}  # fmt: skip
