"""Pages of lists: opaque cursors, and searches that contain only the conditions that were given."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from filas.errors import InvalidCursor
from filas.models.record import Page

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
PAGE_BYTES: Final = 2**20
"""How many bytes of rows a page has. It has at least one row."""

FOREIGN_CURSOR: Final = "the cursor does not belong to this list"

_MAX_DIGITS: Final = 9
"""Of a number that Postgres' type `integer` can hold."""

_WITHIN_BYTES: Final = """
select * from (
    select *, count(*) over () as found,
        coalesce(sum({size}) over (order by {order} rows between unbounded preceding and 1 preceding), 0)
            as bytes_before
    from ({select}) selected
) page
where bytes_before < {max_bytes} order by {order}"""

Position = TypeVar("Position", bound=msgspec.Struct)


class _TimeCursor(msgspec.Struct, frozen=True, array_like=True):
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    id: UUID


class _NameCursor(msgspec.Struct, frozen=True, array_like=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]


def bounded(limit: int) -> int:
    """`limit` within 1..500."""
    return max(1, min(limit, MAX_LIMIT))


class Filter:
    """The conditions of one search. Each is SQL with `{}` in place of its argument."""

    def __init__(self) -> None:
        self.arguments: list[object] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *arguments: object) -> None:
        """Adds `condition`, unless one of its arguments is None."""
        if any(argument is None for argument in arguments):
            return
        self._conditions.append(condition.format(*(self.place(argument) for argument in arguments)))

    def require(self, condition: str) -> None:
        """Adds `condition`, which has no argument."""
        self._conditions.append(condition)

    def place(self, argument: object) -> str:
        """Adds an argument and returns its placeholder (`$1`, `$2`, …)."""
        self.arguments.append(argument)
        return f"${len(self.arguments)}"

    def before(self, cursor: str | None, time_column: str) -> None:
        """Adds the condition for the rows after `cursor` in a list with the newest row first. Raises InvalidCursor."""
        if cursor is not None:
            self.add(f"({time_column}, id) < ({{}}, {{}})", *position_of(cursor))

    def where(self) -> str:
        """The `where` clause, empty without conditions."""
        return "where " + " and ".join(self._conditions) if self._conditions else ""


def cursor_at(time: datetime, row_id: UUID) -> str:
    """The cursor of the rows after a row, in a list by time."""
    return _encode(_TimeCursor(time, row_id))


def position_of(cursor: str) -> tuple[datetime, UUID]:
    """The row that a cursor of a list by time names. Raises InvalidCursor."""
    position = _decode(cursor, _TimeCursor)
    try:
        return position.time.astimezone(UTC), position.id
    except OverflowError:
        raise InvalidCursor(FOREIGN_CURSOR) from None


def within_bytes(select: str, size: str, order: str, max_bytes: int = PAGE_BYTES) -> str:
    """A statement with the first rows of `select` that have together about `max_bytes`; at least one row.

    `size` is SQL for the bytes of a row, `order` the order of `select`. The column `found` has the number of rows that
    `select` found. The server sends no row beyond the bound.
    """
    return _WITHIN_BYTES.format(select=select, size=size, order=order, max_bytes=max_bytes)


def _kept(rows: Sequence[asyncpg.Record], limit: int) -> tuple[Sequence[asyncpg.Record], bool]:
    """The rows of a page, and whether more follow."""
    kept = rows[:limit]
    found = rows[0].get("found", len(rows)) if rows else 0
    return kept, found > len(kept)


def page_by_time(
    rows: Sequence[asyncpg.Record], limit: int, time_column: str, read: Callable[[asyncpg.Record], Any]
) -> Page:
    """The page of `rows`, of which one more than `limit` were selected. `read` makes an item from a row."""
    kept, more = _kept(rows, limit)
    cursor = cursor_at(kept[-1][time_column], kept[-1]["id"]) if more else None
    return Page(items=[read(row) for row in kept], next_cursor=cursor)


def page_by_name(
    rows: Sequence[asyncpg.Record], limit: int, column: str, read: Callable[[asyncpg.Record], Any]
) -> Page:
    """`page_by_time` for a list in the order of a text column, or of a number."""
    kept, more = _kept(rows, limit)
    cursor = _encode(_NameCursor(str(kept[-1][column]))) if more else None
    return Page(items=[read(row) for row in kept], next_cursor=cursor)


def after_name(cursor: str | None) -> str:
    """The name after which the next page of a list by name starts. Raises InvalidCursor."""
    return "" if cursor is None else _decode(cursor, _NameCursor).name


def after_number(cursor: str | None) -> int | None:
    """The number after which the next page of a list by number starts, None: the first page. Raises InvalidCursor."""
    if cursor is None:
        return None
    name = after_name(cursor)
    if not name.isascii() or not name.isdigit() or len(name) > _MAX_DIGITS:
        raise InvalidCursor(FOREIGN_CURSOR)
    return int(name)


def _encode(position: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def _decode(cursor: str, kind: type[Position]) -> Position:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(text, type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise InvalidCursor(FOREIGN_CURSOR) from None
