"""The OpenAPI document describes the routes."""

import re
from collections.abc import Iterator
from typing import Any

from ingest.api.routes import ROUTES
from ingest.api.routing.openapi import document
from tests.ingest.api.serving import Api


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


async def test_every_route_is_documented(api: Api) -> None:
    """Method, parameters, body and answers of each route of the table, and no other route."""
    document = (await api.get("/openapi.json")).json
    assert document["openapi"].startswith("3.1.")
    documented = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert documented == {(route.method, f"/api{route.path}") for route in ROUTES}
    for route in ROUTES:
        operation = document["paths"][f"/api{route.path}"][route.method.lower()]
        in_path = {found["name"] for found in operation["parameters"] if found["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", route.path))
        assert ("requestBody" in operation) == (route.body is not None)
        assert {"200", "401", "503"} <= set(operation["responses"])
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert ("nextCursor" in schema.get("properties", ())) == route.paged
        assert ("properties" not in schema) == route.bare


async def test_the_document_is_consistent(api: Api) -> None:
    """Every reference is defined, and every operation has another id."""
    document = (await api.get("/openapi.json")).json
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


def test_every_route_is_in_the_table_once() -> None:
    """Of two handlers for one path, only one would be called."""
    addresses = [(route.method, route.path) for route in ROUTES]
    assert len(addresses) == len(set(addresses))


def patterns(part: Any) -> Iterator[str]:
    """Every pattern in a schema."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from patterns(one)


def test_no_value_has_a_line_break_at_its_end_that_it_has_nowhere_else() -> None:
    """`$` alone matches before such a line break."""
    found = set(patterns(document(ROUTES, "")))
    assert len(found) > 5
    strict = {one for one in found if not re.search(one, "\nhttps://a")}
    assert {one for one in strict if one.endswith("$") and not one.endswith(r"(?!\n)$")} == set()
