"""Rate limits across all replicas, counted in Redis; while that is away, each process counts for itself."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from filas.batching import MicroBatcher
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger

log = get_logger(__name__)

SLICES = 20
"""Into how many slices a window is cut; rate_limit.lua says what that means."""

AWAY_S = 1.0
"""How long the limiter doesn't ask a Redis that has just failed."""

MAX_LOCAL_KEYS = 50_000

RESERVE_SHARE = 100
RESERVE_BATCHES = 10
"""A busy limit is counted ahead: at most ten times what asks now, and at most a hundredth of the room that is left.
So a limit under a hundred is always counted one by one, and a replica that falls silent leaves at most a hundredth
of the room unused until the slice is over; more than the limit never pass."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` in any `window_ms` milliseconds, counted under `key`."""

    key: str
    max: int
    window_ms: int


@dataclass(slots=True)
class Grant:
    """Whether this one may pass, how many more may, and after how many seconds there is more room (at least 1)."""

    allowed: bool
    remaining: int
    reset_s: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer for one limit: how many of those who asked pass, how many had passed before them in this
    window, in how many milliseconds the oldest of them leave it, and for how many they count as having come now."""

    passed: int
    used: int
    reset_ms: int
    slice_ms: int


class WindowStore(Protocol):
    """Where windows are counted."""

    async def take(self, asked: Sequence[tuple[Limit, int]]) -> list[Taken]:
        """Count `n` more under each limit, as far as there is room. Raises StoreUnavailable."""


@dataclass(slots=True)
class _Standing:
    """What is known of a limit without asking, until `until`: `reserve` more may pass, counted
    already, or, where there is no room (`shut`), nobody may."""

    until: float
    reserve: int
    room: int
    reset_s: int
    shut: bool


class RateLimiter:
    """Asks the store for all the requests that wait at the moment in one call, or not at all where it is known."""

    def __init__(
        self, store: WindowStore, *, clock: Callable[[], float] = time.monotonic, timeout_s: float = 1.0
    ) -> None:
        self._store = store
        self._clock = clock
        self._local = LocalWindows(clock)
        self._timeout_s = timeout_s
        self._away_until = 0.0
        self._standings: dict[Limit, _Standing] = {}
        self._batches: MicroBatcher[Limit, Grant] = MicroBatcher(self._take)

    def take_now(self, limit: Limit) -> Grant | None:
        """As `take`, where the answer is known without asking; else None, and nothing is counted."""
        standing = self._standings.get(limit)
        if standing is None or (standing.reserve == 0 and not standing.shut):
            return None
        left_s = standing.until - self._clock()
        if left_s <= 0:
            return None
        if standing.shut:
            return Grant(False, 0, max(1, math.ceil(left_s)))
        standing.reserve -= 1
        return Grant(True, standing.room + standing.reserve, standing.reset_s)

    async def take(self, limit: Limit) -> Grant:
        """Count one under `limit`, if there is room. Never raises because a store is away."""
        return self.take_now(limit) or await self._batches.add(limit)

    async def _take(self, limits: Sequence[Limit]) -> list[Grant]:
        counts: dict[Limit, int] = {}
        for limit in limits:
            counts[limit] = counts.get(limit, 0) + 1
        taken = dict(zip(counts, await self._taken(counts), strict=True))
        served: dict[Limit, int] = {}
        grants: list[Grant] = []
        for limit in limits:
            place = served[limit] = served.get(limit, 0) + 1
            grants.append(_grant(limit, taken[limit], place))
        return grants

    async def _taken(self, counts: dict[Limit, int]) -> list[Taken]:
        """How many of `counts` pass."""
        began = self._clock()
        if began >= self._away_until:
            asked = [(limit, count + self._ahead(limit, count)) for limit, count in counts.items()]
            try:
                async with asyncio.timeout(self._timeout_s):
                    answers = await self._store.take(asked)
            except (StoreUnavailable, TimeoutError) as error:
                self._away_until = self._clock() + AWAY_S
                log.warning("rate_limit.local", reason=str(error) or "timeout")
            else:
                self._remember(counts, answers, began)
                return answers
        self._standings.clear()
        return self._local.take(list(counts.items()))

    def _ahead(self, limit: Limit, count: int) -> int:
        standing = self._standings.get(limit)
        if standing is None or standing.reserve:
            return 0
        return min(standing.room // RESERVE_SHARE, RESERVE_BATCHES * count)

    def _remember(self, counts: dict[Limit, int], answers: Sequence[Taken], began: float) -> None:
        """`began` is when the store was asked: earlier than it counted, so that a reserve ends with its slice."""
        if len(self._standings) > MAX_LOCAL_KEYS:
            self._standings.clear()
        for (limit, count), taken in zip(counts.items(), answers, strict=True):
            room = max(0, limit.max - taken.used - taken.passed)
            reserve, shut = max(0, taken.passed - count), room == 0 and taken.passed < count
            until = began + (taken.reset_ms if shut else taken.slice_ms) / 1000
            before = self._standings.get(limit)
            if before is not None and before.reserve and self._clock() < before.until:
                reserve, until, shut = reserve + before.reserve, min(until, before.until), False
            self._standings[limit] = _Standing(until, reserve, room, _reset_s(taken), shut)


def _grant(limit: Limit, taken: Taken, place: int) -> Grant:
    return Grant(
        allowed=place <= taken.passed,
        remaining=max(0, limit.max - taken.used - min(place, taken.passed)),
        reset_s=_reset_s(taken),
    )


def _reset_s(taken: Taken) -> int:
    return max(1, math.ceil(taken.reset_ms / 1000))


class LocalWindows:
    """The windows of rate_limit.lua within this process. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, int], dict[int, int]] = {}

    def take(self, asked: Sequence[tuple[Limit, int]]) -> list[Taken]:
        """As the script does it."""
        now = math.floor(self._clock() * 1000)
        if len(self._windows) > MAX_LOCAL_KEYS:
            self._forget(now)
        return [self._take_one(limit, count, now) for limit, count in asked]

    def _take_one(self, limit: Limit, count: int, now: int) -> Taken:
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
        return Taken(passed, used, reset, (now // width + 1) * width - now)

    def _forget(self, now: int) -> None:
        """Drop the windows in which nothing counts any more."""
        for (key, window_ms), slices in list(self._windows.items()):
            first = (now - window_ms) // max(1, window_ms // SLICES)
            if not slices or max(slices) < first:
                del self._windows[key, window_ms]
