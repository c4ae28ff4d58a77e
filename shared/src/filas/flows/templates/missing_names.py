"""Names that are not in scope: an error where they are used, null where they are tested."""

from collections.abc import Iterable
from typing import Any

from liquid import StrictDefaultUndefined
from liquid.ast import Node
from liquid.builtin.expressions import Path
from liquid.builtin.expressions.logical import EqExpression, NeExpression
from liquid.builtin.expressions.primitive import Blank
from liquid.expression import Expression

from filas.flows.templates.liquid_filters import is_undefined


class MissingName(StrictDefaultUndefined):
    """The value of an unknown name. It is false in a test, and raises UndefinedError elsewhere."""

    # Comparisons read both. What writes or computes a value reads other properties.
    allowed_properties = StrictDefaultUndefined.allowed_properties | {"__class__", "__liquid__"}


class _NullIfMissing(Expression):
    """A path of a comparison with `==` or `!=`. The original compares a missing name before null and blank."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        super().__init__(path.token)
        self._path = path

    def evaluate(self, context: Any) -> object:
        value = self._path.evaluate(context)
        return None if is_undefined(value) else value

    def children(self) -> list[Expression]:
        return [self._path]


class _BlankOrNull(Blank):
    """`blank`, which null is too."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or super().__eq__(other)

    __hash__ = None  # type: ignore[assignment] # as for the original


def read_tests_as_null(nodes: Iterable[Node]) -> None:
    """In comparisons, a missing name is null from now on, and null is `blank`."""
    for node in nodes:
        for expression in node.expressions():
            _read_tests_as_null(expression)
        no_context: Any = None  # Only partials use the context, and there are none.
        read_tests_as_null(node.children(no_context, include_partials=False))


def _read_tests_as_null(expression: Expression) -> None:
    if isinstance(expression, (EqExpression, NeExpression)):
        expression.left, expression.right = _tested(expression.left), _tested(expression.right)
    for child in expression.children():
        _read_tests_as_null(child)


def _tested(operand: Expression) -> Expression:
    if isinstance(operand, Path):
        return _NullIfMissing(operand)
    return _BlankOrNull(operand.token) if isinstance(operand, Blank) else operand
