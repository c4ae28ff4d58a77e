"""The ids that operators give: what they may look like, and how an address that names one is read."""

import re
from typing import Annotated

import msgspec

from filas.contract import policies
from filas.contract.policies import QueuePolicy
from ingest.api.routing.problems import absent, invalid_field

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Ids stand in addresses, keys and log lines, so nothing in them needs quoting."""

Identifier = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, description="Letters, digits, `.`, `_` and `-`.")]

_ID = re.compile(ID_PATTERN)


def known(kind: str, text: str) -> str:
    """The id under which something may be stored. What can't be an id names nothing: 404."""
    if not _ID.fullmatch(text):
        raise absent(kind, text)
    return text


def to_store(text: str, stated: str | None = None) -> str:
    """The id under which something is to be stored: 422 where it is none, or where the body states another."""
    if not _ID.fullmatch(text):
        raise invalid_field(
            "id", "an id has up to 128 letters, digits, `.`, `_` and `-`, and begins with one of the first two"
        )
    if stated is not None and stated != text:
        raise invalid_field("id", f"the body says {stated[:128]!r}, the address {text!r}")
    return text


def named_queue(name: str) -> QueuePolicy:
    """Returns the queue with this full or short name. Refuses with 422, naming `queue`, if there is none."""
    policy = policies.find(name)
    if policy is None:
        raise invalid_field("queue", f"the queues are {', '.join(policies.BY_SHORT)}")
    return policy


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a DELETE."""

    id: str
    deleted: bool = True
