"""Paths into a response, as Typebot writes them (`data.items[0].name`), in JMESPath (`body.items[0].name`)."""

import re
from typing import Final

_STEP: Final = re.compile(
    r"""\s* (?: \.? (?P<name> [A-Za-z_$][\w$-]* ) | \[ (?P<index> -?\d+ ) \]
         | \[ (?: "(?P<double> [^"\]\\]+ )" | '(?P<single> [^'\]\\]+ )' ) \] ) """,
    re.VERBOSE,
)
_PLAIN: Final = re.compile(r"[A-Za-z_]\w*")
_ROOTS: Final = {"data": "body", "statusCode": "status"}


def path_of(written: str) -> str | None:
    """The path in `{status, headers, body}`, or None if it is none (a call of a function)."""
    written = written.strip()
    position, steps = 0, list[str]()
    while position < len(written) and len(steps) < 50:
        found = _STEP.match(written, position)
        if found is None:
            return None
        position = found.end()
        name = found["name"] or found["double"] or found["single"]
        if name is None:
            steps.append(f"[{found['index']}]")
        else:
            steps.append(name if _PLAIN.fullmatch(name) else f'"{name}"')
    if position < len(written) or not steps:
        return None
    root = _ROOTS.get(steps[0])
    steps = [root, *steps[1:]] if root else ["body", *steps]
    return steps[0] + "".join(step if step.startswith("[") else f".{step}" for step in steps[1:])
