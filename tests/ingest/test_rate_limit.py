"""Rate limits: at most `max` requests in any window, in Redis (the Lua script) and in one process."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from filas.errors import StoreUnavailable
from filas_local.servers import RedisServer
from ingest.receive.rate_limit import Limit, LocalWindows, RateLimiter, WindowCount
from ingest.receive.redis_rate_windows import RedisRateWindows
from tests.redis_address import connect_url
from tests.waiting import eventually


class Clock:
    """A clock that changes only when it is set."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class NoStore:
    """A store that is always unavailable."""

    async def count(self, asked: Sequence[tuple[Limit, int]]) -> list[WindowCount]:
        """Fails."""
        raise StoreUnavailable("redis", "gone")


def test_the_window_slides() -> None:
    """Requests leave the window one after the other, and make room in the same way."""
    clock = Clock()
    windows = LocalWindows(clock)
    limit = Limit("w", 10, 60_000)
    assert windows.count([(limit, 6)])[0].passed == 6
    clock.now += 30
    (second,) = windows.count([(limit, 6)])
    assert (second.passed, second.used) == (4, 6)
    assert 30_000 <= second.reset_ms <= 33_000
    clock.now += second.reset_ms / 1000
    assert windows.count([(limit, 10)])[0].passed == 6


@given(
    steps=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5)), max_size=60),
    most=st.integers(1, 12),
    window_ms=st.integers(1, 1000),
)
def test_no_window_ever_holds_more_than_the_limit(steps: list[tuple[int, int]], most: int, window_ms: int) -> None:
    """For any position of the window and any times of the requests."""
    clock = Clock()
    windows = LocalWindows(clock)
    passed: list[int] = []
    now = 1_790_000_000_000
    for wait, count in steps:
        now += wait
        clock.now = now / 1000
        (counted,) = windows.count([(Limit("w", most, window_ms), count)])
        passed += [now] * counted.passed
        assert len([time for time in passed if time > now - window_ms]) <= most


class CountedWindows:
    """Windows by a clock, like those in Redis, that count their calls."""

    def __init__(self, clock: Clock) -> None:
        self._windows = LocalWindows(clock)
        self.calls = 0

    async def count(self, asked: Sequence[tuple[Limit, int]]) -> list[WindowCount]:
        """As the script does it."""
        self.calls += 1
        return self._windows.count(asked)


async def test_a_busy_limit_needs_few_calls_of_the_store() -> None:
    """Each call reserves several requests. The remaining number is reported as if each request were counted alone."""
    clock = Clock()
    store = CountedWindows(clock)
    limiter = RateLimiter(store, clock=clock)
    limit = Limit("w", 100_000, 60_000)
    grants = [await limiter.acquire(limit) for _ in range(1000)]
    assert store.calls < 150
    assert [grant.remaining for grant in grants] == list(range(99_999, 98_999, -1))
    for _ in range(5):  # so that the call in the background ends
        await asyncio.sleep(0)
    clock.now += 10  # the reserve ends with its slice
    assert limiter.acquire_now(limit) is None


async def test_requests_at_a_steady_rate_do_not_wait_for_the_store() -> None:
    """The next reserve is counted while the rest of the present one is used, by the rate of the requests."""
    clock = Clock()
    clock.now = 1_790_000_001.0  # a slice begins
    store = CountedWindows(clock)
    limiter = RateLimiter(store, clock=clock)
    limit = Limit("w", 100_000, 60_000)
    known = []
    for _ in range(1000):  # one every 2 milliseconds, within one slice
        known.append(limiter.acquire_now(limit))
        if known[-1] is None:
            await limiter.acquire(limit)
        clock.now += 0.002
        for _ in range(5):  # so that the call in the background ends
            await asyncio.sleep(0)
    assert known.count(None) == 2  # before the rate is known
    assert store.calls < 20
    remaining = [grant.remaining for grant in known if grant is not None]
    assert remaining == list(range(99_997, 98_999, -1))


async def test_a_reserve_is_at_most_a_hundredth_of_the_room() -> None:
    """Whatever the rate is: an idle replica leaves at most so much of the limit unused."""
    clock = Clock()
    windows = LocalWindows(clock)

    class Recorded:
        asked: ClassVar[list[int]] = []

        async def count(self, asked: Sequence[tuple[Limit, int]]) -> list[WindowCount]:
            self.asked.append(asked[0][1])
            return windows.count(asked)

    limiter = RateLimiter(Recorded(), clock=clock)
    limit = Limit("w", 5_000, 60_000)
    for _ in range(200):
        await limiter.acquire(limit)
        for _ in range(5):
            await asyncio.sleep(0)
    assert 40 < max(Recorded.asked) <= 51


