"""Bisects a batch that Postgres rejects, so that one bad row does not fail the other rows of its batch."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from filas.errors import Unstorable
from filas.repository.postgres import driver_errors

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def write_bisected(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]
) -> list[Answer | Unstorable]:
    """The results of `write(items)`, one for each item. The result of an item that Postgres rejects is an Unstorable.

    `write` must write all items or none. A batch of n items with one bad item takes about 2·log2(n) writes. Every error
    that is not about a value (StoreUnavailable, for example) is raised.
    """
    if not items:
        return []
    try:
        return list(await write(items))
    except Exception as error:
        if not driver_errors.bad_value(error):
            raise
        if len(items) == 1:
            return [Unstorable(f"Postgres rejects the value: {error}")]
    middle = len(items) // 2
    return await write_bisected(items[:middle], write) + await write_bisected(items[middle:], write)
