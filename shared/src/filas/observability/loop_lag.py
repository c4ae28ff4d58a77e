"""The lag of the event loop: the delay that every request and every job has in addition to its own work."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from filas.observability.metrics import EVENT_LOOP_LAG

EVERY_S: Final = 0.5


async def watch_loop(every_s: float = EVERY_S) -> None:
    """Sleeps `every_s` seconds repeatedly, and records by how much each sleep was too long, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        EVENT_LOOP_LAG.observe(max(loop.time() - due, 0.0))


async def watched_loop(_app: Any) -> AsyncIterator[None]:
    """Runs `watch_loop` while an aiohttp application runs. For its `cleanup_ctx`."""
    watching = asyncio.create_task(watch_loop())
    yield
    watching.cancel()
    await asyncio.wait([watching])
