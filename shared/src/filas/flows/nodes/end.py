"""`end`: ends the execution."""

from collections.abc import Iterable
from typing import Any, Literal

from filas.flows.nodes.node_data import NodeData


class EndData(NodeData, frozen=True, kw_only=True):
    """Ends the whole execution, including paths of other edges that were still to run."""

    status: Literal["succeeded", "failed"] = "succeeded"
    output: Any = None

    def handles(self) -> tuple[str, ...]:
        return ()

    def templates(self) -> Iterable[tuple[str, object]]:
        yield "output", self.output
