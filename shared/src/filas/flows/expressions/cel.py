"""Conditions in CEL, the Common Expression Language (https://cel.dev), bounded in work.

A missing name is null, unless the expression tests it with `has()`. If a null makes an operation impossible (`null >
5`), the condition is false. Every other mistake is an error.

CEL always ends, but perhaps late: each of up to 10,000 rounds of its macros may copy a large text, and the interpreter
does not release the GIL. Therefore an expression sees only the values that it names, and the amount that it may copy is
calculated before it runs. With macros it cannot build texts or lists that grow from round to round.

The library takes 11 MiB. It is imported with the first expression.
"""

import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from filas.flows import author_settings, regular_expressions, step_budget
from filas.flows.expressions import cel_functions
from filas.flows.expressions.cel_text import ANY_TIME, LOOP, NOW, CelText, compilable, read
from filas.flows.found_values import described
from filas.flows.library_errors import describe_cel
from filas.flows.root_names import ROOTS
from filas.flows.value_limits import MAX_EXPRESSION_CHARS

MAX_WORK = 32 * 1024 * 1024
"""The largest amount that one evaluation may copy, in characters, as calculated before it runs."""

MAX_VALUES = 40_000
"""The largest number of values (numbers, texts, lists and so on) for one evaluation. Each is converted for it."""

MAX_MACROS = 4
MAX_ROUNDS = 10_000
"""CEL's own bound on the rounds of all macros of an evaluation."""

_MISSING = ("Key not found", "Index error", "SELECT to non-message", "null_type")
"""Parts of the library's errors for a missing value, or an operation on null."""

_MAX_FOUND = 3
"""The largest number of values that an error shows."""

_TOO_LARGE = ("out of range", "integer overflow", "uint64")
"""Parts of the library's errors for a whole number that needs more than 63 bits."""

_MIXED = re.compile(r"found no matching overload for '[^']+' applied to '\((?:bool, )?(?:int, double|double, int)\)'")
"""The compiler's error for an operation across whole numbers and decimals."""

_NO_OVERLOAD = "No matching overloads"
"""A part of the library's error for operands of wrong types."""

Roots = tuple[str, ...]
Reference = tuple[str | int | None, ...]


class ExpressionError(ValueError):
    """An expression is not valid, or cannot be evaluated with the values in scope."""


def problem(text: str, roots: Roots = ROOTS) -> str | None:
    """The error of an expression before it runs, with its position if it is known; or None. `roots` are the first
    names of its paths."""
    try:
        _compiled(text, roots)
        for call in _read(text, roots).constant_calls:
            _check_constant(call)
    except ExpressionError as error:
        return str(error)
    return None


def _check_constant(call: str) -> None:
    """Evaluates a call whose arguments are constants, such as `timestamp("tomorrow")`. Raises ExpressionError."""
    failed, value = _run(_environment(()).compile(call), {})
    if failed:
        shown = call.removeprefix(f"{ANY_TIME}.")
        raise ExpressionError(f"{shown} can never be evaluated: {_first_line(str(value))}")


def references(text: str, roots: Roots = ROOTS) -> tuple[Reference, ...]:
    """The paths that an expression looks up, such as `("vars", "name")`; None for a computed part."""
    return tuple(reference.path for reference in _read(text, roots).references)


def evaluate(text: str, scope: Mapping[str, Any], roots: Roots = ROOTS) -> bool:
    """Evaluates the expression. `scope` is that of templates. Raises ExpressionError."""
    program, cel_text = _compiled(text, roots), _read(text, roots)
    data, nulls = _visible(cel_text, scope)
    if cel_text.divides:
        data = cel_functions.with_decimals(data)
    if cel_text.uses_now:
        data[NOW] = author_settings.current().moment()
    try:
        failed, value = _run(program, data)
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise ExpressionError(_first_line(str(error))) from None
    if failed:
        message = str(value).partition("\n")[0]
        if any(sign in message for sign in _MISSING) or (nulls and _NO_OVERLOAD in message):
            return False
        raise ExpressionError(f"cannot be evaluated: {_first_line(message)}{_found(cel_text, scope)}")
    if not isinstance(value, bool):
        if value is None:
            return False
        raise ExpressionError("is neither true nor false: compare the value, for example with ==")
    return value


def _found(cel_text: CelText, scope: Mapping[str, Any]) -> str:
    """The values of the first names in the expression, for its error."""
    found = []
    for reference in dict.fromkeys(each.path for each in cel_text.references):
        if reference[0] != "secrets" and all(isinstance(segment, str) for segment in reference):
            value: Any = scope
            for segment in reference:
                value = value.get(segment) if isinstance(value, Mapping) else None
            found.append(f"{'.'.join(map(str, reference))} is {described(value)}")
    return f" ({', '.join(found[:_MAX_FOUND])})" if found else ""


