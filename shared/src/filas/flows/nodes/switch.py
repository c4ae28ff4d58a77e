"""`switch`: selects the first of several cases that matches."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta

from filas.flows import value_limits
from filas.flows.nodes.condition import Expression, Rules, check_test, templates_of
from filas.flows.nodes.node_data import NodeData, Part
from filas.flows.problems import Add

DEFAULT = "default"
"""The handle when no case matches."""


class Case(Part, frozen=True, kw_only=True):
    """A handle and its test."""

    id: Annotated[
        str, Meta(min_length=1, max_length=value_limits.MAX_ID_CHARS, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")
    ]
    label: str | None = None
    logic: Literal["and", "or"] = "and"
    rules: Rules | None = None
    expression: Expression | None = None


class SwitchData(NodeData, frozen=True, kw_only=True):
    """The cases are tested in order. The id of the first that matches is the handle, or `default` if none matches."""

    cases: Annotated[list[Case], Meta(max_length=100)]

    def handles(self) -> tuple[str, ...]:
        return (*(case.id for case in self.cases), DEFAULT)

    def templates(self) -> Iterable[tuple[str, object]]:
        for index, case in enumerate(self.cases):
            yield from templates_of(case, f"cases[{index}].")

    def expressions(self) -> Iterable[tuple[str, str]]:
        for index, case in enumerate(self.cases):
            if case.expression is not None:
                yield f"cases[{index}].expression", case.expression

    def check(self, add: Add) -> None:
        if not self.cases:
            add("cases", "is empty")
        count = Counter(case.id for case in self.cases)
        for index, case in enumerate(self.cases):
            if case.id == DEFAULT:
                add(f"cases[{index}].id", "`default` is the handle when no case matches")
            elif count[case.id] > 1:
                add(f"cases[{index}].id", f"{count[case.id]} cases have the id '{case.id[:64]}'")
            check_test(case, add, f"cases[{index}].")
