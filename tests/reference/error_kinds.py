"""Every error kind of executions, notifications and dead letters, and every reason of a rejected request.

Both are collected from the source. The meanings are in the JSON files beside this module.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from tests.reference.source_code import assigned, called, texts, trees

KINDS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("error_kinds.json").read_text())
REASONS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("rejection_reasons.json").read_text())

_WITH_KINDS = (
    "filas.channels", "filas.errors", "filas.queue.worker", "flow_runner", "notifier.channels", "notifier.deliver",
    "notifier.jobs", "ingest.process", "ingest.api.definitions.flow_test_runs",
)  # fmt: skip
_WITH_REASONS = (
    "ingest.http",
    "ingest.receive",
    "ingest.resume",
    "ingest.public_endpoint",
    "ingest.api.history.event_intake",
)
_POSITIONS = {"NodeFailure": 0, "Failed": 0, "InvalidContent": 1, "notification": 1}
"""Calls whose argument at this position is a kind."""

_REJECTIONS = ("Refusal", "RejectedRequest", "too_many", "unavailable")
"""Calls that have a reason as their first text."""


def kinds() -> set[str]:
    """Every kind in the source."""
    found: set[str] = set()
    for package in _WITH_KINDS:
        for tree in trees(package).values():
            found |= set(_kinds_in(tree))
    return found


def _kinds_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (
                text
                for keyword in node.keywords
                if keyword.arg in ("kind", "error_kind")
                for text in texts(keyword.value)
            )
            position = _POSITIONS.get(called(node))
            if position is not None and len(node.args) > position:
                yield from texts(node.args[position])
        elif isinstance(node, ast.FunctionDef):
            yield from _default_of_kind(node)
        elif isinstance(node, ast.AnnAssign | ast.Assign) and _names(node) == ["_KINDS"]:
            yield from (pair.elts[1].value for pair in ast.walk(node) if _is_kind(pair))  # type: ignore[attr-defined]
    yield from assigned(tree, "kind")


def _names(node: ast.AnnAssign | ast.Assign) -> list[str]:
    targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_kind(node: ast.AST) -> bool:
    """Whether the node is a row of a table of kinds: a pair whose second part is a text."""
    return isinstance(node, ast.Tuple) and len(node.elts) == 2 and bool(list(texts(node.elts[1])))


def _default_of_kind(node: ast.FunctionDef) -> Iterator[str]:
    positional = node.args.args
    for argument, default in zip(
        positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True
    ):
        if argument.arg == "kind":
            yield from texts(default)


def reasons() -> set[str]:
    """Every reason of a rejected request in the source: the first text argument after the status, or the first."""
    found: set[str] = set()
    for package in _WITH_REASONS:
        for tree in trees(package).values():
            for node in ast.walk(tree):
                if called(node) in _REJECTIONS and isinstance(node, ast.Call):
                    first = [text for argument in node.args[:2] for text in texts(argument)]
                    found |= set(first[:1])
    return found


def kinds_table() -> str:
    """Every kind with its place, meaning and remedy."""
    lines = ["| kind | in | meaning | remedy |", "|---|---|---|---|"]
    for kind in sorted(kinds()):
        row = KINDS.get(kind, {})
        lines.append(f"| `{kind}` | {row.get('in', '')} | {row.get('meaning', '')} | {row.get('remedy', '')} |")
    return "\n".join(lines) + "\n"


def reasons_table() -> str:
    """Every reason with its status and meaning."""
    lines = ["| reason | status | meaning |", "|---|---|---|"]
    for reason in sorted(reasons(), key=lambda reason: (REASONS.get(reason, {}).get("status", ""), reason)):
        row = REASONS.get(reason, {})
        lines.append(f"| `{reason}` | {row.get('status', '')} | {row.get('meaning', '')} |")
    return "\n".join(lines) + "\n"
