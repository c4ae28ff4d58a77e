"""The handles of the nodes of a stored definition, which may be malformed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.flows.definition.node_types import NODE_TYPES


def default_handles(definition: Mapping[str, Any]) -> dict[str, str]:
    """The handle of each node by which an edge without a handle leaves: its first one. The node `end` has none."""
    found = {}
    nodes = definition.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and isinstance(node.get("id"), str):
            data_type = NODE_TYPES.get(str(node.get("type")))
            try:
                data = None if data_type is None else msgspec.convert(node.get("data") or {}, data_type)
            except msgspec.MsgspecError:
                continue
            handles = () if data is None else data.handles()
            if handles:
                found[node["id"]] = handles[0]
    return found
