"""One bad row doesn't fail its neighbours: a batch that Postgres refuses is halved until the bad row stands alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from filas.errors import Unstorable
from filas.repository.postgres import driver_errors

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def isolate(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]
) -> list[Answer | Unstorable]:
    """`write(items)`, an answer an item; the answer of an item that Postgres refuses is an Unstorable.

    `write` must be all or nothing. A batch of n with one bad item takes about 2·log2(n) writes. Anything
    but a refusal of values (StoreUnavailable, say) is raised.
    """
    if not items:
        return []
    try:
        return list(await write(items))
    except Exception as error:
        if not driver_errors.bad_value(error):
            raise
        if len(items) == 1:
            return [Unstorable(f"Postgres doesn't take it: {error}")]
    middle = len(items) // 2
    return await isolate(items[:middle], write) + await isolate(items[middle:], write)
