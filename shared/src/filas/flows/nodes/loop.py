"""`loop`: runs a part of the flow for each item of a list."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from filas.flows import value_limits
from filas.flows.nodes.node_data import NodeData
from filas.flows.problems import Add

OWN_NAMES = ("index", "number", "first", "last", "length", "parent")
"""The names under `loop` besides the item: its index from 0 and its number from 1, whether it is the first or the last,
the number of items, and the enclosing loop."""


class LoopData(NodeData, frozen=True, kw_only=True):
    """`items` is a template that yields a list, which is fixed when the loop starts. The nodes behind the handle
    `loop` run for each item, which is `loop.<as>` in templates. A path ends where it has no edge, or at an edge back
    to the loop. Then the flow continues at `done`. A list of more than `max_iterations` items is an error."""

    items: str
    as_: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_-]*(?!\\n)$", max_length=value_limits.MAX_ID_CHARS)] = (
        msgspec.field(default="item", name="as")
    )
    max_iterations: Annotated[int, Meta(ge=1, le=10_000)] = 1000

    def handles(self) -> tuple[str, ...]:
        return ("loop", "done")

    def templates(self) -> Iterable[tuple[str, object]]:
        yield "items", self.items

    def check(self, add: Add) -> None:
        if "{{" not in self.items:
            add("items", "names no list: write {{ webhook.body.items }}")
        if self.as_ in OWN_NAMES:
            add("as", f"'{self.as_}' is a reserved name under loop")

    def repeats(self) -> str | None:
        return self.as_
