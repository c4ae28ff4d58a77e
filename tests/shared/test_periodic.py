"""`periodic`: the interval, the step's own interval, waking, unavailable stores, and errors."""

import asyncio
import contextlib
import io
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from filas.errors import StoreUnavailable
from filas.periodic import periodic
from tests.waiting import PATIENCE_S, eventually


@asynccontextmanager
async def repeating(step: Callable[[], Awaitable[float | None]], every_s: float, **options: Any) -> AsyncIterator[None]:
    """Runs `periodic` while the block runs."""
    task = asyncio.create_task(periodic("test", step, every_s, **options))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def events(log: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in log.getvalue().splitlines()]


async def test_the_step_is_called_at_once_and_then_at_the_interval() -> None:
    calls: list[float] = []

    async def step() -> None:
        calls.append(asyncio.get_running_loop().time())

    async with repeating(step, 0.02):
        await eventually(lambda: len(calls) >= 3, message="the step was not repeated")
    assert all(later - earlier >= 0.019 for earlier, later in itertools.pairwise(calls))


async def test_the_step_can_return_the_time_until_its_next_call() -> None:
    calls = 0

    async def step() -> float:
        nonlocal calls
        calls += 1
        return 0.0 if calls < 5 else 60.0

    async with repeating(step, 60.0):
        await eventually(lambda: calls == 5, message="the step's own interval was not used")


async def test_wait_first_delays_the_first_call_until_the_event() -> None:
    calls = 0
    wake = asyncio.Event()

    async def step() -> None:
        nonlocal calls
        calls += 1

    async with repeating(step, 60.0, wait_first=True, wake=wake):
        for _ in range(5):
            await asyncio.sleep(0)
        assert calls == 0
        wake.set()
        await eventually(lambda: calls == 1, message="the event did not end the wait")
        assert not wake.is_set()


async def test_the_event_does_not_end_the_wait_while_a_store_is_unavailable() -> None:
    """Otherwise each finished job with a dead letter behind it would call an unavailable store at once."""
    calls = 0
    wake = asyncio.Event()

    async def step() -> None:
        nonlocal calls
        calls += 1
        raise StoreUnavailable("postgres", "gone")

    async with repeating(step, 0.0, wake=wake, retry_s=(60.0, 60.0)):
        await eventually(lambda: calls == 1, message="the step was not called")
        wake.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert calls == 1


async def test_an_outage_of_a_store_is_logged_once_and_its_end_too(own_log: io.StringIO) -> None:
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        if calls <= 4:
            raise StoreUnavailable("redis", "refused")

    async with repeating(step, 0.001, retry_s=(0.001, 0.002)):
        await eventually(lambda: calls >= 6, message="the step was not tried again")
    assert events(own_log) == ["task.store_unavailable", "task.store_available"]


async def test_one_failed_call_is_not_logged_as_an_outage(own_log: io.StringIO) -> None:
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StoreUnavailable("redis", "refused")

    async with repeating(step, 0.001, retry_s=(0.001, 0.001)):
        await eventually(lambda: calls >= 3, message="the step was not tried again")
    assert events(own_log) == []


async def test_the_wait_doubles_during_an_outage_up_to_its_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    enough = asyncio.Event()

    async def wait(seconds: float, _wake: asyncio.Event | None) -> None:
        waits.append(seconds)
        if len(waits) == 7:
            enough.set()
            await asyncio.Event().wait()

    async def step() -> None:
        raise StoreUnavailable("postgres", "refused")

    monkeypatch.setattr("filas.periodic._wait", wait)
    async with repeating(step, 60.0, retry_s=(0.5, 5.0)):
        await asyncio.wait_for(enough.wait(), PATIENCE_S)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


async def test_another_error_ends_the_loop() -> None:
    async def step() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await periodic("test", step, 60.0)


async def test_another_error_is_logged_and_the_loop_continues_if_configured(own_log: io.StringIO) -> None:
    calls = 0

    async def step() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("broken")

    async with repeating(step, 0.001, on_error="log"):
        await eventually(lambda: calls >= 2, message="the loop ended")
    assert events(own_log) == ["task.failed"]
