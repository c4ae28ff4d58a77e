"""JMESPath, with bounds on its work and on the size of its results."""

import functools
import json
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


def search(expression: str, value: Any) -> Any:
    """The value that the expression finds in `value` (JSON); None if it finds nothing. Raises ValueError."""
    tree, budget = _parsed(expression), step_budget.current()
    interpreter = _Interpreter(budget.left * STEPS_A_STEP)
    try:
        found = interpreter.visit(tree, value)
        budget.charge(step_budget.measure(found, MAX_VALUE_SIZE).size // 128)
        return plain(found)
    except _ERRORS as error:
        raise ValueError(_message(error)) from None
    finally:
        budget.left -= interpreter.steps // STEPS_A_STEP


@functools.lru_cache(maxsize=1024)
def _parsed(expression: str) -> Any:
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ValueError(f"is longer than {MAX_EXPRESSION_CHARS} characters")
    try:
        return jmespath.compile(expression).parsed
    except _ERRORS as error:
        raise ValueError(f"invalid JMESPath expression: {_message(error)}") from None


class _BoundedFunctions(Functions):
    """The functions whose result can be far larger than their arguments, checked before they run."""

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> Any:
        plain(value, max_size=MAX_MADE)
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> Any:
        if sum(len(item) for item in array) + len(separator) * len(array) > MAX_MADE:
            raise TooLarge("join makes too long a text")
        return separator.join(array)


class _Interpreter(TreeInterpreter):
    def __init__(self, max_steps: int) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions()))
        self._max_steps = max_steps
        self.steps = 0

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._charge(1)
        made = super().visit(node, *args, **kwargs)
        if isinstance(made, (list, dict)) and node["type"] not in ("field", "current", "identity", "index"):
            # Lists of the same list are small in memory, and huge when they are compared or written.
            self._charge(len(made) // 8)
            if node["type"] in ("multi_select_list", "multi_select_dict", "flatten", "function_expression"):
                plain(made, max_size=MAX_MADE)
                self._charge(len(made))
        return made

    def _charge(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self._max_steps:
            raise TooLarge("the expression does too much work")


def _message(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deep"
    if isinstance(error, TooLarge):
        return str(error)
    return describe_jmespath(str(error))
