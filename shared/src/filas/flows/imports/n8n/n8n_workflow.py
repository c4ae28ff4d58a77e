"""Reads a workflow of n8n into nodes and connections."""

from dataclasses import dataclass
from typing import Any, Final

from filas.flows import value_limits
from filas.flows.imports.flow_builder import ImportRefused, place
from filas.flows.imports.foreign_fields import mapping, number, objects, text

MAX_NODES: Final = value_limits.MAX_NODES
MAX_CONNECTIONS: Final = value_limits.MAX_EDGES
_SCALE: Final = 1.2
"""n8n's nodes are narrower than ours."""


@dataclass(eq=False, slots=True)
class N8nNode:
    """A node. `type` is without the name of its package: `httpRequest`."""

    name: str
    type: str
    version: float
    raw: dict[str, Any]
    at: tuple[float, float]

    @property
    def parameters(self) -> dict[str, Any]:
        return mapping(self.raw.get("parameters"))

    @property
    def is_disabled(self) -> bool:
        return self.raw.get("disabled") is True

    def part(self, *names: str) -> dict[str, Any]:
        """The object at a path of the parameters."""
        found = self.parameters
        for name in names:
            found = mapping(found.get(name))
        return found


@dataclass(slots=True)
class N8nWorkflow:
    """A workflow. `outputs` has, for each node, the names of the nodes at each of its outputs."""

    name: str
    nodes: dict[str, N8nNode]
    outputs: dict[str, list[list[str]]]
    sources: dict[str, list[tuple[str, int]]]


def read_workflow(raw: object) -> N8nWorkflow:
    """Reads a workflow. Raises ImportRefused if it is none."""
    document = mapping(raw)
    if isinstance(document.get("data"), dict) and "nodes" not in document:
        document = document["data"]
    if not isinstance(document.get("nodes"), list) or not isinstance(document.get("connections"), dict):
        raise ImportRefused("it is not a workflow of n8n: it has no list `nodes` with an object `connections`")
    found = objects(document["nodes"])
    if len(found) > MAX_NODES:
        raise ImportRefused(f"it has more than {MAX_NODES} nodes, the most that one flow has")
    nodes: dict[str, N8nNode] = {}
    for one in found:
        name = text(one.get("name")) or text(one.get("id")) or f"Node {len(nodes) + 1}"
        nodes.setdefault(name, _node(name, one))
    if not nodes:
        raise ImportRefused("the workflow has no nodes")
    workflow = N8nWorkflow(text(document.get("name")) or "n8n workflow", nodes, {}, {name: [] for name in nodes})
    _connect(workflow, document["connections"])
    return workflow


def _node(name: str, raw: dict[str, Any]) -> N8nNode:
    kind = text(raw.get("type"))
    at = raw.get("position")
    x, y = (at[0], at[1]) if isinstance(at, list) and len(at) == 2 else (0, 0)
    placed = place(x, y)
    version = number(raw.get("typeVersion"))
    short = kind.rpartition(".")[2] if kind else ""
    return N8nNode(name, short, float(version or 1), raw, (placed[0] * _SCALE, placed[1] * _SCALE))


def _connect(workflow: N8nWorkflow, connections: dict[str, Any]) -> None:
    count = 0
    for source, kinds in connections.items():
        outputs = mapping(kinds).get("main")
        if source not in workflow.nodes or not isinstance(outputs, list):
            continue
        leading: list[list[str]] = []
        for index, targets in enumerate(outputs[:200]):
            names = [text(one.get("node")) for one in objects(targets)]
            known = [name for name in dict.fromkeys(names) if name in workflow.nodes]
            count += len(known)
            if count > MAX_CONNECTIONS:
                raise ImportRefused(f"it has more than {MAX_CONNECTIONS} connections, the most that one flow has")
            leading.append(known)
            for name in known:
                workflow.sources[name].append((source, index))
        workflow.outputs[source] = leading
