"""Converts values to the types of variables."""

import json
import math
from typing import Any

from filas.flows.definition.flow_definition import Variable


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
    raise ValueError(f"variable {variable.name} is a {variable.type}, and the value is a {_name(value)}")


def _number(variable: Variable, text: str) -> int | float:
    try:
        number = json.loads(text) if len(text) <= 300 else None
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise ValueError(f"variable {variable.name} is a number, and the text is not")
    return number


def _is(kind: str, value: object) -> bool:
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "boolean": bool, "list": list, "object": dict}[kind])


def _name(value: object) -> str:
    return {str: "text", bool: "boolean", int: "number", float: "number", list: "list"}.get(type(value), "object")
