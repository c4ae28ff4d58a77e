"""The errors that a handler of the API raises. `access` answers each with an RFC 9457 problem document."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One wrong field. `field` is its path in the body (`rateLimit.max`), `node_id` the flow's node that has it. `code`
    names the check of a flow that found it."""

    message: str
    field: str = ""
    node_id: str | None = None
    code: str = ""


class ApiProblem(Exception):
    """The request is answered with `status`.

    `detail` is one sentence for the client. `extra` are further members of the problem document.
    """

    def __init__(self, status: int, title: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.extra = extra


class InvalidFields(ApiProblem):
    """The 422 that lists wrong fields."""

    def __init__(self, detail: str, errors: Sequence[FieldError]) -> None:
        super().__init__(422, "Invalid", detail, errors=msgspec.to_builtins(list(errors)))
        self.errors = list(errors)


def invalid(errors: Sequence[FieldError]) -> InvalidFields:
    """Returns the 422 that lists every wrong field. `errors` has at least one."""
    first = errors[0]
    where = " ".join(part for part in (first.node_id, first.field) if part)
    detail = f"{where}: {first.message}" if where else first.message
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more)"
    return InvalidFields(detail, errors)


def invalid_field(field: str, message: str) -> InvalidFields:
    """Returns the 422 for one wrong field."""
    return invalid([FieldError(field=field, message=message)])


def not_found(kind: str, identifier: object) -> ApiProblem:
    """Returns the 404 for an object that does not exist."""
    return ApiProblem(404, "Not found", f"no {kind} {str(identifier)[:200]!r}")


def conflict(detail: str) -> ApiProblem:
    """Returns the 409 for an object whose state or name forbids the change."""
    return ApiProblem(409, "Conflict", detail)


def parse_row_id(kind: str, text: str) -> UUID:
    """Returns the id of a row as it is in the path. Raises the 404 for a text that is no id."""
    try:
        return UUID(text)
    except ValueError:
        raise not_found(kind, text) from None
