"""The circuit of a store: when it opens, what is counted as silence, and how a watch drives it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from filas.errors import StoreUnavailable
from filas.store_circuit import StoreCircuit
from filas.store_watch import CallSkipped, StoreWatch, limit_silence
from tests.waiting import PATIENCE_S, eventually


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_states() -> None:
    """A probe that fails leads back to open, and one that is answered to closed."""
    circuit, seen = StoreCircuit("redis", patience_s=1.0), []
    circuit.on_change = lambda changed: seen.append((changed.state, changed.problem))
    circuit.probe()
    assert (circuit.state, circuit.problem) == ("closed", None)
    for problem in ("timed out", "refused"):
        circuit.open(problem)
        circuit.probe()
    circuit.close()
    assert seen == [
        ("open", "timed out"),
        ("probing", "timed out"),
        ("open", "refused"),
        ("probing", "refused"),
        ("closed", None),
    ]


def test_silence_is_the_time_without_any_answer() -> None:
    """The answer of one call counts for all. A call that was given up leaves its answer missing."""
    clock = Clock()
    circuit = StoreCircuit("redis", patience_s=1.0, clock=clock)
    assert circuit.silent_s == 0.0
    circuit.began()
    clock.now += 0.5
    circuit.began()
    assert circuit.silent_s == 0.5
    circuit.ended(answered=True)
    clock.now += 0.25
    assert circuit.silent_s == 0.25, "one call still waits"
    circuit.ended(answered=False)
    circuit.began()
    assert circuit.silent_s == 0.25
    circuit.ended(answered=True)
    clock.now += 10
    assert circuit.silent_s == 0.0


class Store:
    """A store that can be frozen."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.beats = 0
        self.watch = StoreWatch(StoreCircuit("redis", patience_s=0.3), self.beat, lambda: None, lambda _error: False)

    async def beat(self) -> None:
        self.beats += 1
        await self.answers.wait()

    async def ask(self, *, until: asyncio.Event | None = None) -> None:
        with self.watch.call():
            async with self.watch.abandonable():
                await (until or self.answers).wait()


@pytest.fixture
async def stores() -> AsyncIterator[tuple[Store, Store]]:
    pair = Store(), Store()
    limit_silence([store.watch for store in pair], 1.0)
    yield pair
    for store in pair:
        await store.watch.close()


async def test_calls_are_given_up_and_skipped(stores: tuple[Store, Store]) -> None:
    """The call that waits and the calls after it fail."""
    store, _ = stores
    store.answers.clear()
    with pytest.raises(StoreUnavailable, match="timed out"):
        await asyncio.wait_for(store.ask(), PATIENCE_S)
    with pytest.raises(CallSkipped):
        await store.ask()
    store.watch.circuit.close()
    store.answers.set()
    await store.ask()


async def test_a_long_call_opens_nothing_while_beats_are_answered(stores: tuple[Store, Store]) -> None:
    """A statement that waits for a lock, for example."""
    store, _ = stores
    done = asyncio.Event()
    long_call = asyncio.create_task(store.ask(until=done))
    await eventually(lambda: store.beats > 5)
    assert store.watch.circuit.state == "closed"
    done.set()
    await long_call


async def test_all_stores_are_examined_when_one_is_silent(stores: tuple[Store, Store]) -> None:
    """A request that needs both stores waits once, although it asks them one after the other."""
    first, second = stores
    first.answers.clear()
    second.answers.clear()
    with suppress(StoreUnavailable):
        await asyncio.wait_for(first.ask(), PATIENCE_S)
    await eventually(lambda: second.watch.circuit.state == "open")


async def test_quick_calls_start_no_beat(stores: tuple[Store, Store]) -> None:
    store, other = stores
    for _ in range(100):
        await store.ask()
    assert (store.beats, other.beats) == (0, 0)
