"""What all records consist of: rows as the repository returns them and as the API shows them."""

from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row as the API shows it."""


class ErrorDetail(Record, frozen=True, kw_only=True):
    """Why something failed. `kind` is a stable word (`timeout`, `communication`, `http-status`, `template`, …)."""

    kind: str
    message: str
    node_id: str | None = None
    detail: dict[str, Any] | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. `next_cursor` is None on the last page."""

    items: list[Any]
    next_cursor: str | None = None