def _run(program: Any, data: dict[str, Any]) -> tuple[bool, Any]:
    """Whether the evaluation failed, and its value or error. Raises the library's errors for data that it refuses."""
    result = program.eval(data=data)
    failed, value = str(result.type()) == "ERROR", result.value()
    if failed and any(sign in str(value) for sign in _TOO_LARGE):
        # CEL has whole numbers of 64 bits, and JSON has larger ones.
        result = program.eval(data=cel_functions.all_decimals(data))
        failed, value = str(result.type()) == "ERROR", result.value()
    return failed, value


@functools.lru_cache(maxsize=512)
def _read(text: str, roots: Roots) -> CelText:
    return read(text, roots)


@functools.lru_cache(maxsize=512)
def _compiled(text: str, roots: Roots) -> Any:
    if len(text) > MAX_EXPRESSION_CHARS:
        raise ExpressionError(f"is longer than {MAX_EXPRESSION_CHARS} characters")
    try:
        program = _environment(roots).compile(compilable(text))
    except (RuntimeError, ValueError, TypeError) as error:
        program = _compiled_unchecked(text, roots, str(error))
        if program is None:
            raise ExpressionError(f"invalid CEL expression: {_first_line(_main_error(str(error)))}") from None
    for refused in _refused(_read(text, roots)):
        raise ExpressionError(refused)
    return program


def _compiled_unchecked(text: str, roots: Roots, error: str) -> Any:
    """The program of an expression whose only error is that it combines a whole number with a decimal, such as
    `size(x) > 1.5`: CEL evaluates it, and its compiler refuses it. Otherwise None."""
    errors = error.split("ERROR:")[1:]
    if not errors or not all(_MIXED.search(each) for each in errors):
        return None
    try:
        return _environment(roots).compile(compilable(text), disable_check=True)
    except (RuntimeError, ValueError, TypeError):
        return None


def _main_error(error: str) -> str:
    """The first error that is not only a combination of a whole number with a decimal."""
    errors = error.split("ERROR:")
    others = [each for each in errors[1:] if not _MIXED.search(each)]
    return f"ERROR:{others[0]}" if others else error


@functools.lru_cache(maxsize=4)
def _environment(roots: Roots) -> Any:
    cel = importlib.import_module("cel_expr_python.cel")
    names = (LOOP if name == "loop" else name for name in roots)
    variables = {**dict.fromkeys(names, cel.Type.DYN), NOW: cel.Type.TIMESTAMP}
    return cel.NewEnv(variables=variables, extensions=[cel_functions.extension(cel)])


def _refused(cel_text: CelText) -> Iterator[str]:
    """The errors of constructs that CEL allows but whose cost cannot be bounded."""
    for pattern in cel_text.patterns:
        if pattern is None:
            yield "matches needs its pattern as a text in the expression itself"
        elif found := regular_expressions.problem(pattern):
            yield f"matches: {found}"
    if cel_text.macros > MAX_MACROS:
        yield f"has {cel_text.macros} macros (all, exists, exists_one, map, filter); at most {MAX_MACROS} are allowed"
    elif cel_text.macros and cel_text.grows:
        yield "uses + or builds lists or maps together with a macro: the result could grow without bound"


def _visible(cel_text: CelText, scope: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The values in scope that the expression names, and whether one of them is null. Raises ExpressionError if they
    are too large for the expression, or for the rest of the visit's step budget."""
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
        raise ExpressionError(f"does too much work: {values} values of {size} characters{what}")
    try:
        step_budget.charge(5 + int(max(shares) * step_budget.MAX_STEPS))
    except step_budget.TooMuchWork as error:
        raise ExpressionError(str(error)) from None
    if "loop" in data:
        data[LOOP] = data.pop("loop")
    return data, nulls


def _looks(cel_text: CelText) -> int:
    """How often its patterns may examine each character."""
    return sum(regular_expressions.program_size(pattern) for pattern in cel_text.patterns if pattern is not None)


def _place(path: Reference, guarded: bool, scope: Mapping[str, Any], data: dict[str, Any]) -> Any:
    """Copies the value at the path into `data`, to the same path, and returns it."""
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
            return inner  # Another reference has copied all of it.
        if not isinstance(there, dict):
            there = data[segment] = {}
        source, data = inner, there
    return source


def _fill(data: dict[str, Any], rest: Reference) -> None:
    """Fills a missing path with null, so that `a.b == null` is true if there is no `a`."""
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
    return describe_cel(line.replace("<input>:", "line ").strip())
