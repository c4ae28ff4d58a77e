"""The errors that the publishing checks report."""

from collections.abc import Callable

import msgspec


class FlowProblem(msgspec.Struct, frozen=True, rename="camel"):
    """One error of a definition: its node (None: the flow as a whole), its field within the node's `data` or
    within the flow (`edges[2].target`), and a message of one sentence."""

    node_id: str | None
    field: str
    message: str


Add = Callable[[str, str], None]
"""Reports a problem of one node: `add(field, message)`."""


class Report:
    """Collects the problems of a definition, in the order in which they are found, each once.

    `unknown` names what this version does not know: node types, fields, values. A newer version may know it.
    """

    def __init__(self) -> None:
        self._problems: dict[FlowProblem, None] = {}
        self.unknown: list[str] = []

    def add(self, node_id: str | None, field: str, message: str) -> None:
        self._problems[FlowProblem(node_id, field, message)] = None

    def of_node(self, node_id: str | None, prefix: str = "") -> Add:
        """An `add` for that node. Each field begins with `prefix`."""

        def add(field: str, message: str) -> None:
            separator = "." if prefix and field and not field.startswith("[") else ""
            self.add(node_id, f"{prefix}{separator}{field}", message)

        return add

    @property
    def problems(self) -> list[FlowProblem]:
        return list(self._problems)
