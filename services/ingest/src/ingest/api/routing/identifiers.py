"""The ids of definitions: their form, and how they are read from a path."""

import re
from typing import Annotated

import msgspec

from filas.contract import policies
from filas.contract.policies import QueuePolicy
from ingest.api.routing.problems import invalid_field, not_found

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(?!\n)$"
"""An id appears in addresses, keys and log lines, so it has no character that needs quoting."""

Identifier = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, description="Letters, digits, `.`, `_` and `-`.")]

_ID = re.compile(ID_PATTERN)


def existing_id(kind: str, text: str) -> str:
    """Returns the id of a path that names a stored object. Raises the 404 for a text that cannot be an id."""
    if not _ID.fullmatch(text):
        raise not_found(kind, text)
    return text


def definition_id(text: str, in_body: str | None = None) -> str:
    """Returns the id of a path under which an object is stored.

    Raises the 422 for a text that is no id, and for a body that has another id.
    """
    if not _ID.fullmatch(text):
        raise invalid_field(
            "id", "an id has up to 128 letters, digits, `.`, `_` and `-`, and starts with a letter or a digit"
        )
    if in_body is not None and in_body != text:
        raise invalid_field("id", f"the id in the body is {in_body[:128]!r}, in the path {text!r}")
    return text


def named_queue(name: str) -> QueuePolicy:
    """Returns the queue with this full or short name. Raises the 422 for `queue` if there is none."""
    policy = policies.find(name)
    if policy is None:
        raise invalid_field("queue", f"the queues are {', '.join(policies.BY_SHORT)}")
    return policy


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a DELETE."""

    id: str
    deleted: bool = True
