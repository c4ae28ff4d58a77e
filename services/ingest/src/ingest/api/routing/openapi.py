"""The OpenAPI 3.1 document, generated from the route table and the types that validate."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import fields

from ingest.api.routing.problems import FieldError
from ingest.api.routing.route_types import Body, Query, Route

_PROBLEMS = {
    400: "The body is not JSON.",
    401: "There is no valid bearer token: `FILAS_ADMIN_TOKEN`, or a key that is neither expired nor revoked.",
    403: "The role of the token is not sufficient.",
    404: "The object does not exist.",
    409: "The state or the name of the object forbids the change.",
    413: "The body is too large.",
    421: "The host of the request is not listed in `ADMIN_HOSTS`.",
    422: "A field is invalid; `errors` lists every one.",
    429: "Too many requests without a valid token came from this address; `Retry-After` is in seconds.",
    503: "Redis or Postgres is unavailable; `Retry-After` is the time until the next attempt, in seconds.",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An RFC 9457 problem document. A 422 has `errors`, a 503 has `store`."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = msgspec.field(default_factory=list)
    store: str | None = None


def document(routes: Sequence[Route[Any, Any]], version: str) -> dict[str, Any]:
    """Returns the OpenAPI document of `routes` as objects that JSON can encode."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schema_of)
        paths.setdefault(f"/api{route.path}", {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Filas",
            "version": version,
            "summary": "Receives webhooks, runs flows, sends messages.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(routes: Sequence[Route[Any, Any]]) -> list[Any]:
    found: dict[str, Any] = {_key(Problem): Problem}
    for route in routes:
        for kind in (route.answer, _documented_body(route)):
            if kind is not None:
                found.setdefault(_key(kind), kind)
    return list(found.values())


def _documented_body(route: Route[Any, Any]) -> Any:
    return route.documented or route.body


def _key(kind: Any) -> str:
    return f"{kind!r}"


def _operation(route: Route[Any, Any], schema_of: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "x-role": route.role,
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {"200": _success(route, schema_of), **_problems(route)},
    }
    if route.may_continue:
        operation["responses"]["202"] = _success(route, schema_of)
    if route.body is not None:
        operation["requestBody"] = {
            "required": not _is_optional(route.body),
            "content": {"application/json": {"schema": schema_of[_key(_documented_body(route))]}},
        }
    return operation


def _is_optional(body: Any) -> bool:
    """Whether the body may be missing, because none of its fields is required."""
    return isinstance(body, type) and issubclass(body, Body) and not any(field.required for field in fields(body))


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    (reference,), components = msgspec.json.schema_components([query], ref_template="{name}")
    schema = components[reference["$ref"]]
    required = schema["required"]
    parameters = []
    for name, field in schema["properties"].items():
        described = dict(field)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": described}
        if "description" in described:
            parameter["description"] = described.pop("description")
        parameters.append(parameter)
    return parameters


def _success(route: Route[Any, Any], schema_of: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"status": {"const": "success"}, "data": schema_of[_key(route.answer)]}
    required = ["status", "data"]
    if route.paged:
        properties["nextCursor"] = {"type": ["string", "null"]}
        required.append("nextCursor")
    envelope = {"type": "object", "properties": properties, "required": required}
    schema = schema_of[_key(route.answer)] if route.bare else envelope
    content = {"application/json": {"schema": schema}}
    if route.csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"description": route.summary, "content": content}


def _problems(route: Route[Any, Any]) -> dict[str, Any]:
    statuses = {401, 403, 421, 422, 429, 503, *route.problems}
    if route.body is not None:
        statuses |= {400, 413}
    if "{" in route.path:
        statuses.add(404)
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {"description": _PROBLEMS[status], "content": {"application/problem+json": {"schema": reference}}}
        for status in sorted(statuses)
    }
