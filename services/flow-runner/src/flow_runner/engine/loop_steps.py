"""Whether a loop that begins can reach its last item.

If the step limit ended it in the middle, only its first items would have their messages.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from filas.flows.nodes.end import EndData
from flow_runner.engine.compiled_flow import CompiledFlow, CompiledNode

_MANY: Final = 10**9
"""Larger numbers are not computed."""


def problem(flow: CompiledFlow, loop_id: str, items: int, left: int) -> str | None:
    """Why a loop of so many items cannot end within `left` more steps, or None if it may. A body in which the execution
    may end is not counted."""
    least = _least_of_item(flow.nodes, loop_id)
    if least is None or items * least <= left:
        return None
    need = f"items: has {items:,} entries, which need at least {items * least:,} steps, and only {left:,} are left of"
    return f"{need} settings.maxSteps, so that no item has begun: raise it, or select fewer items"


def _least_of_item(nodes: Mapping[str, CompiledNode], loop_id: str) -> int | None:
    """The fewest steps of one item: the loop's own visit and the shortest path of its body. None if the execution may
    end in the body."""
    body = nodes[loop_id].targets.get("loop", ())
    known: dict[str, int] = {loop_id: 0}
    pending = [(target, False) for target in body]
    while pending:
        node_id, is_left = pending.pop()
        node = nodes[node_id]
        if isinstance(node.data, EndData):
            return None
        if is_left:
            known[node_id] = _least(node, known)
        elif node_id not in known:
            known[node_id] = 0  # until its targets are known, and on a cycle
            pending.append((node_id, True))
            pending += [(target, False) for target in _all_targets(node)]
    return min(1 + sum(known[target] for target in body), _MANY)


def _all_targets(node: CompiledNode) -> Iterable[str]:
    return (target for targets in node.targets.values() for target in targets)


def _least(node: CompiledNode, known: Mapping[str, int]) -> int:
    handles = ("done",) if node.data.repeats() is not None else node.data.handles()
    return min(1 + min(sum(known[target] for target in node.targets.get(handle, ())) for handle in handles), _MANY)
