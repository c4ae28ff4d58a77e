"""`subflow`: runs another flow and continues with its output."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from filas.flows import value_limits
from filas.flows.nodes.node_data import FallibleData, Used
from filas.flows.problems import Add
from filas.flows.templates import template


class SubflowData(FallibleData, frozen=True, kw_only=True):
    """Runs `flow_id` in `version`, by default the version that is published when the execution starts.

    `input` (JSON with templates) is the subflow's `webhook.body`, and is written to its variables of the same names.
    `output` writes templates to variables of this flow. These templates see the scope of the subflow at its end, and
    the output of its `end` as `output`.
    """

    flow_id: Annotated[
        str, Meta(min_length=1, max_length=value_limits.MAX_ID_CHARS, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")
    ]
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    input: Annotated[dict[str, Any], Meta(max_length=value_limits.MAX_VARIABLES)] = msgspec.field(default_factory=dict)
    output: Annotated[dict[str, Any], Meta(max_length=value_limits.MAX_VARIABLES)] = msgspec.field(default_factory=dict)

    def templates(self) -> Iterable[tuple[str, object]]:
        for name, value in self.input.items():
            yield f"input.{name}", value

    def assigns(self) -> Iterable[tuple[str, str]]:
        for name in self.output:
            yield f"output.{name}", name

    def check(self, add: Add) -> None:
        # Their names belong to the other flow, so only the syntax is checked.
        for name, value in self.output.items():
            for path, problem in template.syntax_problems(value):
                add(f"output.{name}{path}", problem)

    def uses(self) -> Iterable[tuple[str, Used, str]]:
        yield "flowId", "flow", self.flow_id

    def waits(self) -> bool:
        # Whether the other flow waits is known only in a run. Its bounds end one that never waits.
        return True

    def calls(self) -> tuple[str, int | None] | None:
        return self.flow_id, self.version
