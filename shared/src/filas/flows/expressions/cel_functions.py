"""What Filas adds to CEL: arithmetic across whole numbers and decimals, and functions of texts.

JSON has only one type of numbers, so `total * 2` is the same for 10 and for 10.5. CEL itself compares
whole numbers with decimals, and has no arithmetic across them.
"""

import datetime
import math
from collections.abc import Callable
from typing import Any, Final

_UPPER: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

_MAX_SECONDS: Final = 253_402_300_799


def extension(cel: Any) -> Any:
    """The extension for an environment of the library `cel`."""
    return cel.CelExtension("filas", [*_arithmetic(cel), *_texts(cel), _timestamp(cel)])


def with_decimals(value: Any) -> Any:
    """The value with each whole number as a decimal: 7 / 2 is 3.5 in JSON. Zero is a whole number, because the
    division by a whole number reports it."""
    return _converted(value, _decimal)


def all_decimals(value: Any) -> Any:
    """The value with each whole number as the nearest decimal: for results of more than 64 bits."""
    return _converted(value, _nearest)


def _decimal(number: int | float) -> int | float:
    return 0 if number == 0 else _nearest(number)


def _nearest(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _converted(value: Any, convert: Callable[[int | float], int | float]) -> Any:
    if isinstance(value, dict):
        return {key: _converted(item, convert) for key, item in value.items()}
    if isinstance(value, list):
        return [_converted(item, convert) for item in value]
    return convert(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _arithmetic(cel: Any) -> list[Any]:
    whole, decimal = cel.Type.INT, cel.Type.DOUBLE
    mixed = (("double_int", [decimal, whole]), ("int_double", [whole, decimal]))
    operations: list[tuple[str, str, Callable[[Any, Any], float], Any]] = [
        ("_+_", "add", lambda left, right: float(left) + float(right), mixed),
        ("_-_", "subtract", lambda left, right: float(left) - float(right), mixed),
        ("_*_", "multiply", lambda left, right: float(left) * float(right), mixed),
        ("_/_", "divide", _divided, mixed),
        ("_%_", "modulo", _modulo, (*mixed, ("double_double", [decimal, decimal]))),
    ]
    return [
        cel.FunctionDecl(
            name,
            [
                cel.Overload(id=f"filas_{word}_{kinds}", return_type=decimal, parameters=types, impl=work)
                for kinds, types in pairs
            ],
        )
        for name, word, work, pairs in operations
    ]


def _divided(left: float, right: float) -> float:
    if not right:
        raise ValueError("divide by zero")
    return float(left) / float(right)


def _modulo(left: float, right: float) -> float:
    """With the sign of the left operand, as CEL's modulo of whole numbers."""
    if not right:
        raise ValueError("modulus by zero")
    return math.fmod(left, right) if math.isfinite(left) else math.nan


def _texts(cel: Any) -> list[Any]:
    functions: dict[str, Callable[[str], str]] = {
        "lowerAscii": lambda text: text.translate(_LOWER),
        "upperAscii": lambda text: text.translate(_UPPER),
        "trim": lambda text: text.strip(),
    }
    text = cel.Type.STRING
    return [
        cel.FunctionDecl(
            name, [cel.Overload(id=f"filas_{name}", return_type=text, parameters=[text], is_member=True, impl=work)]
        )
        for name, work in functions.items()
    ]


def _timestamp(cel: Any) -> Any:
    """Seconds since 1970 with a fraction; CEL itself reads whole seconds."""
    overload = cel.Overload(
        id="filas_timestamp_double",
        return_type=cel.Type.TIMESTAMP,
        parameters=[cel.Type.DOUBLE],
        impl=_since_1970,
    )
    return cel.FunctionDecl("timestamp", [overload])


def _since_1970(seconds: float) -> datetime.datetime:
    bounded = min(max(seconds, 0.0), float(_MAX_SECONDS)) if math.isfinite(seconds) else 0.0
    return datetime.datetime.fromtimestamp(bounded, datetime.UTC)
