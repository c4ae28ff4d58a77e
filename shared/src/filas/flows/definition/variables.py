"""Converts values to the types of variables."""

import json
import math
from typing import Any

from filas.flows.definition.flow_definition import Variable
from filas.flows.found_values import described


def convert(variable: Variable, value: Any) -> Any:
    """`value` as the variable's type. Null belongs to every type.

    Converts a number or a boolean to its text, a text that is a number to a number, and the texts `true` and `false` to
    a boolean. Raises ValueError for every other value of another type.
    """
    if value is None or variable.type == "any" or _is(variable.type, value):
        return value
    if variable.type == "string" and isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if variable.type == "number" and isinstance(value, str):
        return _number(variable, value.strip())
    if variable.type == "boolean" and value in ("true", "false"):
        return value == "true"
    raise wrong_value(variable, value)


def wrong_value(variable: Variable, value: Any) -> ValueError:
    """The error of a value that is not of the variable's type."""
    expected = "a text" if variable.type == "string" else f"a{'n' if variable.type == 'object' else ''} {variable.type}"
    return ValueError(f"variable {variable.name}: expected {expected}, found {described(value)}")


def _number(variable: Variable, text: str) -> int | float:
    try:
        number = json.loads(text) if len(text) <= 300 else None
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise wrong_value(variable, text)
    return number


def _is(kind: str, value: object) -> bool:
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "boolean": bool, "list": list, "object": dict}[kind])
