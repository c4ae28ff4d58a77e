"""An event loop without sockets, whose clock jumps to the next timer when nothing else is left to do.

A target that waits for a peer, a batch or a timeout is then as fast and as repeatable as a pure function.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

MAX_VIRTUAL_S = 3600.0
"""The longest time that one input may wait, on the clock of the loop."""


class StillWaiting(Exception):
    """What was awaited waits for something that never happens, or for longer than MAX_VIRTUAL_S."""


class _Selector(selectors.BaseSelector):
    """Nothing ever becomes ready: `select` advances the clock by the time for which it was asked to wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, -1, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StillWaiting("nothing is left to do")
        self.now += max(timeout, 0.0)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The event loop. Threads and sockets are not available in it."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Returns the seconds that have passed on the clock of this loop."""
        return self._virtual.now

    def run_in_executor(self, _executor: Any, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Calls the function at once, in this thread."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # the future raises it
            future.set_exception(error)
        return future

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns what `work` returns. Tasks that it has left are cancelled. Raises StillWaiting if it does not end."""
        deadline = self.call_later(MAX_VIRTUAL_S, self._give_up)
        task = self.create_task(work)
        try:
            return self.run_until_complete(task)
        finally:
            deadline.cancel()
            left = asyncio.all_tasks(self)
            for one in left:
                one.cancel()
            if left:
                self.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    def _give_up(self) -> None:
        raise StillWaiting(f"the input has waited for {MAX_VIRTUAL_S:g} s")
