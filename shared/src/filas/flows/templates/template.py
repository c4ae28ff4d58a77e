"""Templates: Liquid with bounds. Unknown names are errors, and a text that is one whole `{{ … }}` keeps its type."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from liquid.exceptions import LiquidError, UndefinedError
from liquid.static_analysis import TemplateAnalysis
from liquid.template import BoundTemplate

from filas.flows.library_errors import describe_liquid
from filas.flows.templates import direct_rendering
from filas.flows.templates.bounded_liquid import BoundedContext, build_environment, refuse_ranges
from filas.flows.templates.filters import constant_arguments
from filas.flows.templates.filters.filter_failure import FilterFailure
from filas.flows.templates.liquid_filters import OverLimit, is_undefined
from filas.flows.templates.marked_text import NOTHING_UNDONE, Escape, Insert, InsertedValue, MarkedText, ValueMarks
from filas.flows.templates.missing_names import read_tests_as_null
from filas.flows.templates.output_tags import is_raw, last_filter
from filas.flows.value_limits import MAX_DEPTH, MAX_TEMPLATE_CHARS, TooLarge, plain

Scope = Mapping[str, Any]
"""The values in scope of templates, by their root names; plain JSON."""

Reference = tuple[str | int | None, ...]
"""A path that a template looks up, such as `("nodes", "crm", "output")`; None for a computed part."""

MAX_BRACKETS = 8
MAX_PARENTHESES = 64
_BRACKET = re.compile(r"\{[{%]|[%}]\}|[\[\]()]")
_ENDS = (("{{", "}}"), ("{%", "%}"))
_HIDDEN = re.compile(r"\{%-?\s*(?:raw|doc)\b")
_HIDDEN_END = re.compile(r"\{%-?\s*end(?:raw|doc)\b")
_BLANKS = re.compile(r"\s{100}")
MAX_UNCHECKED_CHARS = 2000
MAX_UNCLOSED = 4
_ERRORS = (LiquidError, ArithmeticError, ValueError, TypeError, LookupError, RecursionError, AttributeError)
"""The exceptions of python-liquid and its filters for an author's mistake, or for unsuitable data."""


class TemplateError(ValueError):
    """A template is not valid, or cannot be rendered with the values in scope. `source`: the text of the template, if
    known."""

    def __init__(self, message: str, source: str | None = None) -> None:
        super().__init__(message)
        self.source = source


class UnknownName(TemplateError):
    """A template uses a name that is not in scope."""


class Template:
    """A parsed template. `references` are the paths that it looks up in its scope. `is_whole`: it is one whole
    `{{ … }}`. `is_raw`: that has the filter `raw`. `last_filter`: the name of its last filter, or empty."""

    __slots__ = ("_bound", "_fixed_path", "_pieces", "_whole", "is_raw", "last_filter", "references", "source")

    def __init__(self, source: str, bound: BoundTemplate | None, references: tuple[Reference, ...]) -> None:
        self.source = source
        self.references = references
        self._bound = bound
        self._whole = direct_rendering.whole_expression(bound.nodes) if bound else None
        self._fixed_path = None if self._whole is None else direct_rendering.fixed_path(self._whole)
        self._pieces = direct_rendering.pieces_of(bound.nodes) if bound else None
        self.is_raw = self._whole is not None and is_raw(self._whole)
        self.last_filter = last_filter(self._whole) if self._whole is not None else ""

    @property
    def is_whole(self) -> bool:
        return self._whole is not None

    def check_constants(self) -> None:
        """Raises TemplateError for a filter whose constant value or arguments can never work. Publication refuses such
        a template; a flow that was published before may still contain it."""
        if self._bound is None:
            return
        try:
            constant_arguments.check(self._bound.nodes, _environment().filters, BoundedContext(self._bound))
        except _ERRORS as error:
            raise TemplateError(_message(error)) from None

    def evaluate(self, scope: Scope, insert: Insert | None = None) -> Any:
        """The text, or the value of a template that is one whole `{{ … }}`. Raises UnknownName and TemplateError.

        `insert` returns what a text has in the place of an inserted value; the filter `raw` exempts a value.
        """
        if self._bound is None:
            return self.source
        try:
            return self._render(self._bound, scope, insert)
        except UndefinedError as error:
            raise UnknownName(_message(error), self.source) from None
        except _ERRORS as error:
            raise TemplateError(_message(error), self.source) from None

    def _render(self, bound: BoundTemplate, scope: Scope, insert: Insert | None) -> Any:
        if self._whole is not None:
            if self._fixed_path:
                found, value = direct_rendering.walk(scope, self._fixed_path)
                if found:
                    return value
            context = BoundedContext(bound, globals=scope)
            value = self._whole.evaluate(context)
            if is_undefined(value):
                str(value)  # raises UndefinedError, with the name
            return plain(value)
        if self._pieces is not None:
            text = direct_rendering.written(self._pieces, scope, insert)
            if text is not None:
                return text
        context = BoundedContext(bound, globals=scope)
        context.insert = insert
        buffer = context.get_buffer()
        bound.render_with_context(context, buffer)
        return buffer.getvalue()


