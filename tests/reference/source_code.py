"""The syntax trees of the packages' source, for the references that are collected from them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = {
    "filas": ROOT / "shared/src/filas",
    "ingest": ROOT / "services/ingest/src/ingest",
    "flow_runner": ROOT / "services/flow-runner/src/flow_runner",
    "notifier": ROOT / "services/notifier/src/notifier",
    "filas_local": ROOT / "deploy/local/src/filas_local",
}


@cache
def trees(package: str) -> dict[str, ast.Module]:
    """The syntax tree of every module of a package or subpackage (`notifier.channels`), by dotted name."""
    top = SOURCES[package.partition(".")[0]]
    found = {}
    for path in sorted(top.rglob("*.py")):
        name = ".".join([top.name, *path.relative_to(top).with_suffix("").parts]).removesuffix(".__init__")
        if name == package or name.startswith(f"{package}."):
            found[name] = ast.parse(path.read_text(), str(path))
    return found


def texts(node: ast.AST | None) -> Iterator[str]:
    """The constant texts that an expression can yield: itself, or the arms of a conditional."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.Subscript):
        yield from texts(node.value)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts(value)


def called(node: ast.AST) -> str:
    """The name of the function that a call calls, without its object."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def assigned(tree: ast.AST, name: str) -> Iterator[str]:
    """The constant texts that are assigned to the variable `name`, alone or in a tuple."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield from texts(node.value)
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    for one, value in zip(target.elts, node.value.elts, strict=True):
                        if isinstance(one, ast.Name) and one.id == name:
                            yield from texts(value)
