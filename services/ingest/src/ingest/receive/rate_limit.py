"""Rate limits across all replicas, counted in Redis. While Redis is unavailable, each process counts alone."""

import asyncio
import dataclasses
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

from filas.batching import MicroBatcher
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger

log = get_logger(__name__)

SLICES = 20
"""The number of slices of a window; see rate_limit.lua."""

SKIP_S = 1.0
"""How long Redis is not used after a failure."""

TIMEOUT_S = 0.5
"""How long a request waits for its count. After that, this process counts alone for SKIP_S."""

MAX_LOCAL_KEYS = 50_000

RESERVE_SHARE = 100
RESERVE_BATCHES = 10
"""A busy limit is counted in advance: at most ten times the present requests, and at most a hundredth of the remaining
room. So a limit under 100 is counted one by one, and a replica that stops leaves at most a hundredth of the room unused
until the slice ends. The limit is never exceeded."""

REFILL_S = 0.25
"""When half of a reserve is used, the next one is counted before a request has to wait for it: what the present rate
uses in so many seconds, within the bound of a hundredth."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` in any `window_ms` milliseconds, counted under `key`."""

    key: str
    max: int
    window_ms: int


@dataclass(slots=True)
class Grant:
    """Whether the request is allowed, how many more are, and after how many seconds there is more room (at least 1)."""

    allowed: bool
    remaining: int
    reset_s: int


@dataclass(frozen=True, slots=True)
class WindowCount:
    """The state of one limit after a count.

    `passed`: how many of the counted requests are allowed. `used`: how many requests this window held before.
    `reset_ms`: milliseconds until the oldest of those leave the window. `slice_ms`: milliseconds that the present slice
    lasts.
    """

    passed: int
    used: int
    reset_ms: int
    slice_ms: int


class WindowStore(Protocol):
    """Where the windows are stored."""

    async def count(self, requests: Sequence[tuple[Limit, int]], /) -> list[WindowCount]:
        """Counts so many requests under each limit, as far as there is room. Raises StoreUnavailable."""


@dataclass(slots=True)
class _KnownLimit:
    """What is known of a limit until `until`, without a call: `reserve` more requests pass, which are already counted.
    If the limit is reached (`exhausted`), none passes. `since` is when the reserve was `whole`."""

    until: float
    reserve: int
    room: int
    reset_s: int
    exhausted: bool
    since: float
    whole: int
    is_refilled: bool = False


