"""JSON as the references show it."""

import json
from typing import Any

WIDTH = 118
"""The longest line, where JSON can be broken."""


def laid_out(value: Any, indent: int = 0, before: int = 0) -> str:
    """The value on one line if it fits, otherwise each of its parts on lines of its own. `before` is the number of
    characters before it on its first line."""
    whole = json.dumps(value, ensure_ascii=False)
    if indent + before + len(whole) < WIDTH or not isinstance(value, dict | list) or not value:
        return whole
    inner = indent + 2
    if isinstance(value, list):
        parts = [laid_out(part, inner) for part in value]
    else:
        names = [json.dumps(name, ensure_ascii=False) + ": " for name in value]
        parts = [name + laid_out(part, inner, len(name)) for name, part in zip(names, value.values(), strict=True)]
    opening, closing = ("[", "]") if isinstance(value, list) else ("{", "}")
    return f"{opening}\n" + ",\n".join(" " * inner + part for part in parts) + f"\n{' ' * indent}{closing}"
