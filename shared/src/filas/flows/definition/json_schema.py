"""The JSON Schema of a flow's definition, made from the types that read it.

It has what an editor needs to complete and to check a file: every field with its type, its bounds and its default.
What no schema can say (an edge that leads nowhere, a name that is not known), the checks say when a flow is put.
"""

import functools
import re
from typing import Any

import msgspec

from filas.flows.definition.flow_definition import Edge, FlowHead, NodeHead
from filas.flows.definition.node_types import NODE_TYPES

_SNAKE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@functools.lru_cache(maxsize=1)
def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). What a node's `data` holds depends on its `type`."""
    types = [FlowHead, NodeHead, Edge, *NODE_TYPES.values()]
    _, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    flow, node = parts.pop("FlowHead"), parts.pop("NodeHead")
    flow["properties"]["nodes"]["items"] = {"$ref": "#/$defs/Node"}
    flow["properties"]["edges"]["items"] = {"$ref": "#/$defs/Edge"}
    flow["title"] = "Flow"
    node |= {"title": "Node", "description": "A step of the flow. What an editor keeps besides is left alone."}
    node["properties"]["type"] = {"enum": list(NODE_TYPES)}
    node["allOf"] = [_data_of(node_type, data.__name__, parts) for node_type, data in NODE_TYPES.items()]
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **flow, "$defs": {"Node": node, **parts}}
    for part in (schema, *schema["$defs"].values()):
        part["description"] = _description(part.get("description", ""))
    return schema


def _data_of(node_type: str, name: str, parts: dict[str, Any]) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"data": {"$ref": f"#/$defs/{name}"}}}
    if parts[name]["required"]:
        then["required"] = ["data"]
    return {"if": {"properties": {"type": {"const": node_type}}, "required": ["type"]}, "then": then}


def _description(docstring: str) -> str:
    """A docstring in one line, its fields named as JSON has them."""
    return _SNAKE.sub(lambda found: _camel(found.group()), " ".join(docstring.split()))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
