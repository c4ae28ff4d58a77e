"""The operators of rules, made from the code, with a description and examples."""

import json
from typing import Any, NamedTuple

from filas.flows.expressions.rules import OPERATORS, WITHOUT_VALUE


class Operator(NamedTuple):
    """`true` and `false` are pairs of operands for which a rule with the operator is true or false."""

    description: str
    true: tuple[Any, Any]
    false: tuple[Any, Any]


EXAMPLES = {
    "equals": Operator(
        'both are the same text, number, boolean or JSON; a number and a boolean equal their text (`5` and `"5"`)',
        ("Não ", "nao"),
        (True, 1),
    ),
    "not-equals": Operator("`equals` is false", ("5", 6), ("5,0", 5)),
    "contains": Operator(
        "a text contains the part, a list the item, an object the key", ("Oi, tudo bem?", "oi"), (["ab"], "a")
    ),
    "not-contains": Operator("`contains` is false", (None, "a"), ({"a": 1}, "a")),
    "starts-with": Operator("compared as texts", ("Pedido 7", "pedido"), (None, "a")),
    "ends-with": Operator("compared as texts", ("a.PDF", ".pdf"), ("a.pdf.zip", ".pdf")),
    "greater-than": Operator(
        "numbers, and texts that are numbers, by value; other texts by their order; never with null",
        ("10,5", 9),
        (5, 5),
    ),
    "greater-or-equal": Operator("`greater-than` is true, or both are equal numbers or texts", (5, 5), (None, 0)),
    "less-than": Operator("as `greater-than`", ("9", "10"), ("b", "A")),
    "less-or-equal": Operator(
        "`less-than` is true, or both are equal numbers or texts", ("2026-11-05", "2026-11-05"), ("inf", 5)
    ),
    "is-set": Operator("not null", ("", None), (None, None)),
    "is-empty": Operator("null, or an empty text, list or object", ([], None), (0, None)),
    "matches": Operator(
        "the [RE2](https://github.com/google/re2/wiki/Syntax) pattern is found in the text (`(?i)` ignores case)",
        ("pedido 42", "[0-9]+$"),
        ("Pedido 42", "^pedido"),
    ),
    "in": Operator(
        "`contains` with the operands exchanged: `value` may be a list", ("rio", ["Rio", "Recife"]), (1, [])
    ),
    "not-in": Operator("`in` is false", (3, [1, 2]), ("2", [1, 2])),
}
"""By operator, in any order."""


def table() -> str:
    """Every operator."""
    lines = ["| operator | true if | true for | false for |", "|---|---|---|---|"]
    for name in OPERATORS:
        shown = EXAMPLES[name]
        lines.append(f"| `{name}` | {shown.description} | {_pair(name, shown.true)} | {_pair(name, shown.false)} |")
    return "\n".join(lines) + "\n"


def _pair(name: str, operands: tuple[Any, Any]) -> str:
    """The operands as JSON; only the left one if the operator takes no value."""
    left, right = (f"`{json.dumps(operand, ensure_ascii=False)}`".replace("|", "\\|") for operand in operands)
    return left if name in WITHOUT_VALUE else f"{left} and {right}"
