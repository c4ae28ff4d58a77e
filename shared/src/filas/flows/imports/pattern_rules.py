"""Rules that other products have and ours are made of."""

from typing import Any, Final

from filas.flows import regular_expressions
from filas.flows.imports.template_text import quoted

MAX_RULES: Final = 100

NEVER: Final = {"variable": "{{ nil }}", "operator": "is-set"}
"""A rule that is never true."""


def matching(name: str, written: str, *, is_wanted: bool) -> dict[str, Any] | None:
    """The rule of a pattern of JavaScript (`/a+/i` or `a+`), or None if RE2 or a template cannot express it."""
    pattern = written
    if written.startswith("/") and written.rfind("/") > 0:
        pattern, _, flags = written[1:].rpartition("/")
        kept = "".join(flag for flag in "ims" if flag in flags)
        pattern = f"(?{kept}){pattern}" if kept else pattern
    if not pattern or "{{" in pattern or "{%" in pattern or regular_expressions.problem(pattern):
        return None
    if is_wanted:
        return {"variable": f"{{{{ {name} }}}}", "operator": "matches", "value": pattern}
    argument = quoted(f"({pattern})")
    if argument is None or regular_expressions.problem(f"({pattern})"):
        return None
    return {"variable": f"{{{{ {name} | regex_match: {argument} }}}}", "operator": "is-empty"}
