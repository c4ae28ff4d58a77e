"""Conditions in CEL, the Common Expression Language (https://cel.dev), bounded in work.

What an expression names and isn't there is null, unless it asks with `has()`. Where a null makes an operation
impossible (`null > 5`), the condition is false; every other mistake is an error.

CEL ends by itself, but not soon: each of up to 10,000 rounds of its macros may copy a large text, and the
interpreter is not let go meanwhile. So an expression sees only what it names, and what it may copy is added up
before it runs. With macros it can't build texts or lists that grow from round to round.

The library takes 11 MiB: it is imported when the first expression is met.
"""

import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from filas.flows import step_budget
from filas.flows.expressions import regular_expressions
from filas.flows.expressions.cel_text import LOOP, CelText, compilable, read
from filas.flows.root_names import ROOTS
from filas.flows.value_limits import MAX_EXPRESSION_CHARS

MAX_WORK = 32 * 1024 * 1024
"""The most that one evaluation may copy, in characters, as far as that can be told before."""

MAX_VALUES = 40_000
"""The most numbers, texts, lists and so on that one evaluation may be given: each is made anew for it."""

MAX_MACROS = 4
MAX_ROUNDS = 10_000
"""CEL's own bound on the rounds of all macros of an evaluation."""

_MISSING = ("Key not found", "Index error", "SELECT to non-message", "null_type")
"""What an evaluation's error says where something is not there, or null is in the way."""

_NO_OVERLOAD = "No matching overloads"
"""What it says of operands that don't fit; of some operations without their types."""

Reference = tuple[str | int | None, ...]


class ExpressionError(ValueError):
    """An expression doesn't parse, or has no answer with what is in scope."""


def problem(text: str) -> str | None:
    """What is wrong with an expression before it runs, with its place where one can be told; or None."""
    try:
        _compiled(text)
    except ExpressionError as error:
        return str(error)
    return None


def references(text: str) -> tuple[Reference, ...]:
    """The paths that an expression looks up, such as `("vars", "name")`; None where a part is computed."""
    return tuple(reference.path for reference in _read(text).references)


def holds(text: str, scope: Mapping[str, Any]) -> bool:
    """Whether the expression is true. `scope` is what templates see. Raises ExpressionError."""
    program, cel_text = _compiled(text), _read(text)
    data, nulls = _visible(cel_text, scope)
    try:
        result = program.eval(data=data)
        failed, value = str(result.type()) == "ERROR", result.value()
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise ExpressionError(_first_line(str(error))) from None
    if failed:
        message = _first_line(str(value))
        if any(sign in message for sign in _MISSING) or (nulls and _NO_OVERLOAD in message):
            return False
        raise ExpressionError(f"has no answer: {message}")
    if not isinstance(value, bool):
        if value is None:
            return False
        raise ExpressionError("is neither true nor false")
    return value


@functools.lru_cache(maxsize=512)
def _read(text: str) -> CelText:
    return read(text, ROOTS)


@functools.lru_cache(maxsize=512)
def _compiled(text: str) -> Any:
    if len(text) > MAX_EXPRESSION_CHARS:
        raise ExpressionError(f"is longer than {MAX_EXPRESSION_CHARS} characters")
    try:
        program = _environment().compile(compilable(text))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ExpressionError(f"is no CEL expression: {_first_line(str(error))}") from None
    for refused in _refused(_read(text)):
        raise ExpressionError(refused)
    return program


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    cel = importlib.import_module("cel_expr_python.cel")
    names = (LOOP if name == "loop" else name for name in ROOTS)
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


def _refused(cel_text: CelText) -> Iterator[str]:
    """What CEL allows and nobody could bound."""
    for pattern in cel_text.patterns:
        if pattern is None:
            yield "matches needs its pattern as a text in the expression itself"
        elif found := regular_expressions.problem(pattern):
            yield f"matches: the pattern {found}"
    if cel_text.macros > MAX_MACROS:
        yield f"has {cel_text.macros} macros (all, exists, exists_one, map, filter); at most {MAX_MACROS} are allowed"
    elif cel_text.macros and cel_text.grows:
        yield "uses + or builds lists or maps together with a macro: what that makes could grow without bound"


def _visible(cel_text: CelText, scope: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """What the expression names of the scope, and whether something of that is null. Raises ExpressionError where
    it is too much for what the expression does, or for what is left of the visit's allowance."""
    data: dict[str, Any] = {}
    size, values, longest, nulls = 0, 0, cel_text.longest_list, False
    for reference in cel_text.references:
        value = _place(reference.path, reference.guarded, scope, data)
        nulls = nulls or value is None
        measured = step_budget.measure(value, MAX_WORK - size, MAX_VALUES - values)
        size, values, longest = size + measured.size, values + measured.values, max(longest, measured.longest)
    rounds = min(MAX_ROUNDS, max(longest, 1) ** cel_text.macros)
    shares = (
        size * rounds / MAX_WORK,
        values / MAX_VALUES,
        size * rounds * _looks(cel_text) / regular_expressions.MAX_MATCHING,
    )
    if max(shares) > 1:
        what = f" and up to {rounds} rounds of its macros" if cel_text.macros else ""
        raise ExpressionError(f"is too much work with {values} values of {size} characters{what}")
    try:
        step_budget.spend(5 + int(max(shares) * step_budget.MAX_STEPS))
    except step_budget.TooMuchWork as error:
        raise ExpressionError(str(error)) from None
    if "loop" in data:
        data[LOOP] = data.pop("loop")
    return data, nulls


def _looks(cel_text: CelText) -> int:
    """How often its patterns may look at each character."""
    return sum(regular_expressions.program_size(pattern) for pattern in cel_text.patterns if pattern is not None)


def _place(path: Reference, guarded: bool, scope: Mapping[str, Any], data: dict[str, Any]) -> Any:
    """Puts what stands at the path into `data`, at the same place; gives it."""
    source: Any = scope
    for depth, segment in enumerate(path):
        if not isinstance(segment, str) or not isinstance(source, Mapping):
            return source
        if segment not in source:
            if not guarded:
                _fill(data, path[depth:])
            return None
        whole = depth == len(path) - 1 or not isinstance(path[depth + 1], str)
        inner = source[segment]
        if whole or not isinstance(inner, Mapping):
            data[segment] = inner
            return inner
        there = data.get(segment)
        if there is inner:
            return inner  # Another reference has put all of it there.
        if not isinstance(there, dict):
            there = data[segment] = {}
        source, data = inner, there
    return source


def _fill(data: dict[str, Any], rest: Reference) -> None:
    """Null where nothing is, down the path: `a.b == null` holds where there is no `a`."""
    for segment in rest[:-1]:
        if not isinstance(segment, str) or not isinstance(data.get(segment, {}), dict):
            return
        data = data.setdefault(segment, {})
    if isinstance(rest[-1], str):
        data.setdefault(rest[-1], None)


def _first_line(message: str) -> str:
    line = message.splitlines()[0] if message else "no reason given"
    for noise in ("INVALID_ARGUMENT: ", "UNKNOWN: ", "NOT_FOUND: ", "CANCELLED: ", "ERROR: ", " (in container '')"):
        line = line.replace(noise, "")
    line = line.replace(LOOP, "loop")
    return line.replace("<input>:", "line ").strip()[:300]
