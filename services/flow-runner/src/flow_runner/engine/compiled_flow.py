"""A version of a flow, prepared for execution: what is the same for all its executions is computed once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from filas.flows.definition.flow_definition import FlowDefinition, Node, Variable
from filas.flows.expressions import cel
from filas.flows.nodes.node_data import Awaited, NodeData
from filas.flows.templates import template


@dataclass(frozen=True, slots=True)
class CompiledNode:
    """A node with its outgoing edges.

    `targets` maps a handle to the nodes that its edges lead to, in the order of the edges. `output_is_read`: a template
    may read the node's output; an output that no template reads is not saved. `call_limit_s`: the longest time, in
    seconds, that a visit spends on an outbound call (0: a visit has no effect outside and may be repeated after a
    crash). `call_at_most_once`: a checkpoint right before the call prevents a second one. `awaits`: what a visit waits
    for after its message is recorded.
    """

    id: str
    type: str
    data: NodeData
    targets: Mapping[str, tuple[str, ...]]
    output_is_read: bool
    call_limit_s: float
    call_at_most_once: bool
    awaits_callback: bool
    awaits: Awaited


class CompiledFlow:
    """A version of a flow. It never changes, and its executions share it.

    `begins_at` is the id of the trigger node, empty if there is none. `secret_names` are the secrets that it names.
    `subflows` are the flows that this flow may run, each with the version that the node names (None: the published
    one).
    """

    def __init__(self, flow_id: str, version: int, definition: FlowDefinition) -> None:
        self.flow_id = flow_id
        self.version = version
        self.settings = definition.settings
        self.begins_at = next((node.id for node in definition.nodes if node.data.starts()), "")
        self.variables: dict[str, Variable] = {variable.name: variable for variable in definition.variables}
        self.subflows: list[tuple[str, int | None]] = [
            called for node in definition.nodes if (called := node.data.calls()) is not None
        ]
        self.secret_variables = [variable for variable in definition.variables if variable.secret]
        roots = {reference[:2] for node in definition.nodes for reference in _references(node)}
        self.uses_secrets = any(root[0] == "secrets" for root in roots)
        self.secret_names = frozenset(str(root[1]) for root in roots if root[0] == "secrets" and len(root) > 1)
        all_read = ("nodes",) in roots or ("nodes", None) in roots
        read = {root[1] for root in roots if root[0] == "nodes" and len(root) > 1}
        targets = _targets(definition)
        self.nodes: dict[str, CompiledNode] = {
            node.id: CompiledNode(
                id=node.id,
                type=node.type,
                data=node.data,
                targets={handle: tuple(ids) for handle, ids in targets[node.id].items()},
                output_is_read=all_read or node.id in read,
                call_limit_s=node.data.outbound_limit_s(),
                call_at_most_once=node.data.call_at_most_once(),
                awaits_callback=node.data.awaits_call(),
                awaits=node.data.awaited("error" in targets[node.id]),
            )
            for node in definition.nodes
        }
        self.callback_nodes = [node.id for node in self.nodes.values() if node.awaits_callback]
        self.successors: dict[str, list[str]] = {node_id: [] for node_id in self.nodes}
        for edge in definition.edges:
            self.successors[edge.source].append(edge.target)

    def item_name(self, node_id: str) -> str:
        """The name that the items of a loop have under `loop`."""
        return self.nodes[node_id].data.repeats() or "item"


def _targets(definition: FlowDefinition) -> dict[str, dict[str, list[str]]]:
    """For each node, the targets of its edges by handle. An edge without a handle leaves by the node's first one."""
    nodes = {node.id: node for node in definition.nodes}
    targets: dict[str, dict[str, list[str]]] = {node_id: {} for node_id in nodes}
    for edge in definition.edges:
        handle = edge.source_handle or nodes[edge.source].data.handles()[0]
        targets[edge.source].setdefault(handle, []).append(edge.target)
    return targets


def _references(node: Node) -> Iterator[template.Reference]:
    for _, value in node.data.templates():
        for _, text in template.texts(value):
            yield from template.parse(text).references
    for _, text in node.data.expressions():
        yield from cel.references(text)
