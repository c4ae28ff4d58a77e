"""The engine's structure: one object changes the execution's state, and outcomes are immutable."""

import ast
from pathlib import Path
from typing import get_args

import pytest

import flow_runner
from flow_runner.engine import node_protocol
from flow_runner.engine.execution_state import CallFrame, LoopFrame, Pending, State

ROOT = Path(flow_runner.__file__).parent
CHANGES_THE_STATE = {"flow_cursor.py"}
MUTATORS = {
    "append",
    "extend",
    "pop",
    "insert",
    "remove",
    "clear",
    "update",
    "setdefault",
    "popitem",
    "sort",
    "reverse",
}


def _is_state(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "state") or (
        isinstance(node, ast.Attribute) and node.attr in ("state", "_state")
    )


def _within_state(node: ast.expr) -> bool:
    """Whether the expression is a field of a state, or an item of such a field."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
        if _is_state(node):
            return True
    return False


def changes(source: str) -> list[int]:
    """The lines that change a state: an assignment to a field, a deletion, or a call of a mutating method."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = [each for target in node.targets for each in ast.walk(target) if isinstance(each, ast.expr)]
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        elif isinstance(node, ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            targets = [node.func.value]
        lines |= {target.lineno for target in targets if _within_state(target)}
    return sorted(lines)


def test_only_the_cursor_changes_the_state() -> None:
    """Other modules read it."""
    found = {path.name for path in ROOT.rglob("*.py") if changes(path.read_text())}
    assert found == CHANGES_THE_STATE


@pytest.mark.parametrize(
    "source",
    ["state.seq += 1", "run.cursor.state.stack.append(1)", "self.state.vars['a'] = 1", "del state.stack[1:]",
     "a, state.vars = 1, 2"],
)  # fmt: skip
def test_the_check_finds_every_kind_of_change(source: str) -> None:
    assert changes(source) == [1]


@pytest.mark.parametrize("outcome", get_args(node_protocol.Outcome))
def test_outcomes_are_immutable(outcome: type) -> None:
    assert outcome.__struct_config__.frozen  # type: ignore[attr-defined] # set by msgspec


@pytest.mark.parametrize("part", [Pending, LoopFrame, CallFrame])
def test_the_parts_of_a_state_are_immutable(part: type) -> None:
    assert part.__struct_config__.frozen  # type: ignore[attr-defined] # set by msgspec
    assert not State.__struct_config__.frozen
