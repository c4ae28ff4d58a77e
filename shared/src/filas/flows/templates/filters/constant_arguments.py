"""Checks the filters of a template whose arguments are constants, so that publication refuses what can never work."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral, Nil, StringLiteral
from liquid.expression import Expression

from filas.flows.templates.filters import dates, numbers, texts
from filas.flows.templates.filters.filter_failure import FilterFailure, expected
from filas.flows.written_numbers import read_number

_LITERALS: Final = (IntegerLiteral, FloatLiteral, StringLiteral)

_OF_LOCALE: Final = frozenset(
    [*numbers.FILTERS, "parse_date", "phone", "plus", "minus", "times", "divided_by", "modulo", "at_least", "at_most"]
)
"""Filters that read their value by the locale of the flow, which is not known when a template is parsed."""


class _Unknown:
    """An argument that is not a constant."""


_UNKNOWN: Final = _Unknown()


def _number(name: str) -> Callable[[object], None]:
    def check(number: object) -> None:
        if isinstance(number, str) and read_number(number, "pt-BR") is None:
            raise expected(name, "a number", number)
        if name in ("divided_by", "modulo") and number in (0, "0"):
            raise FilterFailure(f"{name}: cannot divide by 0")

    return check


def _whole(name: str) -> Callable[..., None]:
    def check(number: object = 1, more: object = None) -> None:
        for given in (number, more) if name == "slice" else (number,):
            is_whole = isinstance(given, int) or (isinstance(given, str) and given.lstrip("-").isdigit())
            if given is not None and not is_whole:
                raise expected(name, "a whole number", given)

    return check


def _list(name: str) -> Callable[[object], None]:
    def check(more: object) -> None:
        raise expected(name, "a list to add", more)

    return check


_CHECKS: Final[dict[str, Callable[..., None]]] = {
    "date": dates.check_date,
    "parse_date": dates.check_parse_date,
    "money": numbers.check_money,
    "number": numbers.check_number,
    "regex_match": texts.check_regex_match,
    "regex_replace": texts.check_regex_replace,
    "hmac_sha256": texts.check_hmac_sha256,
    "phone": texts.check_phone,
    "concat": _list("concat"),
    **{name: _number(name) for name in ("plus", "minus", "times", "divided_by", "modulo", "at_least", "at_most")},
    **{name: _whole(name) for name in ("slice", "truncate", "truncatewords", "round")},
}


def check(nodes: Iterable[Node], filters: dict[str, Callable[..., Any]], context: Any) -> None:
    """Raises LiquidError for a filter with too few or too many arguments, or with a constant value or argument that it
    does not accept. `context` is that of a rendering without values."""
    for node in nodes:
        for expression in node.expressions():
            for each in _filtered(expression):
                for one in each.filters or ():
                    _check_filter(one, filters)
                _check_constant(each, context)
        no_context: Any = None  # Only partials use the context, and there are none.
        check(node.children(no_context, include_partials=False), filters, context)


def _filtered(expression: Expression) -> Iterator[FilteredExpression]:
    if isinstance(expression, FilteredExpression):
        yield expression
    for child in expression.children():
        yield from _filtered(child)


def _check_constant(expression: FilteredExpression, context: Any) -> None:
    """Evaluates the filters of a constant value, up to the first whose result depends on more than constants."""
    constant: list[Any] = []
    for one in expression.filters or ():
        if one.name in _OF_LOCALE or any(not isinstance(each.value, (*_LITERALS, Nil)) for each in one.args):
            break
        constant.append(one)
    if constant and isinstance(expression.left, _LITERALS):
        FilteredExpression(expression.token, expression.left, constant).evaluate(context)


def _check_filter(one: Any, filters: dict[str, Callable[..., Any]]) -> None:
    function = filters.get(one.name)
    if function is None:
        return
    named = [each for each in one.args if isinstance(each, KeywordArgument)]
    positional = [_constant(each.value) for each in one.args if not isinstance(each, KeywordArgument)]
    _check_count(one.name, function, len(positional), [each.name for each in named])
    check_constants = _CHECKS.get(one.name)
    if check_constants is not None and not named:
        _check_known(check_constants, positional)


def _check_known(check_constants: Callable[..., None], given: list[object]) -> None:
    """Checks the arguments up to the first that is not a constant."""
    known = given[: next((at for at, each in enumerate(given) if each is _UNKNOWN), len(given))]
    if known or not given:
        check_constants(*known)


def _constant(expression: Expression) -> object:
    if isinstance(expression, _LITERALS):
        return expression.value
    return None if isinstance(expression, Nil) else _UNKNOWN


def _check_count(name: str, function: Callable[..., Any], count: int, named: list[str]) -> None:
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name not in _CONTEXT]
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)][1:]
    needed = sum(each.default is each.empty and each.name not in named for each in positional)
    if count < needed:
        raise FilterFailure(f"{name}: expected at least {_arguments(needed)}, found {count}")
    if count > len(positional):
        raise FilterFailure(f"{name}: expected at most {_arguments(len(positional))}, found {count}")
    known = {each.name for each in parameters[1:]}
    for each in named:
        if each not in known:
            raise FilterFailure(f"{name} has no argument named `{each}`")


def _arguments(count: int) -> str:
    return f"{count or 'no'} argument{'' if count == 1 else 's'}"


_CONTEXT: Final = frozenset({"context", "environment"})
"""Parameters that Liquid itself fills."""