def is_plain(source: str) -> bool:
    """Whether a text has no template, so that it is rendered as it is."""
    return "{{" not in source and "{%" not in source


@functools.lru_cache(maxsize=4096)
def parse(source: str) -> Template:
    """The template of a text. Raises TemplateError."""
    if is_plain(source):
        return Template(source, None, ())
    if len(source) > MAX_TEMPLATE_CHARS:
        raise TemplateError(f"is longer than {MAX_TEMPLATE_CHARS} characters")
    try:
        _check_brackets(source)
        if len(source) > MAX_UNCHECKED_CHARS:
            _check_ends(source)
        bound = _environment().from_string(source)
        refuse_ranges(bound.nodes)
        used = bound.analyze(include_partials=False)
        read_tests_as_null(bound.nodes)
        unknown = sorted(name for name in used.filters if name not in _environment().filters)
    except _ERRORS as error:
        raise TemplateError(_message(error)) from None
    if unknown:
        # Liquid itself reports it only when the template is rendered.
        raise TemplateError(f"unknown filter '{unknown[0]}'")
    return Template(source, bound, tuple(_references(used)))


def _check_brackets(source: str) -> None:
    """Raises OverLimit for deeply nested brackets in a tag or output, because parsing them takes quadratic time."""
    depths = {"[": 0, "(": 0}
    is_inside = False
    for found in _BRACKET.finditer(source):
        mark = found.group()
        if len(mark) == 2:
            is_inside = mark in ("{{", "{%")
            depths = dict.fromkeys(depths, 0)
        elif is_inside:
            opening, change = (mark, 1) if mark in depths else ({"]": "[", ")": "("}[mark], -1)
            depths[opening] = max(depths[opening] + change, 0)
            if depths["["] > MAX_BRACKETS or depths["("] > MAX_PARENTHESES:
                raise OverLimit(f"has brackets nested deeper than {MAX_BRACKETS}")


def _check_ends(source: str) -> None:
    """Raises OverLimit for a `{{`, `{%` or `{% raw %}` without an end, because the lexer searches the rest of the text
    for each one, in a time that may be quadratic."""
    last_tag = source.rfind("%}")
    for opening, closing in _ENDS:
        end = max(source.rfind(closing), 0)
        unclosed = source.count(opening, end)
        # A `{{` before the last tag may be in a comment or in raw text.
        is_error = source.find(opening, max(end, last_tag)) >= 0 or (unclosed and _BLANKS.search(source, end))
        if is_error or unclosed > MAX_UNCLOSED:
            raise OverLimit(f"has a `{opening}` without `{closing}`")
    ended = max((found.start() for found in _HIDDEN_END.finditer(source)), default=0)
    if sum(1 for _ in _HIDDEN.finditer(source, ended)) > MAX_UNCLOSED:
        raise OverLimit("has a `raw` or `doc` without its end")


def render(value: Any, scope: Scope, escape: Escape | None = None, undo: Mapping[str, Escape] = NOTHING_UNDONE) -> Any:
    """Renders every text in JSON. Keys are not changed. Raises TemplateError.

    `escape` is applied to each inserted value, and not to the text of the templates. The value of a whole `{{ … }}`
    keeps its type, and `escape` is applied to each text in it. The filter `raw` exempts a value. `undo`: see
    render_text.
    """
    if escape is None:
        return map_texts(value, lambda text: parse(text).evaluate(scope))
    insert = _insert(escape, undo)

    def evaluate(text: str) -> Any:
        parsed = parse(text)
        made = parsed.evaluate(scope, insert)
        if not parsed.is_whole or parsed.is_raw:
            return made
        return map_texts(made, lambda text: insert(None, text, parsed.last_filter))

    return map_texts(value, evaluate)


