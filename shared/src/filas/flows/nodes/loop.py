"""`loop`: runs a part of the flow for each item of a list."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from filas.flows import value_limits
from filas.flows.nodes.node_data import NodeData
from filas.flows.problems import Add

OWN_NAMES = ("index", "number", "first", "last", "length", "parent")
"""What is in scope under `loop` besides the item: its index from 0 and its number from 1, whether it is the first
or the last, how many there are, and the loop around this one."""


class LoopData(NodeData, frozen=True, kw_only=True):
    """`items` is a template that yields a list, which is fixed when the loop begins. What `loop` leads to is run for
    each item, `loop.<as>` in its templates; a path of it ends where it has no edge, or one back to the loop. Then the
    flow goes on at `done`. A list of more than `max_iterations` items is an error."""

    items: str
    as_: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_-]*$", max_length=value_limits.MAX_ID_CHARS)] = (
        msgspec.field(default="item", name="as")
    )
    max_iterations: Annotated[int, Meta(ge=1, le=10_000)] = 1000

    def ways_out(self) -> tuple[str, ...]:
        return ("loop", "done")

    def templates(self) -> Iterable[tuple[str, object]]:
        yield "items", self.items

    def check(self, add: Add) -> None:
        if "{{" not in self.items:
            add("items", "names no list; write it as {{ webhook.body.items }}")
        if self.as_ in OWN_NAMES:
            add("as", f"'{self.as_}' has a meaning of its own in a loop")

    def repeats(self) -> str | None:
        return self.as_
