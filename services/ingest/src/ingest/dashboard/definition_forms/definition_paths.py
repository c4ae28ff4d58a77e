"""The places of values in a definition, as paths with points (`rateLimit.max`)."""

import re
from collections.abc import Iterable
from typing import Any

from ingest.dashboard.definition_forms.form_fields import ABSENT


def value_at(definition: Any, path: str) -> Any:
    """Returns the value at a path; ABSENT if there is none."""
    value = definition
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return ABSENT
        value = value[part]
    return value


def put_at(definition: dict[str, Any], path: str, value: Any) -> None:
    """Sets the value at a path. ABSENT removes it, and with it each object that is empty then."""
    *parents, last = path.split(".")
    chain = [definition]
    for part in parents:
        inner = chain[-1].get(part)
        if not isinstance(inner, dict):
            if value is ABSENT:
                return
            inner = chain[-1][part] = {}
        chain.append(inner)
    if value is not ABSENT:
        chain[-1][last] = value
        return
    chain[-1].pop(last, None)
    for outer, part in reversed(list(zip(chain, parents, strict=False))):
        if outer[part] == {}:
            del outer[part]


def nearest(place: str, known: Iterable[str]) -> str | None:
    """Returns the longest of the `known` paths that is `place` or contains it. None if there is none."""
    candidates = (one for one in known if place == one or (place.startswith(one) and place[len(one)] in ".["))
    return max(candidates, key=len, default=None)


def first_within(place: str, known: Iterable[str]) -> str | None:
    """Returns the first of the `known` paths that is within `place`. None if there is none."""
    return next((one for one in known if place and one.startswith(place) and one[len(place)] in ".["), None)


def text_name(path: str) -> str:
    """Returns the name that a path has in the catalogue: `rateLimit.max` is `rate-limit-max`."""
    plain = re.sub(r"\[\d+\]", "", path).replace(".", "-")
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", plain).lower()
