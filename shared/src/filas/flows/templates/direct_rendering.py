"""Renders the most frequent templates without Liquid: a whole `{{ a.b }}`, and a text with such values.

Liquid does the rest, and everything that fails, so that there is one text for each error.
"""

from collections.abc import Mapping
from typing import Any, Final

from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode

from filas.contract.storable_text import is_unicode
from filas.flows import step_budget
from filas.flows.templates.liquid_filters import text_of
from filas.flows.templates.marked_text import Insert

MAX_CHARS: Final = 8 * 1024
"""The longest text that is rendered without Liquid. Whatever `insert` makes of it is within the bounds of Liquid."""

_SHORT_VALUES: Final = frozenset({str, int, float, bool, type(None)})

Piece = str | list[str]
"""A text of the template, or the segments of a path whose value is inserted."""


def whole_expression(nodes: list[Node]) -> FilteredExpression | None:
    """The expression of a template that is one whole `{{ … }}`."""
    if len(nodes) == 1 and isinstance(nodes[0], OutputNode) and isinstance(nodes[0].expression, FilteredExpression):
        return nodes[0].expression
    return None


def fixed_path(expression: FilteredExpression) -> list[str] | None:
    """The segments of a plain `a.b.c`."""
    if expression.filters or not isinstance(expression.left, Path):
        return None
    segments = expression.left.path
    names = [segment for segment in segments if type(segment) is str]
    return names if len(names) == len(segments) else None


def pieces_of(nodes: list[Node]) -> list[Piece] | None:
    """The pieces of a template that has only texts and plain paths; None for any other."""
    pieces: list[Piece] = []
    for node in nodes:
        if isinstance(node, ContentNode):
            pieces.append(node.text)
            continue
        expression = whole_expression([node])
        path = None if expression is None else fixed_path(expression)
        if not path:
            return None
        pieces.append(path)
    return pieces


def walk(scope: Mapping[str, Any], path: list[str]) -> tuple[bool, Any]:
    """Whether the value at the path exists, and the value."""
    value: Any = scope
    for segment in path:
        # `scope` may be any mapping; its values are JSON.
        if (type(value) is not dict and not isinstance(value, Mapping)) or segment not in value:
            return False, None
        value = value[segment]
    return True, value


def written(pieces: list[Piece], scope: Mapping[str, Any], insert: Insert | None) -> str | None:
    """The text, with the same steps of the budget as Liquid; None if Liquid must render it."""
    values: list[tuple[object, str]] = []
    size = steps = 0
    for piece in pieces:
        if isinstance(piece, str):
            size += len(piece)
            continue
        found, value = walk(scope, piece)
        if not found or type(value) not in _SHORT_VALUES:
            return None
        text = value if isinstance(value, str) else text_of(value)
        if not is_unicode(text):
            return None
        values.append((value, text))
        size += len(text)
        steps += 1 + len(text) // 512 + (0 if insert is None else 1 + len(text) // 64)
    budget = step_budget.current()
    if size > MAX_CHARS or steps > budget.left:
        return None
    budget.left -= steps
    inserted = iter(values)
    return "".join(piece if isinstance(piece, str) else _inserted(*next(inserted), insert) for piece in pieces)


def _inserted(value: object, text: str, insert: Insert | None) -> str:
    return text if insert is None else insert(value, text, "")
