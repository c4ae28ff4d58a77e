"""Liquid with bounds: on the work of a template, on the results of its filters, and on its output.

python-liquid bounds output, nesting and the product of nested loops. This module adds the missing bounds: the work of a
loop's rounds and of comparing and filtering long values, filters whose result is far larger than their input, numbers
of a million digits, and regular expressions that take quadratic time.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TextIO

from liquid import Environment, Mode, RenderContext, Token
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions.logical import ContainsExpression
from liquid.builtin.expressions.loop import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral, StringLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LoopIterationLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO

from filas.flows import step_budget
from filas.flows.templates.filters.added_filters import CORRECTED, FILTERS
from filas.flows.templates.filters.filter_failure import FilterFailure
from filas.flows.templates.filters.numbers import as_number
from filas.flows.templates.liquid_filters import (
    MAX_TEXT,
    OverLimit,
    as_json,
    as_liquid_writes,
    compact_of,
    is_undefined,
    raw_of,
    text_of,
    uniq_of,
)
from filas.flows.templates.marked_text import Insert
from filas.flows.templates.missing_names import MissingName
from filas.flows.templates.output_tags import OUTPUT_TAGS

MAX_OUTPUT_BYTES = 256 * 1024
MAX_LIST = 10_000
MAX_NUMBER_BITS = 1024

_UNUSED_TAGS = ("include", "render", "tablerow", "ifchanged")
_UNUSED_FILTERS = ("safe",)
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{4}")
_NUMBERS = frozenset(
    ["abs", "at_most", "at_least", "ceil", "divided_by", "floor", "minus", "plus", "round", "times", "modulo", "sum"]
)


def build_environment() -> "Environment":
    """The Liquid environment of flows: no loader, no includes, strict about names and filters."""
    environment = _Environment(tolerance=Mode.STRICT, undefined=MissingName, strict_filters=True)
    for tag in _UNUSED_TAGS:
        environment.tags.pop(tag, None)
    for name in _UNUSED_FILTERS:
        environment.filters.pop(name, None)
    for changed in (*OUTPUT_TAGS, _CountedFor):
        environment.add_tag(changed)
    environment.add_filter("raw", raw_of)
    environment.add_filter("json", as_json)
    environment.add_filter("uniq", uniq_of)
    environment.add_filter("compact", compact_of)
    for name, function in (*FILTERS.items(), *CORRECTED.items()):
        environment.add_filter(name, function)
    return environment


class _Environment(Environment):
    context_depth_limit = 20
    block_nesting_limit = 20
    loop_iteration_limit = 10_000
    local_namespace_limit = 1024 * 1024
    output_stream_limit = MAX_OUTPUT_BYTES


class BoundedContext(RenderContext):
    """Counts the work of a rendering, and checks the arguments and results of every filter. `insert` returns
    what is written for an inserted value; None: its text."""

    __slots__ = ("_budget", "_inserted_bytes", "_measured", "insert")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.insert: Insert | None = None
        self._inserted_bytes = 0
        self._budget = step_budget.current()
        # By the id of a list or object: itself, so that no other gets its id, and its size.
        self._measured: dict[int, tuple[object, int]] = {}

    def charge(self, steps: int) -> None:
        self._budget.left -= steps
        if self._budget.left < 0:
            raise OverLimit("the template does too much work")

    def inserted(self, value: object, text: str, last_filter: str) -> str:
        """The result of `insert`. The size before it is bounded too, because the result may be shorter."""
        self._inserted_bytes += len(text.encode(errors="replace"))
        if self._inserted_bytes > MAX_OUTPUT_BYTES:
            raise OverLimit("the text of the template is too long")
        self.charge(1 + len(text) // 64)
        return self.insert(value, text, last_filter) if self.insert is not None else text

    def get_buffer(self, buf: TextIO | None = None) -> LimitedStringIO:
        """The original's buffer would write a carriage return as a line feed."""
        written = buf.size if isinstance(buf, LimitedStringIO) else 0
        return LimitedStringIO(MAX_OUTPUT_BYTES - written, newline="")

    def get(self, *args: Any, **kwargs: Any) -> object:
        value = super().get(*args, **kwargs)
        # Long values are compared and searched, at about 500 characters per step.
        self.charge(1 + self._size(value) // 512)
        return value

    @contextmanager
    def loop(self, namespace: Any, forloop: Any) -> Iterator[RenderContext]:
        rounds = forloop.length
        for outer in self.loops:
            rounds *= outer.length
        if rounds > MAX_LIST:
            raise LoopIterationLimitError("loop iteration limit reached", token=None)
        with super().loop(namespace, forloop) as context:
            yield context

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        return functools.partial(self._filtered, name, super().filter(name, token))

    def _filtered(self, name: str, function: Callable[..., object], value: object, *args: Any, **kwargs: Any) -> object:
        for given in (value, *args, *kwargs.values()):
            _check(given)
            self.charge(1 + self._size(given) // 64)
        if name == "default":
            return function(value, *args, **kwargs)
        for given in (value, *args):
            if is_undefined(given):
                str(given)  # raises UndefinedError, with the name
        value, args = as_liquid_writes(name, value, args)
        self.charge(1 + _growth(name, value, args) // 64)
        if name in _NUMBERS:
            _check_numbers(value, args)
            if name != "sum":
                value, args = _numeric(value), tuple(map(_numeric, args))
            if name in ("divided_by", "modulo") and args and as_number(args[0]) == 0:
                raise FilterFailure(f"{name}: cannot divide by 0")
        result = function(value, *args, **kwargs)
        _check(result)
        return result

    def _size(self, value: object) -> int:
        """Characters of its texts plus 8 for every other value. Measuring a list or an object counts as work too."""
        if is_undefined(value):
            return 8
        if isinstance(value, str):
            return len(value)
        if isinstance(value, range):
            return value.stop - value.start
        if not isinstance(value, (list, tuple, dict)):
            return 8
        known = self._measured.get(id(value))
        if known is not None:
            return known[1]
        size = step_budget.measure(value, self._budget.left * 64).size
        self.charge(1 + size // 64)
        self._measured[id(value)] = value, size
        return size


class _Round(BlockNode):
    """The block that a loop repeats. Each round costs the work of its nodes."""

    __slots__ = ("_cost",)

    def __init__(self, block: BlockNode) -> None:
        super().__init__(block.token, block.nodes)
        self._cost = sum(map(_cost, block.nodes)) + 1

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        if isinstance(context, BoundedContext):
            context.charge(self._cost)
        return super().render_to_output(context, buffer)


class _CountedForNode(ForNode):
    __slots__ = ()

    def __init__(
        self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None = None
    ) -> None:
        super().__init__(token, expression, _Round(block), default)


class _CountedFor(ForTag):
    node_class: type[ForNode] = _CountedForNode


def _cost(node: Node) -> int:
    """The steps of rendering a node once, without look-ups and filters, which are counted when they happen."""
    cost = 1 + sum(map(_cost_of, node.expressions())) // 2
    for child in node.children(_NO_CONTEXT, include_partials=False):
        if not isinstance(child, _Round):  # It counts its own work.
            cost += _cost(child)
    return cost


def _cost_of(expression: Expression) -> int:
    own = len(expression.value) // 256 if isinstance(expression, StringLiteral) else 0
    return 1 + own + sum(map(_cost_of, expression.children()))


_NO_CONTEXT: Any = None
"""Only partials use the context, and there are none."""


def refuse_ranges(nodes: Iterable[Node]) -> None:
    """Raises OverLimit if a condition searches a range: `(1..1000000000) contains 'x'` examines each number."""
    for node in nodes:
        for expression in node.expressions():
            _refuse_range(expression)
        refuse_ranges(node.children(_NO_CONTEXT, include_partials=False))


def _refuse_range(expression: Expression) -> None:
    for child in expression.children():
        if isinstance(expression, ContainsExpression) and isinstance(child, RangeLiteral):
            raise OverLimit("contains does not work on a range: compare with < and > instead")
        _refuse_range(child)


def _check(value: object) -> None:
    """Raises OverLimit if an argument or a result of a filter exceeds its bounds."""
    if is_undefined(value):
        return
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise OverLimit("a text in the template is too long")
    if isinstance(value, (list, tuple, range)) and len(value) > MAX_LIST:
        raise OverLimit("a list in the template is too long")
    if isinstance(value, int) and value.bit_length() > MAX_NUMBER_BITS:
        raise OverLimit("a number in the template is too large")
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > 400:
        raise OverLimit("a number in the template is too large")


def _growth(name: str, value: object, args: tuple[Any, ...]) -> int:
    """The size of the result of `replace` and `join`, calculated before they run."""
    size = 0
    if name == "replace" and args:
        text, old, new = str(value), str(args[0]), str(args[1]) if len(args) > 1 else ""
        size = (text.count(old) if old else len(text) + 1) * len(new)
    elif name == "join" and isinstance(value, (list, tuple, range)):
        separator = len(str(args[0])) if args else 1
        for item in value:
            size += separator + (len(item) if isinstance(item, str) else len(text_of(item)))
            if size > MAX_TEXT:
                break
    elif name in ("sort", "sort_natural", "where", "map", "reject", "find", "has", "find_index", "sum", "uniq"):
        size = len(value) * 64 if isinstance(value, (list, tuple, range)) else 0
    if size > MAX_TEXT and name in ("replace", "join"):
        raise OverLimit(f"{name} makes too long a text")
    return size


def _numeric(given: object) -> object:
    """The number of a text or a boolean. Liquid's own reading accepts `inf` and `1_500`, and that of Python takes true
    for 1."""
    return as_number(given) if isinstance(given, (str, bool)) else given


def _check_numbers(value: object, args: tuple[Any, ...]) -> None:
    items = value if isinstance(value, (list, tuple)) else (value,)
    for given in (*items, *args):
        _check(given)
        if isinstance(given, str) and (len(given) > 400 or _EXPONENT.search(given)):
            raise OverLimit("a number in the template is too large")
