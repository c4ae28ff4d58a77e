"""Where a replay from any node starts: the node, and the state that the flow-runner continues from.

The format of the state is that of `flow_runner.engine.execution_state`, version 1 and 2. An execution that has not
succeeded has its last state. That of another one is made from its steps: the outputs that the nodes had, the variables
that they have set, and the last message of the contact.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from filas.crypto.redaction import HIDDEN
from filas.errors import Conflict
from filas.flows.definition import loop_bodies
from filas.flows.definition.flow_definition import Draft, read_draft
from filas.flows.problems import Report
from filas.models.executions import ReplaySource, ReplayStart, StepRecord
from filas.repository.postgres.json_columns import from_json, to_json

_CUT: Final = re.compile(r"… \(\d+ (characters|items) more\)$")
"""The end of a text, or of a list, that is shown without the rest."""

_ASSIGNING: Final = frozenset({"api", "subflow"})
"""The types of nodes whose steps do not show the variables that they have set."""


def start_at(node_id: str, definition: Any, source: ReplaySource, steps: Sequence[StepRecord]) -> ReplayStart:
    """The position of a replay that starts at `node_id` of a flow's `definition`.

    Raises Conflict if the flow has no such node, if it is inside a loop, or if the outputs and variables of the nodes
    before it are not stored as they were.
    """
    draft = read_draft(definition, Report())
    if node_id not in draft.ids:
        raise Conflict(f"the version has no node {node_id}")
    if node_id in loop_bodies.item_names(draft):
        raise Conflict(f"the node {node_id} is inside a loop: replay from the loop, or from the start")
    saved = None if source.state is None else from_json(source.state)
    if isinstance(saved, dict) and not saved.get("sealed") and not saved.get("frames"):
        return ReplayStart(node_id=node_id, state=to_json({**saved, "stack": [node_id], "pending": None, "frames": []}))
    before = _before(node_id, steps)
    if not before:
        return ReplayStart(node_id=node_id)
    return ReplayStart(node_id=node_id, state=to_json(_state(node_id, draft, before, source.replies)))


def _before(node_id: str, steps: Sequence[StepRecord]) -> list[StepRecord]:
    """The steps before the first visit of the node; all if it was not visited."""
    first = next((index for index, step in enumerate(steps) if step.node_id == node_id), len(steps))
    return list(steps[:first])


def _state(
    node_id: str, draft: Draft, before: Sequence[StepRecord], replies: Sequence[tuple[datetime, str]]
) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    assigned = {each.node.id: [name for _, name in each.node.data.assigns()] for each in draft.nodes}
    for step in before:
        if step.node_id not in assigned:
            continue  # a step of a subflow
        if not _is_whole(step.output):
            raise Conflict(f"the output of the node {step.node_id} is not stored as it was: replay from the start")
        error = None if step.error is None else {"kind": step.error.kind, "message": step.error.message}
        outputs[step.node_id] = {"output": step.output, "error": error}
        names = assigned[step.node_id]
        if not names or step.status != "succeeded":
            continue
        if step.type in _ASSIGNING:
            raise Conflict(f"the variables that the node {step.node_id} has set are not stored: replay from the start")
        if isinstance(step.output, dict):
            if step.type == "set-variable":
                variables |= step.output
            elif "value" in step.output:
                variables[names[0]] = step.output["value"]
    until = before[-1].ended_at
    said = next((trigger for at, trigger in replies if until is None or at <= until), None)
    message = None if said is None else from_json(said).get("message")
    return {
        "version": 1,
        "seq": 0,
        "stack": [node_id],
        "pending": None,
        "vars": variables,
        "outputs": outputs,
        "visits": {},
        "message": message,
    }


def _is_whole(value: Any, depth: int = 0) -> bool:
    """Whether a step shows the value as it was: nothing in it was hidden or cut."""
    if depth > 100:
        return False
    if isinstance(value, str):
        return HIDDEN not in value and _CUT.search(value) is None
    if isinstance(value, list):
        return all(_is_whole(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return value.get("truncated") is not True and all(_is_whole(item, depth + 1) for item in value.values())
    return True
