"""How late the event loop is: what every request and every job of the process waits for beside its own work."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from filas.observability.metrics import EVENT_LOOP_LAG

EVERY_S: Final = 0.5


async def watch_loop(every_s: float = EVERY_S) -> None:
    """Sleep `every_s` again and again, and observe by how much each sleep was too long, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        EVENT_LOOP_LAG.observe(max(loop.time() - due, 0.0))


async def watched_loop(_app: Any) -> AsyncIterator[None]:
    """`watch_loop` for as long as an aiohttp application runs: one of its `cleanup_ctx`."""
    watching = asyncio.create_task(watch_loop())
    yield
    watching.cancel()
    await asyncio.wait([watching])
