"""Changes a JSON document as a tree, so that it is still JSON and reaches the code that reads its fields."""

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

STRANGE: Sequence[Any] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 2**31, 2**53, 2**63, 10**30, "", " ", "0", "-1", "1e5", "x", "\x00",
    "\ufffd", "\u202e", "é", "e\u0301", "2026-11-27T12:00:00Z", "{{ body }}", "{{", "{%", "$", "*", "../", "\n",
    [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}, "a" * 300,
)  # fmt: skip
MAX_CHANGES = 6
_Path = tuple[Any, ...]


def changed(document: Any, words: Sequence[str], seed: int) -> Any:
    """A copy of `document` in which parts are missing, strange, renamed, repeated, or in another place too."""
    chance = random.Random(seed)
    made = [copy.deepcopy(document)]
    for _ in range(chance.randint(1, MAX_CHANGES)):
        paths = list(_places(made))
        path = chance.choice(paths)
        owner, key = _at(made, path[:-1]), path[-1]
        kind = chance.randrange(6)
        if kind == 0 and len(path) > 1:
            del owner[key]
        elif kind == 1 and words:
            owner[key] = chance.choice(words)
        elif kind == 2:
            owner[key] = copy.deepcopy(_at(made, chance.choice(paths)))
        elif kind == 3 and isinstance(owner, dict):
            owner[str(chance.choice([*words, *owner])) if words else f"{key}{key}"] = copy.deepcopy(owner[key])
        elif kind == 3 and len(path) > 1:
            owner.insert(key, copy.deepcopy(owner[key]))
        elif kind == 4 and isinstance(owner[key], str):
            owner[key] = _changed_text(owner[key], words, chance)
        else:
            owner[key] = copy.deepcopy(chance.choice(STRANGE))
    return made[0]


def encoded(document: Any, max_bytes: int) -> bytes | None:
    """The document as JSON. None if it is longer than `max_bytes`."""
    try:
        found = msgspec.json.encode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if len(found) <= max_bytes else None


def _changed_text(text: str, words: Sequence[str], chance: random.Random) -> str:
    begin = chance.randint(0, len(text))
    end = min(len(text), begin + chance.randint(0, 3))
    inserted = chance.choice([*words, *(one for one in STRANGE if isinstance(one, str)), chr(chance.randint(0, 0x2FF))])
    return text[:begin] + inserted + text[end:]


def _places(value: Any) -> Iterator[_Path]:
    """The path of everything in `value`, without `value` itself."""
    pending: list[tuple[_Path, Any]] = [((), value)]
    while pending:
        path, one = pending.pop()
        if path:
            yield path
        pairs = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        pending += [((*path, key), item) for key, item in pairs]


def _at(value: Any, path: _Path) -> Any:
    for key in path:
        value = value[key]
    return value
