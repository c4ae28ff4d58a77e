"""Templates that an author wrote with single braces: `{vars.name}`. They would be sent as they are written."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from filas.flows.root_names import ROOTS

_NAME = r"\$?[A-Za-z_][\w-]*"
_PATH = re.compile(
    rf"""\{{ \s* (?P<path> (?P<root> {_NAME} ) (?P<members> (?: \.[\w-]+ | \[[^\]{{}}]{{0,200}}\] )* ) )
    \s* (?: \|[^{{}}]{{0,200}} )? (?P<end> \}} | \Z )""",
    re.VERBOSE,
)


class SingleBraces(NamedTuple):
    """A path in single braces. `is_certain`: it begins with a name that templates know; otherwise it is only the name
    of a variable, which a text may contain as it is."""

    path: str
    is_certain: bool


def single_braces(text: str, variables: Collection[str]) -> Iterator[SingleBraces]:
    """Every path in single braces in a valid template, outside of `{{ … }}`. Nothing in a text with `{% raw %}` or
    `{% comment %}`. The time is linear."""
    if "{" not in text or "endraw" in text or "endcomment" in text:
        return
    *closed, rest = text.split("}}")
    for index, part in enumerate([*closed, rest]):
        outside = part.partition("{{")[0]
        for found in _PATH.finditer(outside):
            # `{ vars.name }}`: the split has removed both braces.
            if not found["end"] and (index == len(closed) or len(outside) != len(part)):
                continue
            root, members = found["root"].removeprefix("$"), found["members"]
            if members and (root in ROOTS or root == "node"):
                yield SingleBraces(found["path"], is_certain=True)
            elif not members and root in variables:
                yield SingleBraces(found["path"], is_certain=False)
