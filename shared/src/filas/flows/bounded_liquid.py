"""Liquid with bounds: on the work of a template, on what its filters make, and on what it writes.

python-liquid bounds output, nesting and the product of nested loops. Here are the bounds that it leaves to
its users: loops one after another, filters whose result is far larger than their input, numbers of a million
digits, and regular expressions that take quadratic time.
"""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TextIO

import msgspec
from liquid import Environment, Mode, RenderContext, StrictDefaultUndefined, Token
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError, LoopIterationLimitError
from liquid.filter import string_filter
from liquid.undefined import Undefined

from filas.flows.limits import TooLarge, plain

MAX_STEPS = 50_000
"""Names looked up, rounds of loops, and pieces of 64 characters that filters read, in one rendering."""

MAX_OUTPUT_BYTES = 256 * 1024
MAX_TEXT = 256 * 1024
MAX_LIST = 10_000
MAX_NUMBER_BITS = 1024

_UNUSED_TAGS = ("include", "render", "tablerow", "ifchanged")
_UNUSED_FILTERS = ("safe",)
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{4}")
_NUMBERS = frozenset(
    ["abs", "at_most", "at_least", "ceil", "divided_by", "floor", "minus", "plus", "round", "times", "modulo", "sum"]
)


class OverLimit(LiquidError):
    """A template asked for more than its bounds allow."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def build_environment() -> "Environment":
    """The one Liquid that flows know: no loader, no includes, strict about names and filters."""
    environment = _Environment(tolerance=Mode.STRICT, undefined=StrictDefaultUndefined, strict_filters=True)
    for tag in _UNUSED_TAGS:
        environment.tags.pop(tag, None)
    for name in _UNUSED_FILTERS:
        environment.filters.pop(name, None)
    environment.add_tag(_JsonOutput)
    environment.add_filter("json", _json)
    environment.add_filter("strip_html", _strip_html)
    environment.add_filter("uniq", _uniq)
    return environment


class _Environment(Environment):
    context_depth_limit = 20
    block_nesting_limit = 20
    loop_iteration_limit = 10_000
    local_namespace_limit = 1024 * 1024
    output_stream_limit = MAX_OUTPUT_BYTES


class BoundedContext(RenderContext):
    """Counts what a rendering does, and looks at what every filter is given and makes."""

    __slots__ = ("steps",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps = 0

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise OverLimit("the template does too much work")

    def get(self, *args: Any, **kwargs: Any) -> object:
        self.spend(1)
        return super().get(*args, **kwargs)

    @contextmanager
    def loop(self, namespace: Any, forloop: Any) -> Iterator[RenderContext]:
        rounds = forloop.length
        for outer in self.loops:
            rounds *= outer.length
        if rounds > MAX_LIST:
            raise LoopIterationLimitError("loop iteration limit reached", token=None)
        self.spend(forloop.length)
        with super().loop(namespace, forloop) as context:
            yield context

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        return functools.partial(self._filtered, name, super().filter(name, token))

    def _filtered(self, name: str, function: Callable[..., object], value: object, *args: Any, **kwargs: Any) -> object:
        for given in (value, *args, *kwargs.values()):
            self.spend(1 + _check(given) // 64)
        if is_undefined(value):
            return function(value, *args, **kwargs)
        self.spend(1 + _growth(name, value, args) // 64)
        if name in _NUMBERS:
            _check_numbers(value, args)
        if name == "date" and isinstance(value, str) and len(value) > 64:
            raise OverLimit("no date is that long")
        result = function(value, *args, **kwargs)
        _check(result)
        return result


def is_undefined(value: object) -> bool:
    """True for a name that is not known. (`isinstance` would make a strict one raise.)"""
    return issubclass(type(value), Undefined)


def _check(value: object) -> int:
    """The size of a value that a filter takes or gives; raises OverLimit where it is out of bounds."""
    if is_undefined(value):
        return 8
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise OverLimit("a text in the template is too long")
        return len(value)
    if isinstance(value, (list, tuple, range)):
        if len(value) > MAX_LIST:
            raise OverLimit("a list in the template is too long")
        return len(value) * 8
    if isinstance(value, int) and value.bit_length() > MAX_NUMBER_BITS:
        raise OverLimit("a number in the template is too large")
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > 400:
        raise OverLimit("a number in the template is too large")
    return 8


def _growth(name: str, value: object, args: tuple[Any, ...]) -> int:
    """The size of what `replace` and `join` will make, known before they make it."""
    size = 0
    if name == "replace" and args:
        text, old, new = str(value), str(args[0]), str(args[1]) if len(args) > 1 else ""
        size = (text.count(old) if old else len(text) + 1) * len(new)
    elif name == "join" and isinstance(value, (list, tuple, range)):
        separator = len(str(args[0])) if args else 1
        for item in value:
            size += separator + (len(item) if isinstance(item, str) else len(_text(item)))
            if size > MAX_TEXT:
                break
    elif name in ("sort", "sort_natural", "where", "map", "reject", "find", "has", "find_index", "sum"):
        size = len(value) * 64 if isinstance(value, (list, tuple, range)) else 0
    if size > MAX_TEXT and name in ("replace", "join"):
        raise OverLimit(f"{name} makes too long a text")
    return size


def _check_numbers(value: object, args: tuple[Any, ...]) -> None:
    items = value if isinstance(value, (list, tuple)) else (value,)
    for given in (*items, *args):
        _check(given)
        if isinstance(given, str) and (len(given) > 400 or _EXPONENT.search(given)):
            raise OverLimit("a number in the template is too large")


class _JsonOutputNode(OutputNode):
    """Writes objects and lists as JSON, where Liquid would write Python."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(_text(self.expression.evaluate(context)))


class _JsonOutput(Output):
    node_class = _JsonOutputNode


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, int, float, dict, list, tuple, range, Decimal)):
        return _json(value)
    return str(value)


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(plain(value, max_size=MAX_TEXT)).decode()
    except TooLarge as error:
        raise OverLimit(str(error)) from None


@string_filter
def _strip_html(text: str) -> str:
    """What is outside of `<…>`, in one pass: the original's pattern takes quadratic time."""
    kept: list[str] = []
    position = 0
    while (start := text.find("<", position)) >= 0 and (end := text.find(">", start)) >= 0:
        kept.append(text[position:start])
        position = end + 1
    return "".join(kept) + text[position:]


def _uniq(value: object, key: object = None) -> list[object]:
    """Each item once, by its JSON or by that of its `key`: the original compares every item with every other."""
    items = list(value) if isinstance(value, (list, tuple, range)) else [value]
    seen: dict[str, object] = {}
    for item in items:
        seen.setdefault(_json(item.get(key) if key is not None and isinstance(item, dict) else item), item)
    return list(seen.values())
