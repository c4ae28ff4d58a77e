"""The path that an execution has taken through the graph of its flow."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ingest.dashboard.graph.graph_types import FlowGraph

MAX_STEPS: Final = 5000
"""The edges between later steps are not counted. Their nodes are."""


class TakenStep(Protocol):
    """What the path needs to know about a step."""

    @property
    def seq(self) -> int: ...

    @property
    def node_id(self) -> str: ...

    @property
    def handle(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class PathTaken:
    """`visits` are the places of each visited node's steps in the list of steps. `passes` counts how often each edge of
    the graph was taken, in the order of the edges."""

    visits: dict[str, list[int]]
    passes: list[int]


def path_taken(graph: FlowGraph, steps: Sequence[TakenStep], default_handles: dict[str, str]) -> PathTaken:
    """Finds the edge by which each step was reached: that of the last step before it that left by such an edge and has
    not reached another step by it.

    `default_handles` is the handle of each node by which an edge without a handle leaves. Steps must be in the order of
    `seq`. The steps of a subflow belong to no node of this graph.
    """
    leaving: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    entering: defaultdict[str, list[int]] = defaultdict(list)
    for number, edge in enumerate(graph.edges):
        handle = edge.handle or default_handles.get(edge.source, "out")
        leaving[edge.source, handle].append(number)
        entering[edge.target].append(number)
    visits: dict[str, list[int]] = {node.id: [] for node in graph.nodes}
    passes = [0] * len(graph.edges)
    left_at: list[list[int]] = [[] for _ in graph.edges]
    for place, step in enumerate(steps):
        if step.node_id not in visits:
            continue
        visits[step.node_id].append(place)
        if place >= MAX_STEPS:
            continue
        open_ = [number for number in entering[step.node_id] if left_at[number]]
        if open_:
            taken = max(open_, key=lambda number: left_at[number][-1])
            left_at[taken].pop()
            passes[taken] += 1
        if step.handle is not None:
            for number in leaving.get((step.node_id, step.handle), ()):
                left_at[number].append(step.seq)
    return PathTaken({node_id: places for node_id, places in visits.items() if places}, passes)
