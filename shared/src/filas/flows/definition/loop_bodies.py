"""The nodes of a flow that are inside its loops."""

from filas.flows.definition import flow_graph
from filas.flows.definition.flow_definition import Draft
from filas.flows.nodes.loop import OWN_NAMES


def targets(draft: Draft) -> dict[tuple[str, str | None], list[str]]:
    """By node and handle: the existing nodes to which its edges lead."""
    ids = set(draft.ids)
    found: dict[tuple[str, str | None], list[str]] = {}
    for edge in draft.edges:
        if edge is not None and edge.target in ids:
            found.setdefault((edge.source, edge.source_handle), []).append(edge.target)
    return found


def item_names(draft: Draft) -> dict[str, set[str]]:
    """For each node inside a loop, the names under `loop`: those of every enclosing loop."""
    successors: dict[str, list[str]] = {node_id: [] for node_id in draft.ids}
    for edge in draft.edges:
        if edge is not None and edge.source in successors and edge.target in successors:
            successors[edge.source].append(edge.target)
    names: dict[str, set[str]] = {}
    first = targets(draft)
    for each in draft.nodes:
        item = each.node.data.repeats()
        if item is None:
            continue
        loop_id = each.node.id
        inside = flow_graph.reachable(successors, first.get((loop_id, "loop"), ()), end=loop_id)
        for name in inside - {loop_id}:
            names.setdefault(name, set(OWN_NAMES)).add(item)
    return names