async def test_an_exhausted_limit_needs_no_call_of_the_store() -> None:
    """Until there may be room: requests beyond the limit cost no call."""
    clock = Clock()
    store = CountedWindows(clock)
    limiter = RateLimiter(store, clock=clock)
    limit = Limit("w", 5, 60_000)
    grants = [await limiter.acquire(limit) for _ in range(500)]
    assert [grant.allowed for grant in grants] == [True] * 5 + [False] * 495
    assert store.calls == 6
    clock.now += grants[-1].reset_s
    assert (await limiter.acquire(limit)).allowed


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 300), st.integers(1, 60), st.integers(0, 1), st.integers(0, 6)), max_size=40
    ),
    most=st.integers(1, 900),
)
async def test_replicas_with_reserves_never_allow_more_than_the_limit(
    steps: list[tuple[int, int, int, int]], most: int
) -> None:
    """In any window, for any times of the requests at either replica."""
    clock = Clock()
    store = CountedWindows(clock)
    replicas = [RateLimiter(store, clock=clock) for _ in range(2)]
    limit = Limit("w", most, 1000)
    passed: list[int] = []
    now = 1_790_000_000_000
    for wait, count, number, late in steps:
        now += wait
        clock.now = now / 1000
        grants = await asyncio.gather(*(replicas[number].acquire(limit) for _ in range(count)))
        passed += [now] * sum(grant.allowed for grant in grants)
        for _ in range(late):  # until the next reserve is counted, or not
            await asyncio.sleep(0)
        assert len([time for time in passed if time > now - 1000]) <= most


async def test_replicas_count_together(redis_url: str) -> None:
    """Two limiters on one Redis allow as many requests as one. A rejected request gets the time until there is room."""
    first, second = connect_url(redis_url), connect_url(redis_url)
    try:
        replicas = [RateLimiter(RedisRateWindows(one)) for one in (first, second)]
        limit = Limit("webhook:w", 100, 60_000)
        grants = await asyncio.gather(*(replicas[number % 2].acquire(limit) for number in range(150)))
        assert sum(grant.allowed for grant in grants) == 100
        assert sorted(grant.remaining for grant in grants if grant.allowed) == list(range(100))
        refused = await replicas[0].acquire(limit)
        assert not refused.allowed
        assert refused.remaining == 0
        assert 20 <= refused.reset_s <= 63
        assert (await replicas[1].acquire(Limit("webhook:other", 100, 60_000))).allowed
    finally:
        await first.close()
        await second.close()


async def test_the_script_counts_as_the_process_does(redis_url: str) -> None:
    """Several limits in one call, each with its own result. Windows that are empty are removed."""
    redis = connect_url(redis_url)
    try:
        windows = RedisRateWindows(redis)
        brief, long = Limit("brief", 3, 40), Limit("long", 3, 60_000)
        first = await windows.count([(brief, 2), (long, 5)])
        assert [(one.passed, one.used) for one in first] == [(2, 0), (3, 0)]
        assert [one.passed for one in await windows.count([(long, 1)])] == [0]

        async def gone() -> bool:
            return (await windows.count([(brief, 0)]))[0].used == 0

        await eventually(gone)
        assert (await windows.count([(brief, 4)]))[0].passed == 3
    finally:
        await redis.close()


async def test_without_redis_each_process_counts_for_itself() -> None:
    """The limit applies within each process."""
    limiter = RateLimiter(NoStore())
    limit = Limit("w", 5, 60_000)
    grants = [await limiter.acquire(limit) for _ in range(8)]
    assert [grant.allowed for grant in grants] == [True] * 5 + [False] * 3


async def test_the_limiter_counts_locally_while_redis_is_unavailable(own_redis: RedisServer) -> None:
    """It counts in Redis again when Redis is available."""
    redis = connect_url(own_redis.url)
    try:
        limiter = RateLimiter(RedisRateWindows(redis))
        limit = Limit("w", 1000, 60_000)
        assert (await limiter.acquire(limit)).remaining == 999
        own_redis.kill()
        assert (await limiter.acquire(limit)).remaining == 999  # the count of this process begins
        own_redis.start()

        async def used() -> bool:
            await limiter.acquire(limit)
            slices = await redis.command("HVALS", "{filas-rate}:w:60000") if redis.problem is None else []
            return sum(map(int, slices)) > 1

        await eventually(used)
    finally:
        await redis.close()
