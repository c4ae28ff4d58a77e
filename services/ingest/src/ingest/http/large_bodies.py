"""The thread in which large bodies are checked and parsed, so that other requests are answered meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from filas.memory_budget import MemoryBudget

T = TypeVar("T")


class LargeBodies:
    """Works on one body at a time: while a body is parsed, it takes up to twenty times its size in memory.

    `memory` is the budget of the bodies that are parsed or accepted. The thread starts with the first large body, and
    ends with the process.
    """

    def __init__(self, memory: MemoryBudget) -> None:
        self.memory = memory
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-bodies")

    async def run(self, read: Callable[[], T]) -> T:
        """Returns the result of `read`, which runs in the thread. Raises what `read` raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, read)
