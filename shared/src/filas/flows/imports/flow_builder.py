"""Builds the definition of a flow from the parts that an import finds: ids, variables, nodes, edges, positions."""

from collections.abc import Iterable
from typing import Any, Final

from filas.flows import value_limits
from filas.flows.imports.foreign_fields import number, one_line
from filas.flows.imports.node_places import spread
from filas.flows.imports.template_text import slug

TRIGGER: Final = "start"


class ImportRefused(ValueError):
    """The document cannot be imported. The message states why, in one sentence."""


Edge = tuple[str, str, str]
"""A node, its handle, and the node to which the edge leads."""


class FlowBuilder:
    """A flow that grows. Node ids and names of variables are made of the names in the other product, and are unique.

    Raises ImportRefused if there are too many nodes, edges or variables.
    """

    def __init__(self, name: object) -> None:
        self.name = one_line(name, 200)
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: dict[Edge, None] = {}
        self.settings: dict[str, Any] = {}
        self._ids: set[str] = set()
        self._variables: dict[str, dict[str, Any]] = {}
        self._next: dict[str, int] = {}

    def new_id(self, *words: str) -> str:
        """A new id of a node that consists of the words."""
        wanted = "-".join(part for part in map(slug, words) if part) or "node"
        found = self._unused(wanted, self._ids, "-")
        self._ids.add(found)
        return found

    def declare(self, name: str, default: Any = None) -> str:
        """Declares a new variable, and returns its name, which consists of the words of `name`."""
        wanted = slug(name, "_", 60) or "variable"
        if not wanted[0].isalpha():
            wanted = f"v_{wanted}"
        found = self._unused(wanted, self._variables, "_")
        if len(self._variables) >= value_limits.MAX_VARIABLES:
            raise ImportRefused(f"it has more than {value_limits.MAX_VARIABLES} variables, the most that a flow has")
        self._variables[found] = {"name": found} if default is None else {"name": found, "default": default}
        return found

    def add(self, node_id: str, node_type: str, data: dict[str, Any], at: tuple[float, float]) -> None:
        """Adds a node."""
        if len(self.nodes) >= value_limits.MAX_NODES:
            raise ImportRefused(f"it has more than {value_limits.MAX_NODES} nodes, the most that a flow has")
        position = {"x": round(at[0]), "y": round(at[1])}
        self.nodes[node_id] = {"id": node_id, "type": node_type, "position": position, "data": data}

    def connect(self, source: str, handle: str, target: str) -> None:
        """Adds an edge, once."""
        if len(self.edges) >= value_limits.MAX_EDGES:
            raise ImportRefused(f"it has more than {value_limits.MAX_EDGES} edges, the most that a flow has")
        self.edges[source, handle, target] = None

    def replace(self, node_id: str, label: str) -> None:
        """Makes the node a placeholder: it does nothing, and its first edges lead on."""
        node = self.nodes[node_id]
        node["type"], node["data"] = "delay", placeholder(label)
        targets = dict.fromkeys(target for source, _, target in self.edges if source == node_id)
        self.edges = {edge: None for edge in self.edges if edge[0] != node_id}
        for target in list(targets)[:1]:
            self.edges[node_id, "out", target] = None

    def remove(self, node_ids: Iterable[str]) -> None:
        """Removes nodes with their edges."""
        gone = set(node_ids)
        self.nodes = {name: node for name, node in self.nodes.items() if name not in gone}
        self.edges = {edge: None for edge in self.edges if edge[0] not in gone and edge[2] not in gone}

    def definition(self) -> dict[str, Any]:
        """The definition, with the variables that are used and positions at which no nodes overlap."""
        spread(list(self.nodes.values()))
        edges = [
            {"id": f"e{index}", "source": source, "sourceHandle": handle, "target": target}
            for index, (source, handle, target) in enumerate(self.edges, 1)
        ]
        return {
            "schemaVersion": 1,
            "name": self.name,
            **({"settings": self.settings} if self.settings else {}),
            "variables": list(self._variables.values()),
            "nodes": list(self.nodes.values()),
            "edges": edges,
        }

    def allow_wait(self, ms: int) -> None:
        """Makes the time limit of an execution longer than a wait."""
        needed = ms + 86_400_000
        if needed > self.settings.get("timeoutMs", 604_800_000):
            self.settings["timeoutMs"] = needed

    def _unused(self, wanted: str, used: Iterable[str], separator: str) -> str:
        if wanted not in used:
            return wanted
        count = self._next.get(wanted, 2)
        while f"{wanted}{separator}{count}" in used:
            count += 1
        self._next[wanted] = count + 1
        return f"{wanted}{separator}{count}"


def placeholder(label: str) -> dict[str, Any]:
    """The data of a node that does nothing, in the place of what was left out."""
    return {"label": one_line(f"Left out: {label}", 100), "ms": 0}


def place(x: object, y: object) -> tuple[float, float]:
    """A position. What is no number, or far outside, is 0."""
    found = [value if (value := number(each)) is not None and abs(value) < 1e5 else 0.0 for each in (x, y)]
    return found[0], found[1]
