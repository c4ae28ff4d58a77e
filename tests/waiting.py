"""Waits for a condition, with a time limit and a message about what was awaited."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
POLL_S = 0.02

PATIENCE_S = 45.0
"""How long a test waits for something that takes a second on a machine with nothing else to do. It is only a bound: a
test that states how long something takes has a limit of its own."""


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T | None]], timeout: float = ..., *, message: str | None = ...
) -> T: ...


@overload
async def eventually(predicate: Callable[[], T | None], timeout: float = ..., *, message: str | None = ...) -> T: ...


async def eventually(
    predicate: Callable[[], object], timeout: float = PATIENCE_S, *, message: str | None = None
) -> object:
    """Call `predicate` (sync or async) until it returns a true value, and return that value.

    Fails after `timeout` seconds with `message`, or with the predicate's name and its last value. An exception of the
    predicate is raised at once.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            what = message or f"{getattr(predicate, '__name__', 'the condition')} was still {answer!r}"
            raise AssertionError(f"after {timeout:g} s: {what}")
        await asyncio.sleep(POLL_S)
