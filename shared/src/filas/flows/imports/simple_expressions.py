"""Converts simple expressions of JavaScript to expressions of templates: values, sums, products, joined texts.

| JavaScript                | template                            |
|---------------------------|-------------------------------------|
| `{{Score}} + 5`           | `vars.score \\| plus: 5`             |
| `{{A}} * {{B}}`           | `vars.a \\| times: vars.b`           |
| `"Hi " + {{Name}}`        | `"Hi " \\| append: vars.name`        |

Anything else is not converted: code is never run.
"""

import re
from collections.abc import Callable
from typing import Final

from filas.flows.imports.template_text import quoted

_TOKEN: Final = re.compile(
    r"""\s* (?: (?P<number> \d+ (?: \.\d+ )? ) (?![\w.])
          | "(?P<double> [^"\\\n]* )" | '(?P<single> [^'\\\n]* )'
          | \{\{ \s* (?P<braced> [^{}]+? ) \s* \}\}
          | (?P<path> \$? [A-Za-z_]
              (?: [\w$.] | \[ (?: \d+ | "[^"\]]*" | '[^'\]]*' ) \] | \( (?: "[^"()]*" | '[^'()]*' )? \) )* )
          | (?P<operator> [+*/-] ) ) \s*""",
    re.VERBOSE,
)
_FILTERS: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided_by"}
MAX_CHARS: Final = 2000

Resolve = Callable[[str], str | None]
"""Returns the expression of a name or a path, or None if it is unknown."""


def convert_expression(text: str, resolve: Resolve) -> str | None:
    """The expression of a template without braces, or None. `resolve` finds what a name means."""
    operands: list[str] = []
    operators: list[str] = []
    has_text = False
    position = 0
    if len(text) > MAX_CHARS:
        return None
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.end() == position:
            return None
        position = found.end()
        if found["operator"] is not None:
            if len(operands) != len(operators) + 1:
                return None
            operators.append(found["operator"])
            continue
        written = found["double"] if found["double"] is not None else found["single"]
        has_text = has_text or written is not None
        operand = _operand(found, written, resolve)
        if operand is None or len(operands) != len(operators):
            return None
        operands.append(operand)
    if len(operands) != len(operators) + 1:
        return None
    return _chain(operands, operators, has_text)


def _operand(found: re.Match[str], written: str | None, resolve: Resolve) -> str | None:
    if written is not None:
        return quoted(written)
    if found["number"] is not None:
        return found["number"]
    return resolve(found["braced"] if found["braced"] is not None else found["path"])


def _chain(operands: list[str], operators: list[str], has_text: bool) -> str | None:
    if not operators:
        return operands[0]
    signs = set(operators)
    if any("|" in operand for operand in operands[1:]):
        return None  # An argument of a filter takes no filters.
    if has_text:
        return operands[0] + "".join(f" | append: {one}" for one in operands[1:]) if signs == {"+"} else None
    if operators == ["/"]:  # A division of whole numbers has a fraction in JavaScript.
        return f"{operands[0]} | times: 1.0 | divided_by: {operands[1]}"
    if signs <= {"+", "-"} or signs == {"*"}:
        parts = [f" | {_FILTERS[sign]}: {operand}" for sign, operand in zip(operators, operands[1:], strict=True)]
        return operands[0] + "".join(parts)
    return None
