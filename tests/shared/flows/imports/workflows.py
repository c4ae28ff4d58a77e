"""Small workflows of n8n for tests, in the documented format."""

from itertools import pairwise
from typing import Any

from filas.flows import publishing_checks
from filas.flows.imports.importing import ImportedFlow, import_flow

Connections = dict[str, list[list[str]]]


def node(name: str, kind: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A node of n8n's own package."""
    return {
        "id": f"id-{name}",
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": more.pop("version", 1),
        "position": [0, 0],
        "parameters": parameters or {},
        **more,
    }


def workflow(nodes: list[dict[str, Any]], connections: Connections | None = None) -> dict[str, Any]:
    """A workflow. Without connections, the nodes follow one another."""
    names = [one["name"] for one in nodes]
    chain = {before: [[after]] for before, after in pairwise(names)}
    found = connections if connections is not None else chain
    return {
        "name": "Test",
        "nodes": nodes,
        "connections": {
            name: {"main": [[{"node": target, "type": "main", "index": 0} for target in output] for output in outputs]}
            for name, outputs in found.items()
        },
    }


def converted(*nodes: dict[str, Any], connections: Connections | None = None) -> ImportedFlow:
    """A workflow behind a webhook, imported, after a check that the flow can be published."""
    all_nodes = list(nodes)
    if connections is None:
        all_nodes.insert(0, node("Webhook", "webhook"))
    found = import_flow("n8n", workflow(all_nodes, connections))
    errors = [one for one in publishing_checks.check(found.definition)[1] if one.severity == "error"]
    assert errors == []
    return found


def data_of(found: ImportedFlow, node_id: str) -> dict[str, Any]:
    """The data of a node, without its label."""
    [data] = [one["data"] for one in found.definition["nodes"] if one["id"] == node_id]
    return {name: value for name, value in data.items() if name != "label"}


def notes_of(found: ImportedFlow, name: str) -> tuple[str, list[str]]:
    """The status of a node of the workflow, and the codes of its notes."""
    [block] = [one for one in found.blocks if one.place == name]
    return block.status, [note.code for note in block.notes]
