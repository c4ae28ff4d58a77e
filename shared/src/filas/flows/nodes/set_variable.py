"""`set-variable`: assignments, in order."""

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta

from filas.flows.nodes.node_data import NodeData, Part
from filas.flows.problems import Add


class Assignment(Part, frozen=True, kw_only=True):
    """`value` is JSON with templates; a template that is one whole `{{ … }}` keeps its value's type."""

    variable: str
    value: Any


class SetVariableData(NodeData, frozen=True, kw_only=True):
    """A later assignment sees what an earlier one wrote."""

    assignments: Annotated[list[Assignment], Meta(max_length=100)]

    def templates(self) -> Iterable[tuple[str, object]]:
        for index, entry in enumerate(self.assignments):
            yield f"assignments[{index}].value", entry.value

    def assigns(self) -> Iterable[tuple[str, str]]:
        for index, entry in enumerate(self.assignments):
            yield f"assignments[{index}].variable", entry.variable

    def check(self, add: Add) -> None:
        if not self.assignments:
            add("assignments", "is empty")
