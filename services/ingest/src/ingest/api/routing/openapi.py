"""The OpenAPI 3.1 document, made from the route table and the types that validate."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import fields

from ingest.api.routing.problems import FieldError
from ingest.api.routing.route_types import Body, Query, Route

_REFUSALS = {
    400: "The body is not JSON.",
    401: "No valid bearer token.",
    403: "The token's role ranks too low.",
    404: "No such thing.",
    409: "The thing is in a state, or holds a name, that forbids the change.",
    413: "The body is too large.",
    422: "A field is not valid; `errors` names each.",
    503: "Redis or Postgres is away; `Retry-After` says when to try again.",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An RFC 9457 problem document. `errors` stands in a 422, `store` in a 503."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = msgspec.field(default_factory=list)
    store: str | None = None


def document(routes: Sequence[Route[Any, Any]], version: str) -> dict[str, Any]:
    """The OpenAPI document of `routes` as JSON-ready objects."""
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
            "summary": "Webhooks in, flows run, messages out.",
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
        for used in (route.answer, _shown(route)):
            if used is not None:
                found.setdefault(_key(used), used)
    return list(found.values())


def _shown(route: Route[Any, Any]) -> Any:
    return route.documented or route.body


def _key(used: Any) -> str:
    return f"{used!r}"


def _operation(route: Route[Any, Any], schema_of: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "x-role": route.role,
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {"200": _success(route, schema_of), **_problems(route)},
    }
    if route.may_go_on:
        operation["responses"]["202"] = _success(route, schema_of)
    if route.body is not None:
        operation["requestBody"] = {
            "required": not _may_be_absent(route.body),
            "content": {"application/json": {"schema": schema_of[_key(_shown(route))]}},
        }
    return operation


def _may_be_absent(body: Any) -> bool:
    """Whether no body at all is taken, as `{}` is: nothing in it has to be there."""
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
    return {"description": route.summary, "content": {"application/json": {"schema": schema}}}


def _problems(route: Route[Any, Any]) -> dict[str, Any]:
    statuses = {401, 403, 422, 503, *route.refusals}
    if route.body is not None:
        statuses |= {400, 413}
    if "{" in route.path:
        statuses.add(404)
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {"description": _REFUSALS[status], "content": {"application/problem+json": {"schema": reference}}}
        for status in sorted(statuses)
    }
