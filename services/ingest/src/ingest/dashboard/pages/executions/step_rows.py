"""The steps of an execution: which one is shown, and which rows of the list are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from filas.models.executions import FAILED_EXECUTION_STATUSES, ExecutionWithSteps, StepRecord

ROWS: Final = 25


@dataclass(frozen=True, slots=True)
class StepRows:
    """One page of the steps. `before` and `after` are the numbers of steps on the pages beside it, or None."""

    rows: Sequence[StepRecord]
    total: int
    before: int | None
    after: int | None


def selected_step(execution: ExecutionWithSteps, wanted: str | None, node: str | None) -> StepRecord | None:
    """The step with the number `wanted`. Without one: the last step of `node`, or the step that explains the state: the
    last that failed, that waits, or the last of all."""
    steps = execution.steps
    if wanted is not None:
        return next((step for step in steps if str(step.seq) == wanted), None)
    if node is not None:
        return next((step for step in reversed(steps) if step.node_id == node), None)
    if execution.status in FAILED_EXECUTION_STATUSES:
        failed = next((step for step in reversed(steps) if step.status == "failed"), None)
        if failed is not None:
            return failed
    return steps[-1] if steps else None


def rows_around(steps: Sequence[StepRecord], selected: StepRecord | None) -> StepRows:
    """The page of the steps that contains the selected one."""
    place = 0 if selected is None else next((n for n, step in enumerate(steps) if step.seq == selected.seq), 0)
    first = place // ROWS * ROWS
    before = steps[first - 1].seq if first else None
    after = steps[first + ROWS].seq if first + ROWS < len(steps) else None
    return StepRows(steps[first : first + ROWS], len(steps), before, after)


def node_of(definition: dict[str, Any] | None, node_id: str | None) -> dict[str, Any] | None:
    """The node of a definition with this id."""
    nodes = () if definition is None else definition.get("nodes") or ()
    return next((node for node in nodes if isinstance(node, dict) and node.get("id") == node_id), None)
