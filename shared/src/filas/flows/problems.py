"""The findings of the publishing checks: errors and warnings."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

Severity = Literal["error", "warning"]
"""An error prevents publication. A warning is a finding that is only doubtful."""

Code = Literal[
    "invalid",
    "duplicate-id",
    "unknown-name",
    "invalid-template",
    "single-braces",
    "unknown-node",
    "unknown-handle",
    "edge-to-trigger",
    "no-trigger",
    "unreachable",
    "endless-cycle",
    "error-edge-missing",
    "used-before-run",
    "may-not-have-run",
    "longer-than-timeout",
    "delays-longer-than-timeout",
    "cron-meaning",
    "loop-exceeds-steps",
    "beyond-channel-limit",
    "unknown-flow",
    "unknown-channel",
    "unknown-secret",
]
"""The name of a check. A name never changes. `invalid`: a field of the wrong type or value."""


class FlowProblem(msgspec.Struct, frozen=True, rename="camel"):
    """One finding in a definition: its node (None: the flow as a whole), its field within the node's `data` or within
    the flow (`edges[2].target`), and a message of one sentence."""

    node_id: str | None
    field: str
    message: str
    code: Code = "invalid"
    severity: Severity = "error"


Add = Callable[[str, str], None]
"""Reports a problem of one node: `add(field, message)`."""


class AddCoded(Protocol):
    """Like `Add`, with the code and the severity of the finding."""

    def __call__(self, field: str, message: str, code: Code = ..., severity: Severity = ..., /) -> None: ...


class Report:
    """Collects the problems of a definition, in the order in which they are found, each once.

    `unknown` names what this version does not know: node types, fields, values. A newer version may know it.
    """

    def __init__(self) -> None:
        self._problems: dict[FlowProblem, None] = {}
        self.unknown: list[str] = []

    def add(
        self, node_id: str | None, field: str, message: str, code: Code = "invalid", severity: Severity = "error"
    ) -> None:
        self._problems[FlowProblem(node_id, field, message, code, severity)] = None

    def of_node(self, node_id: str | None, prefix: str = "") -> Add:
        """An `add` for that node. Each field begins with `prefix`."""

        def add(field: str, message: str) -> None:
            separator = "." if prefix and field and not field.startswith("[") else ""
            self.add(node_id, f"{prefix}{separator}{field}", message)

        return add

    @property
    def problems(self) -> list[FlowProblem]:
        return list(self._problems)

    @property
    def has_errors(self) -> bool:
        return any(problem.severity == "error" for problem in self._problems)
