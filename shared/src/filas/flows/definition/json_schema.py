"""The JSON Schema of a flow's definition, made from the types that read it.

It lets an editor complete and check a file: every field has its type, its bounds and its default. A schema cannot
express every rule (an edge that leads nowhere, an unknown name); the publishing checks report the rest.

`x-editor` has what a form needs besides the types (`editor_hints`), and `x-filters` the filters of templates.
"""

import functools
import inspect
import re
from typing import Any

import msgspec

from filas.flows.definition.editor_hints import add_hints
from filas.flows.definition.flow_definition import Edge, FlowHead, NodeHead
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.templates.bounded_liquid import build_environment
from filas.flows.templates.filters.added_filters import FILTERS

_SNAKE = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@functools.lru_cache(maxsize=1)
def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). The fields of a node's `data` depend on its `type`."""
    types = [FlowHead, NodeHead, Edge, *NODE_TYPES.values()]
    _, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    flow, node = parts.pop("FlowHead"), parts.pop("NodeHead")
    flow["properties"]["nodes"]["items"] = {"$ref": "#/$defs/Node"}
    flow["properties"]["edges"]["items"] = {"$ref": "#/$defs/Edge"}
    flow["title"] = "Flow"
    node |= {"title": "Node", "description": "A node of the flow. Other fields of an editor are kept."}
    node["properties"]["type"] = {"enum": list(NODE_TYPES)}
    node["allOf"] = [_data_of(node_type, data.__name__, parts) for node_type, data in NODE_TYPES.items()]
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **flow, "$defs": {"Node": node, **parts}}
    for part in (schema, *schema["$defs"].values()):
        part["description"] = _description(part.get("description", ""))
    add_hints(schema)
    return schema | {"x-filters": _filters()}


def _filters() -> list[dict[str, str]]:
    """Every filter of templates by name. Those of Filas have a description."""
    described = {name: " ".join((inspect.getdoc(function) or "").split()) for name, function in FILTERS.items()}
    return [{"name": name, "description": described.get(name, "")} for name in sorted(build_environment().filters)]


def _data_of(node_type: str, name: str, parts: dict[str, Any]) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"data": {"$ref": f"#/$defs/{name}"}}}
    if parts[name]["required"]:
        then["required"] = ["data"]
    return {"if": {"properties": {"type": {"const": node_type}}, "required": ["type"]}, "then": then}


def _description(docstring: str) -> str:
    """A docstring in one line, with the field names of JSON."""
    return _SNAKE.sub(lambda found: _camel(found.group()), " ".join(docstring.split()))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
