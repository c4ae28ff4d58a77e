"""Every log event, collected from the source, with its meaning."""

import ast
import json
from pathlib import Path
from typing import NamedTuple

from tests.reference.source_code import SOURCES, assigned, called, texts, trees

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
_LOGGERS = {"log", "_log", "logger", "_logger"}

MEANINGS: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text())
"""What happened, by the name of the event."""


class Event(NamedTuple):
    """An event that the source logs."""

    name: str
    levels: tuple[str, ...]
    modules: tuple[str, ...]


def events() -> list[Event]:
    """Every event by its name, with the levels at which it is logged and the modules that log it."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for package in SOURCES:
        for module, tree in trees(package).items():
            methods = _methods(tree)
            for node in ast.walk(tree):
                for level, name in _logged(node, tree, methods):
                    levels, modules = found.setdefault(name, (set(), set()))
                    levels.add(level)
                    modules.add(module)
    return [Event(name, tuple(sorted(pair[0])), tuple(sorted(pair[1]))) for name, pair in sorted(found.items())]


def _logged(node: ast.AST, tree: ast.Module, methods: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The level and the names of the events of a call of a logger, or of a variable that is a logger's method."""
    if not isinstance(node, ast.Call) or not node.args:
        return []
    if isinstance(node.func, ast.Name):
        return [(level, text) for level in methods.get(node.func.id, ()) for text in texts(node.args[0])]
    if not isinstance(node.func, ast.Attribute):
        return []
    owner = node.func.value
    is_logger = (isinstance(owner, ast.Name) and owner.id in _LOGGERS) or called(owner) == "get_logger"
    if not is_logger or node.func.attr not in LEVELS | {"log"}:
        return []
    level, name = ("any", node.args[1]) if node.func.attr == "log" else (node.func.attr, node.args[0])
    if isinstance(name, ast.Name):
        return [(level, text) for text in assigned(tree, name.id)]
    return [(level, text) for text in texts(name)]


def _methods(tree: ast.Module) -> dict[str, set[str]]:
    """The levels of the logger's methods that are assigned to each variable."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            methods = [one for one in ast.walk(node.value) if isinstance(one, ast.Attribute)]
            levels = {
                one.attr for one in methods if isinstance(one.value, ast.Name) and one.value.id in _LOGGERS
            } & LEVELS
            for one in node.targets:
                if levels and isinstance(one, ast.Name):
                    found.setdefault(one.id, set()).update(levels)
    return found


def meaning(name: str) -> str:
    """What the event means; empty if MEANINGS has no such event."""
    return MEANINGS.get(name, "")


def table() -> str:
    """Every event with its level, the module that logs it, and its meaning."""
    lines = ["| event | level | logged by | meaning |", "|---|---|---|---|"]
    for event in events():
        modules = ", ".join(f"`{module}`" for module in event.modules)
        lines.append(f"| `{event.name}` | {', '.join(event.levels)} | {modules} | {meaning(event.name)} |")
    return "\n".join(lines) + "\n"
