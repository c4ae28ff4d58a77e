"""Bisects a batch that Postgres does not write, so that one bad or locked row does not stop the other rows.

A statement waits LOCK_WAIT_S for a lock (`Database`). After that, the parts of its batch wait only SHORT_LOCK_WAIT_S:
with one locked row among 100, the others are written 1.2 s + 7 * 0.05 s after the first try. Later batches
write an item that was locked apart from the other ones, so that it delays them by SHORT_LOCK_WAIT_S only.
"""

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from filas.errors import StoreBusy, Unstorable
from filas.observability.logs import get_logger
from filas.observability.metrics import ROWS_LOCKED
from filas.repository.postgres import driver_errors
from filas.repository.postgres.database import LOCK_WAIT_S
from filas.repository.postgres.statement_settings import lock_wait

Item = TypeVar("Item")
Answer = TypeVar("Answer")

SHORT_LOCK_WAIT_S: Final = 0.05
BISECTION_S: Final = 1.0
"""How long a batch is bisected after its first try. After that, its other items count as locked: the table may be."""

APART_S: Final = 0.2
"""How long the items that were locked before may delay their batch."""

KNOWN_S: Final = 30.0
MAX_KNOWN: Final = 10_000

_log = get_logger("filas.repository")


class LockedItems(Generic[Item]):
    """The items of one kind of statement whose row was locked within the last KNOWN_S seconds.

    `table` and `action` name the statement in the log and in the metric. `key_of` returns the id of an item.
    """

    def __init__(
        self,
        table: str,
        action: str,
        key_of: Callable[[Item], Hashable],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._table = table
        self._action = action
        self._key_of = key_of
        self._known: dict[Hashable, float] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def holds(self, item: Item) -> bool:
        """Whether the item was locked lately."""
        until = self._known.get(self._key_of(item))
        return until is not None and until > self.clock()

    def record(self, items: Sequence[Item], busy: StoreBusy) -> None:
        """The items were not written, because a lock was held."""
        ROWS_LOCKED.labels(self._table).inc(len(items))
        keys = [self._key_of(item) for item in items]
        ids = [str(key) for key in keys[:20]]
        _log.warning("rows.locked", table=self._table, action=self._action, kind=busy.kind, rows=len(keys), ids=ids)
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        self._known.update(dict.fromkeys(keys, self.clock() + KNOWN_S))

    def forget(self, items: Sequence[Item]) -> None:
        """The items were written."""
        for item in items:
            self._known.pop(self._key_of(item), None)


async def write_bisected(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], locked: LockedItems[Item]
) -> list[Answer | Unstorable | StoreBusy]:
    """The results of `write(items)`, one for each item. The result of an item that Postgres rejects is an Unstorable,
    and that of an item whose row another session locks is a StoreBusy: nothing of it is written.

    `write` must write all items or none. A batch of n items with one bad item takes about 2·log2(n) writes. Every error
    that is not about a value or a lock (StoreUnavailable, for example) is raised.
    """
    if not items:
        return []
    deadline = locked.clock() + LOCK_WAIT_S + BISECTION_S
    apart = [index for index, item in enumerate(items) if locked.holds(item)] if locked else []
    if not apart or len(items) == 1:
        return await _write(items, write, locked, deadline, short=bool(apart))
    answers: dict[int, Answer | Unstorable | StoreBusy] = {}
    others = sorted(set(range(len(items))).difference(apart))
    if others:
        written = await _write([items[index] for index in others], write, locked, deadline, short=False)
        answers.update(zip(others, written, strict=True))
    deadline = min(deadline, locked.clock() + APART_S)
    for index in apart:
        if locked.clock() >= deadline:
            answers[index] = StoreBusy("locked", "another session held the row a moment ago")
            continue
        [answers[index]] = await _write([items[index]], write, locked, deadline, short=True)
    return [answers[index] for index in range(len(items))]


async def _write(
    items: Sequence[Item],
    write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
    locked: LockedItems[Item],
    deadline: float,
    *,
    short: bool,
) -> list[Answer | Unstorable | StoreBusy]:
    """`write_bisected` of items that are not known to be locked. `short`: waits SHORT_LOCK_WAIT_S for a lock."""
    try:
        if short:
            with lock_wait(SHORT_LOCK_WAIT_S):
                answers = await write(items)
        else:
            answers = await write(items)
    except StoreBusy as busy:
        if busy.kind not in ("locked", "deadlock"):
            raise
        if len(items) == 1 or locked.clock() >= deadline:
            locked.record(items, busy)
            return [busy] * len(items)
        short = True
    except Exception as error:
        if not driver_errors.bad_value(error):
            raise
        if len(items) == 1:
            return [Unstorable(f"Postgres rejects the value: {error}")]
    else:
        if locked:
            locked.forget(items)
        return list(answers)
    middle = len(items) // 2
    first = await _write(items[:middle], write, locked, deadline, short=short)
    return first + await _write(items[middle:], write, locked, deadline, short=short)
