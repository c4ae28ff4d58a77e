"""Parts, pages and viewers for the tests of the hub."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from ingest.dashboard.live.hub import LiveFeed, LiveHub
from ingest.dashboard.live.part_readers import PartReader
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.live.viewers import Message, Viewer

WAIT_S = 30.0


class Clock:
    """Monotonic seconds that only move when a test moves them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class PausesPart:
    """A part that answers with a number which grows with each reading."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, every_s: float = 1.0) -> None:
        self.readings = 0
        self.reader = PartReader("pauses", "postgres", every_s, self._read, clock)

    async def _read(self) -> list[str]:
        self.readings += 1
        return [f"queue-{self.readings}"]


class Page:
    """A live page with the region `state`, which shows what was read, and counts how often it was rendered."""

    def __init__(self, key: str = "page", **options: Any) -> None:
        self.rendered = 0
        self.feed = LiveFeed(key, self._render, **options)

    async def _render(self, snapshot: Snapshot) -> Mapping[str, str]:
        self.rendered += 1
        return {"title": "<h1>Queues</h1>", "state": f"<p>{(snapshot.pauses.value or ['none'])[0]}</p>"}


async def ticked(hub: LiveHub, *viewers: Viewer) -> list[Message | None]:
    """Lets every page wait for the next snapshot, makes one, and returns what each viewer gets."""
    await settled()
    await hub.tick()
    return [await viewer.next(WAIT_S) for viewer in viewers]


async def settled() -> None:
    """Lets the tasks run that can."""
    for _ in range(20):
        await asyncio.sleep(0)
