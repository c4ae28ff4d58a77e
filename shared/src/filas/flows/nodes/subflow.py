"""`subflow`: runs another flow and goes on with what it comes back with."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from filas.flows import value_limits
from filas.flows.nodes.node_data import FallibleData
from filas.flows.problems import Add
from filas.flows.templates import template


class SubflowData(FallibleData, frozen=True, kw_only=True):
    """`flow_id` in `version`, by default the one that is published when the execution starts.

    `input` (JSON with templates) is the subflow's `webhook.body`, and is written to those of its variables that
    have such a name. `output` gives variables of this flow the values of templates that see what is in scope of the
    subflow at its end, and as `output` what its `end` gives.
    """

    flow_id: Annotated[str, Meta(min_length=1, max_length=value_limits.MAX_ID_CHARS, pattern="^[^\\x00-\\x1f\\x7f]*$")]
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
        # The names in these are the other flow's.
        for name, value in self.output.items():
            for path, problem in template.syntax_problems(value):
                add(f"output.{name}{path}", problem)

    def waits(self) -> bool:
        # Whether the other flow does is known only when it runs; one that never waits is ended by its bounds.
        return True

    def calls(self) -> tuple[str, int | None] | None:
        return self.flow_id, self.version
