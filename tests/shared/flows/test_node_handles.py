"""The handles of the nodes of a stored definition, which may be malformed."""

from typing import Any

import pytest

from filas.flows.definition.node_handles import default_handles
from filas.flows.definition.node_types import NODE_TYPES


def test_each_node_has_its_first_handle() -> None:
    nodes = [
        {"id": "a", "type": "condition", "data": {"rules": []}},
        {"id": "b", "type": "delay", "data": {"ms": 1000}},
    ]
    assert default_handles({"nodes": nodes}) == {"a": "true", "b": "out"}


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_a_node_of_any_type_may_be_in_the_flow(kind: str) -> None:
    """Of the types, `end` has no handle."""
    found = default_handles({"nodes": [{"id": "a", "type": kind, "data": {}}]})
    assert "a" not in found or kind != "end"


@pytest.mark.parametrize("nodes", [None, 5, {"a": 1}, ["x"], [{"id": 1}], [{"id": "a", "type": "end", "data": [1]}]])
def test_a_malformed_definition_has_no_handles(nodes: Any) -> None:
    assert default_handles({"nodes": nodes}) == {}
