"""The OpenAPI document describes the routes."""

import re
from collections.abc import Iterator
from typing import Any

from ingest.api.routes import ROUTES
from tests.ingest.api.serving import Api


def references(document: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(document, list):
        for item in document:
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