class RateLimiter:
    """Counts all waiting requests in one call of the store, or without a call where the result is known."""

    def __init__(
        self, store: WindowStore, *, clock: Callable[[], float] = time.monotonic, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._store = store
        self._clock = clock
        self._local = LocalWindows(clock)
        self._timeout_s = timeout_s
        self._redis_skipped_until = 0.0
        self._known_limits: dict[Limit, _KnownLimit] = {}
        self._batches: MicroBatcher[Limit, Grant] = MicroBatcher(self._acquire)
        self._refills: set[asyncio.Task[list[WindowCount]]] = set()

    def acquire_now(self, limit: Limit) -> Grant | None:
        """Like `acquire`, if the result is known without a call; else None, and nothing is counted."""
        known = self._known_limits.get(limit)
        if known is None or (known.reserve == 0 and not known.exhausted):
            return None
        now = self._clock()
        left_s = known.until - now
        if left_s <= 0:
            return None
        if known.exhausted:
            return Grant(False, 0, max(1, math.ceil(left_s)))
        known.reserve -= 1
        if not known.is_refilled and 2 * known.reserve <= known.whole:
            self._refill(limit, known, now)
        return Grant(True, known.room + known.reserve, known.reset_s)

    async def acquire(self, limit: Limit) -> Grant:
        """Counts one request under `limit`, if there is room. Does not raise if Redis is unavailable."""
        return self.acquire_now(limit) or await self._batches.add(limit)

    def _refill(self, limit: Limit, known: _KnownLimit, now: float) -> None:
        """Counts the next requests of a busy limit, while the rest of its reserve is used."""
        known.is_refilled = True
        rate = (known.whole - known.reserve) / max(now - known.since, 0.001)
        ahead = min(known.room // RESERVE_SHARE, int(rate * min(REFILL_S, known.until - now)))
        if ahead > 0:
            # It serves many requests, so it must not inherit the log context of one of them.
            task = asyncio.create_task(self._count({limit: 0}, ahead), context=Context())
            self._refills.add(task)
            task.add_done_callback(self._refills.discard)

    async def _acquire(self, limits: Sequence[Limit]) -> list[Grant]:
        counts: dict[Limit, int] = {}
        for limit in limits:
            counts[limit] = counts.get(limit, 0) + 1
        taken = dict(zip(counts, await self._count(counts), strict=True))
        served: dict[Limit, int] = {}
        grants: list[Grant] = []
        for limit in limits:
            place = served[limit] = served.get(limit, 0) + 1
            grants.append(_grant(limit, taken[limit], place))
        return grants

    async def _count(self, counts: dict[Limit, int], ahead: int = 0) -> list[WindowCount]:
        """Counts, in Redis or alone, and at least `ahead` requests more in Redis."""
        began = self._clock()
        if began >= self._redis_skipped_until:
            requests = [(limit, count + max(ahead, self._ahead(limit, count))) for limit, count in counts.items()]
            counting = asyncio.create_task(_answer_or_error(self._store.count(requests)))
            # A late call is not cancelled, because that would close its connection.
            await asyncio.wait({counting}, timeout=self._timeout_s)
            answers = counting.result() if counting.done() else StoreUnavailable("redis", "timeout")
            if not isinstance(answers, StoreUnavailable):
                return self._remember(counts, answers, began)
            self._redis_skipped_until = self._clock() + SKIP_S
            log.warning("rate_limit.local", reason=answers.reason)
        self._known_limits.clear()
        return self._local.count(list(counts.items()))

    def _ahead(self, limit: Limit, count: int) -> int:
        known = self._known_limits.get(limit)
        if known is None or known.reserve:
            return 0
        return min(known.room // RESERVE_SHARE, RESERVE_BATCHES * count)

    def _remember(self, counts: dict[Limit, int], answers: Sequence[WindowCount], began: float) -> list[WindowCount]:
        """Returns the answers, without what this process has in reserve already: that is still room for its requests.

        `began` is the time of the call, which is before the count, so that a reserve ends with its slice.
        """
        found: list[WindowCount] = []
        if len(self._known_limits) > MAX_LOCAL_KEYS:
            self._known_limits.clear()
        for (limit, count), taken in zip(counts.items(), answers, strict=True):
            room = max(0, limit.max - taken.used - taken.passed)
            reserve, exhausted = max(0, taken.passed - count), room == 0 and taken.passed < count
            until = began + (taken.reset_ms if exhausted else taken.slice_ms) / 1000
            before = self._known_limits.get(limit)
            if before is not None and before.reserve and self._clock() < before.until:
                reserve, until, exhausted = reserve + before.reserve, min(until, before.until), False
                found.append(dataclasses.replace(taken, used=taken.used - before.reserve))
            else:
                found.append(taken)
            now = self._clock()
            self._known_limits[limit] = _KnownLimit(until, reserve, room, _reset_s(taken), exhausted, now, reserve)
        return found


async def _answer_or_error(
    counting: Awaitable[list[WindowCount]],
) -> list[WindowCount] | StoreUnavailable:
    try:
        return await counting
    except StoreUnavailable as error:
        return error


def _grant(limit: Limit, taken: WindowCount, place: int) -> Grant:
    return Grant(
        allowed=place <= taken.passed,
        remaining=max(0, limit.max - taken.used - min(place, taken.passed)),
        reset_s=_reset_s(taken),
    )


def _reset_s(taken: WindowCount) -> int:
    return max(1, math.ceil(taken.reset_ms / 1000))


class LocalWindows:
    """The windows of rate_limit.lua within this process. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, int], dict[int, int]] = {}

    def count(self, requests: Sequence[tuple[Limit, int]]) -> list[WindowCount]:
        """Counts as the script does."""
        now = math.floor(self._clock() * 1000)
        if len(self._windows) > MAX_LOCAL_KEYS:
            self._forget(now)
        return [self._count_one(limit, count, now) for limit, count in requests]

    def _count_one(self, limit: Limit, count: int, now: int) -> WindowCount:
        width = max(1, limit.window_ms // SLICES)
        first = (now - limit.window_ms) // width
        slices = self._windows.setdefault((limit.key, limit.window_ms), {})
        for slice_number in [number for number in slices if number < first]:
            del slices[slice_number]
        used = sum(slices.values())
        passed = max(0, min(count, limit.max - used))
        if passed:
            slices[now // width] = slices.get(now // width, 0) + passed
        reset = (min(slices) + 1) * width + limit.window_ms - now if slices else 0
        return WindowCount(passed, used, reset, (now // width + 1) * width - now)

    def _forget(self, now: int) -> None:
        """Removes the windows that are empty by now."""
        for (key, window_ms), slices in list(self._windows.items()):
            first = (now - window_ms) // max(1, window_ms // SLICES)
            if not slices or max(slices) < first:
                del self._windows[key, window_ms]
