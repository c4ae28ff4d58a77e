"""A flow made ready to be walked: everything that is the same for all its executions, worked out once."""

from collections.abc import Iterator

from filas.flows.definition.flow_definition import FlowDefinition, Node, Variable
from filas.flows.expressions import cel
from filas.flows.templates import template


class Plan:
    """A version of a flow. Never changes, and is shared by its executions."""

    def __init__(self, flow_id: str, version: int, definition: FlowDefinition) -> None:
        self.flow_id = flow_id
        self.version = version
        self.settings = definition.settings
        self.nodes: dict[str, Node] = {node.id: node for node in definition.nodes}
        self.begins_at = next((node.id for node in definition.nodes if node.data.starts()), "")
        self.variables: dict[str, Variable] = {variable.name: variable for variable in definition.variables}
        self.successors: dict[str, list[str]] = {node_id: [] for node_id in self.nodes}
        # The flows that it may call, with the version where a node names one.
        self.subflows: list[tuple[str, int | None]] = [
            called for node in definition.nodes if (called := node.data.calls()) is not None
        ]
        self.awaits_calls = any(node.data.awaits_call() for node in definition.nodes)
        self._targets: dict[tuple[str, str], list[str]] = {}
        for edge in definition.edges:
            handle = edge.source_handle or self.nodes[edge.source].data.ways_out()[0]
            self._targets.setdefault((edge.source, handle), []).append(edge.target)
            self.successors[edge.source].append(edge.target)
        roots = {reference[:2] for node in definition.nodes for reference in _references(node)}
        self.uses_secrets = any(root[0] == "secrets" for root in roots)
        self._all_outputs = ("nodes",) in roots or ("nodes", None) in roots
        self._read = {root[1] for root in roots if root[0] == "nodes" and len(root) > 1}

    def targets(self, node_id: str, handle: str) -> list[str]:
        """The nodes that the edges out of `handle` lead to, in the order of the edges."""
        return self._targets.get((node_id, handle), [])

    def item_name(self, node_id: str) -> str:
        """The name that the items of a loop have under `loop`."""
        return self.nodes[node_id].data.repeats() or "item"

    def keeps_output(self, node_id: str) -> bool:
        """Whether some template may look at the node's output: what nobody reads is not saved."""
        return self._all_outputs or node_id in self._read


def _references(node: Node) -> Iterator[template.Reference]:
    for _, value in node.data.templates():
        for _, text in template.texts(value):
            yield from template.parse(text).references
    for _, text in node.data.expressions():
        yield from cel.references(text)
