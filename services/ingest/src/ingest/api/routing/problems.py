"""What the API refuses, as errors that become RFC 9457 problem documents."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One wrong field. `field` is its path in the body (`rateLimit.max`), `node_id` the flow's node it stands in."""

    message: str
    field: str = ""
    node_id: str | None = None


class Refusal(Exception):
    """The request is refused with `status`; `detail` is one sentence for the caller, `extra` goes beside it."""

    def __init__(self, status: int, title: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.extra = extra


def invalid(errors: Sequence[FieldError]) -> Refusal:
    """422, with every wrong field."""
    first = errors[0]
    where = " ".join(part for part in (first.node_id, first.field) if part)
    detail = f"{where}: {first.message}" if where else first.message
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more)"
    return Refusal(422, "Not valid", detail, errors=msgspec.to_builtins(list(errors)))


def invalid_field(field: str, message: str) -> Refusal:
    """422 for one wrong field."""
    return invalid([FieldError(field=field, message=message)])


def absent(kind: str, identifier: object) -> Refusal:
    """404: there is no such thing, by its kind and id."""
    return Refusal(404, "Not found", f"there is no {kind} {str(identifier)[:200]!r}")


def conflict(detail: str) -> Refusal:
    """409: the thing is in a state, or holds a name, that forbids the change."""
    return Refusal(409, "Conflict", detail)


def row_id(kind: str, text: str) -> UUID:
    """The id of a row as the address gives it. What is no id names no row: 404."""
    try:
        return UUID(text)
    except ValueError:
        raise absent(kind, text) from None
