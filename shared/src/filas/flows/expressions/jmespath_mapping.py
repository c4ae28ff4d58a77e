"""JMESPath, with bounds on its work and on the size of its results."""

import functools
import json
from collections.abc import Callable, Iterable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from jmespath.visitor import Options, TreeInterpreter

from filas.flows import step_budget
from filas.flows.library_errors import describe_jmespath
from filas.flows.value_limits import MAX_EXPRESSION_CHARS, MAX_VALUE_SIZE, TooLarge, plain

STEPS_A_STEP = 2
"""Steps of the interpreter that count as one step of the budget. Each examines one value."""

MAX_COMPARED = 1024 * 1024
"""Up to this size, lists and objects are measured before they are compared. Most differ early."""

MAX_MADE = 256 * 1024
"""The largest text, list or object that a step may build, as `value_limits.plain` counts."""

_ERRORS = (JMESPathError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


def problem(expression: str) -> str | None:
    """The error of an expression, or None."""
    try:
        _parsed(expression)
    except ValueError as error:
        return str(error)
    return None


def find(expression: str, value: Any, max_steps: int) -> Any:
    """Like `search`, but the result is part of `value` or made of its parts, and the work is bounded by `max_steps`.

    A step examines one value, in one to two microseconds. Raises TooMuchWork beyond `max_steps`, and ValueError.
    """
    try:
        return _Interpreter(_Work(max_steps)).visit(_parsed(expression), value)
    except step_budget.TooMuchWork:
        raise
    except _ERRORS as error:
        raise ValueError(_message(error)) from None


def plain_path(expression: str) -> list[str | int] | None:
    """The names and indexes of an expression such as `a.b[0].c`; None for any other expression. Raises ValueError."""
    names: list[str | int] = []
    pending = [_parsed(expression)]
    while pending:
        node = pending.pop()
        if node["type"] in ("field", "index"):
            names.append(node["value"])
        elif node["type"] in ("subexpression", "index_expression"):
            pending += reversed(node["children"])
        else:
            return None
    return names


def search(expression: str, value: Any) -> Any:
    """The value that the expression finds in `value` (JSON); None if it finds nothing. Raises ValueError."""
    budget = step_budget.current()
    try:
        found = _found(expression, value, budget)
        budget.charge(step_budget.measure(found, MAX_VALUE_SIZE).size // 128)
        return plain(found)
    except _ERRORS as error:
        raise ValueError(_message(error)) from None


def _found(expression: str, value: Any, budget: step_budget.StepBudget) -> Any:
    names = _names(expression)
    if names is not None:
        budget.charge(1 + len(names) // STEPS_A_STEP)
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value
    work = _Work(budget.left * STEPS_A_STEP)
    try:
        return _Interpreter(work).visit(_parsed(expression), value)
    finally:
        budget.left -= work.steps // STEPS_A_STEP


@functools.lru_cache(maxsize=1024)
def _names(expression: str) -> tuple[str, ...] | None:
    """The names of an expression such as `a.b.c`, the most frequent one: no interpreter is needed for it."""
    names = plain_path(expression) or []
    found = tuple(name for name in names if isinstance(name, str))
    return found if found and len(found) == len(names) else None


@functools.lru_cache(maxsize=1024)
def _parsed(expression: str) -> Any:
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ValueError(f"is longer than {MAX_EXPRESSION_CHARS} characters")
    try:
        return jmespath.compile(expression).parsed
    except _ERRORS as error:
        raise ValueError(f"invalid JMESPath expression: {_message(error)}") from None


class _Work:
    """The steps of one evaluation so far.

    It is not part of the interpreter, which would then hold itself and its values until the next garbage collection.
    """

    __slots__ = ("max_steps", "steps")

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps
        self.steps = 0

    def charge(self, steps: int) -> None:
        """Adds steps. Raises TooMuchWork beyond the limit."""
        self.steps += steps
        if self.steps > self.max_steps:
            raise step_budget.TooMuchWork


class _BoundedFunctions(Functions):
    """Counts the work of a function before it runs. A result that can be far larger than the arguments is bounded."""

    def __init__(self, work: _Work) -> None:
        super().__init__()
        self._charge = work.charge

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        resolved_args = list(resolved_args)
        for given in resolved_args:
            if isinstance(given, (str, list, dict)):
                # The types of a list's items are checked one by one; a text is only searched.
                self._charge(len(given) // (256 if isinstance(given, str) else 2))
        return super().call_function(function_name, resolved_args)

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> Any:
        self._charge(2 * step_budget.measure(value, MAX_MADE).values)
        plain(value, max_size=MAX_MADE)
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> Any:
        if sum(len(item) for item in array) + len(separator) * len(array) > MAX_MADE:
            raise TooLarge("join makes too long a text")
        return separator.join(array)


class _Interpreter(TreeInterpreter):
    def __init__(self, work: _Work) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions(work)))
        self._charge = work.charge

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._charge(1)
        # The library keeps bound methods in the interpreter, which is a reference cycle.
        made = _METHODS[node["type"]](self, node, *args, **kwargs)
        if isinstance(made, (list, dict)) and node["type"] not in ("field", "current", "identity", "index"):
            # Lists of the same list are small in memory, and huge when they are compared or written.
            self._charge(len(made) // 8)
            if node["type"] in ("multi_select_list", "multi_select_dict", "flatten", "function_expression"):
                measured = step_budget.measure(made, MAX_MADE)
                if measured.size > MAX_MADE:
                    raise TooLarge("the expression makes too large a value")
                self._charge(len(made) + measured.values // 8)
        return made

    def visit_comparator(self, node: Any, value: Any) -> Any:
        operands = [self.visit(child, value) for child in node["children"]]
        size = min(len(given) if isinstance(given, (list, dict)) else 0 for given in operands)
        if size:
            # Equal lists may be compared to their ends, with all that is in them.
            self._charge(step_budget.measure(operands[0], MAX_COMPARED).values // 8)
        literals = [{"type": "literal", "value": given, "children": []} for given in operands]
        evaluated: Any = {**node, "children": literals}
        return super().visit_comparator(evaluated, value)


_METHODS: dict[str, Callable[..., Any]] = {
    name.removeprefix("visit_"): getattr(_Interpreter, name) for name in dir(_Interpreter) if name.startswith("visit_")
}
"""The method for each type of node."""


def _message(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deep"
    if isinstance(error, step_budget.TooMuchWork):
        return "the expression does too much work"
    if isinstance(error, TooLarge):
        return str(error)
    return describe_jmespath(str(error))