def render_text(
    source: str, scope: Scope, escape: Escape | None = None, undo: Mapping[str, Escape] = NOTHING_UNDONE
) -> str:
    """Renders a template to a text, also if it is one whole `{{ … }}` of another type. `escape` is applied to the text
    of each inserted value.

    `undo` names the filters that escape for the same syntax, such as `url_encode`, with a function that undoes each. A
    value on which one of them was applied last is so escaped only once. Raises TemplateError.
    """
    parsed = parse(source)
    if escape is None:
        return as_text(parsed.evaluate(scope))
    return _text(parsed, scope, _insert(escape, undo))


def render_marked(source: str, scope: Scope, undo: Mapping[str, Escape] = NOTHING_UNDONE) -> MarkedText:
    """Like `render_text`, with the places of the inserted values, for a syntax that is known only later or in which
    the place of a value matters. Raises TemplateError."""
    marks = ValueMarks()

    def insert(value: object, text: str, last_filter: str) -> str:
        return marks.placeholder(value, undo[last_filter](text) if last_filter in undo else text, last_filter)

    return marks.marked(_text(parse(source), scope, insert))


def render_pieces(source: str, scope: Scope) -> list[str | InsertedValue]:
    """The text of a template and the inserted values, in order, beginning and ending with a text. Raises
    TemplateError."""
    marks = ValueMarks()
    return marks.pieces(_text(parse(source), scope, marks.placeholder))


def _insert(escape: Escape, undo: Mapping[str, Escape]) -> Insert:
    return lambda _value, text, last_filter: escape(undo[last_filter](text) if last_filter in undo else text)


def _text(parsed: Template, scope: Scope, insert: Insert) -> str:
    made = parsed.evaluate(scope, insert)
    if not parsed.is_whole:
        return str(made)
    return as_text(made) if parsed.is_raw else insert(made, as_text(made), parsed.last_filter)


def evaluate_or_null(value: Any, scope: Scope, escape: Escape | None = None) -> Any:
    """Like `render`, with None for a text that uses an unknown name, as for the operand of a rule. `escape` is applied
    to the inserted values of a text that is not one whole `{{ … }}`."""
    insert = None if escape is None else _insert(escape, NOTHING_UNDONE)

    def evaluate(text: str) -> Any:
        try:
            return parse(text).evaluate(scope, insert)
        except UnknownName:
            return None

    return map_texts(value, evaluate)


def as_text(value: Any) -> str:
    """The text of a value inside a text: null is empty, objects and lists are JSON. Raises TemplateError."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return str(_environment().filters["json"](value))
    except OverLimit as error:
        raise TemplateError(_message(error)) from None


def texts(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text in JSON with its path. Raises TemplateError if it is nested too deep."""
    if depth > MAX_DEPTH:
        raise TemplateError(f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{path}[{index}]", depth + 1)


def syntax_problems(value: object) -> Iterator[tuple[str, str]]:
    """The path and the error of each text in JSON that is not a valid template."""
    try:
        for path, text in texts(value):
            try:
                parse(text).check_constants()
            except TemplateError as error:
                yield path, f"invalid template: {error}"
    except TemplateError as error:
        yield "", str(error)


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    return build_environment()


def map_texts(value: Any, change: Callable[[str], Any], depth: int = 0) -> Any:
    """JSON with every text changed. Keys are not changed. Raises TemplateError if it is nested too deep."""
    if depth > MAX_DEPTH:
        raise TemplateError(f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: map_texts(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [map_texts(item, change, depth + 1) for item in value]
    return value


def _references(used: TemplateAnalysis) -> Iterator[Reference]:
    for variables in used.globals.values():
        for variable in variables:
            yield tuple(segment if isinstance(segment, (str, int)) else None for segment in variable.segments)


def _message(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deep"
    if isinstance(error, (OverLimit, TooLarge, FilterFailure)):
        return str(error.args[0])
    text = str(error.args[0]) if error.args else "an operation failed"
    return describe_liquid(text)
