"""The hub: reads the stores once a second for all viewers, renders each live page once, and offers it to its viewers.

The number of viewers changes neither what is read nor what is rendered. Nothing is read while no one is looking.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from filas.errors import FilasError, StoreUnavailable
from filas.observability.logs import get_logger
from ingest.dashboard.live.part_readers import PartReader
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.live.viewers import Message, Viewer

log = get_logger(__name__)

TICK_S: Final = 1.0
KEPT_S: Final = 120.0
"""How long snapshots stay in memory, so that the moment at which a viewer froze the stream can be stored."""

MAX_VIEWERS: Final = 600
MAX_OF_OWNER: Final = 32
"""How many streams the process has, and how many of them one session."""

FAST_S: Final = 0.3
"""How long a tick waits for Redis. A part that takes longer is in the next snapshot."""

FIRST_S: Final = 1.5
"""How long the first request of a page waits for a part that was never read."""

RENDER_S: Final = 5.0
READING_PAGES: Final = 2
"""How many pages that read the stores themselves are rendered at the same time."""

CPU_SHARE: Final = 0.03
"""The part of a core that the rendering of all live pages may use. With many different pages, each is rendered less
often."""

LONGEST_PAUSE_S: Final = 1.0


class TooManyViewers(FilasError):
    """The process, or this session, has as many streams as it may have."""


@dataclass(frozen=True, slots=True)
class LiveFeed:
    """The live regions of a page, rendered for all viewers that see the same.

    `key` differs where the content differs: path, query, language, time zone, role. `render` returns the HTML of each
    region by the id of its element. `every_s` is how often it may change. `reads_stores`: `render` reads more than the
    snapshot.
    """

    key: Hashable
    render: Callable[[Snapshot], Awaitable[Mapping[str, str]]]
    every_s: float = 1.0
    reads_stores: bool = False


class _Audience:
    """The viewers of one feed, and the task that renders it."""

    def __init__(self, feed: LiveFeed) -> None:
        self.feed = feed
        self.viewers: set[Viewer] = set()
        self.task: asyncio.Task[None] | None = None
        self.current: Message | None = None
        """All regions as they were rendered last."""
        self.answered_ms: int | None = None
        self.cost_s = 0.0
        """The CPU time of the last rendering."""


class LiveHub:
    """The hub of this process. `run` must be running. `readers` are those of the parts of a snapshot."""

    def __init__(self, readers: Sequence[PartReader], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.readers = readers
        self._clock = clock
        self._audiences: dict[Hashable, _Audience] = {}
        self._owners: Counter[str] = Counter()
        self._kept: deque[Snapshot] = deque()
        self._composed_at = float("-inf")
        self._wanted = asyncio.Event()
        self._ticked: asyncio.Future[Snapshot] | None = None
        self._reading_pages = asyncio.Semaphore(READING_PAGES)
        self._pacing = asyncio.Lock()
        self._free_at = float("-inf")
        self._closed = False

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return self._owners.total()

    async def run(self) -> None:
        """Reads once a second while there are viewers, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                began = self._clock()
                try:
                    await self.tick()
                except Exception as error:
                    log.error("live.tick_failed", exc_info=error)
                await asyncio.sleep(max(TICK_S - (self._clock() - began), 0.05))
        finally:
            self.close()
            await asyncio.gather(*(reader.stop() for reader in self.readers))

    async def tick(self) -> Snapshot:
        """Reads the parts that are due, and lets the pages be rendered from the new snapshot."""
        started = {reader.name: task for reader in self.readers if (task := reader.start()) is not None}
        if started:
            await asyncio.wait(started.values(), timeout=FAST_S)
        snapshot = self._compose()
        if self._ticked is not None:
            self._ticked.set_result(snapshot)
            self._ticked = None
        return snapshot

    async def snapshot(self) -> Snapshot:
        """Returns a snapshot that is about a second old at most, for the first view of a page."""
        if self._kept and self._clock() - self._composed_at < 1.5 * TICK_S:
            return self._kept[-1]
        started = [(reader, task) for reader in self.readers if (task := reader.start()) is not None]
        if started:
            is_first = any(reader.reading.read_at is None for reader, _ in started)
            await asyncio.wait([task for _, task in started], timeout=FIRST_S if is_first else FAST_S)
        return self._compose()

    def expire(self, *parts: str) -> None:
        """Lets the next snapshot read these parts again, because an action has changed them."""
        for reader in self.readers:
            if reader.name in parts:
                reader.expire()
        self._composed_at = float("-inf")

    def recent(self, at: int) -> Snapshot | None:
        """Returns the last snapshot that is not newer than `at` (Unix ms) and still in memory."""
        return next((one for one in reversed(self._kept) if one.at <= at), None)

    def join(self, feed: LiveFeed, owner: str, since: int = 0) -> Viewer:
        """Adds a viewer whose page shows the moment `since` (Unix ms). Raises TooManyViewers.

        It first gets all regions of a rendering that began later: an older one would take back what the page shows
        already, such as the effect of an action.
        """
        if self._closed or self.viewers >= MAX_VIEWERS:
            raise TooManyViewers(f"this process has {self.viewers} live streams")
        if self._owners[owner] >= MAX_OF_OWNER:
            raise TooManyViewers(f"this session has {MAX_OF_OWNER} live streams")
        audience = self._audiences.get(feed.key)
        if audience is None:
            audience = self._audiences[feed.key] = _Audience(feed)
            audience.task = asyncio.create_task(self._follow(audience), name="live-page")
        # The page may come from a process whose clock is ahead.
        viewer = Viewer(owner, min(since, time.time_ns() // 1_000_000))
        audience.viewers.add(viewer)
        if audience.current is not None:
            _offer((viewer,), audience.current, None)
        self._owners[owner] += 1
        self._wanted.set()
        return viewer

    def leave(self, feed: LiveFeed, viewer: Viewer) -> None:
        """Removes a viewer. The page of the last one is no longer rendered."""
        audience = self._audiences.get(feed.key)
        if audience is None or viewer not in audience.viewers:
            return
        audience.viewers.discard(viewer)
        self._owners[viewer.owner] -= 1
        if not self._owners[viewer.owner]:
            del self._owners[viewer.owner]
        if not audience.viewers:
            del self._audiences[feed.key]
            if audience.task is not None:
                audience.task.cancel()
        if not self._owners:
            self._wanted.clear()

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Runs the hub while the application does; for `cleanup_ctx`."""
        task = asyncio.create_task(self.run(), name="live-hub")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def end_streams(self, _app: web.Application) -> None:
        """Ends all streams; for `on_shutdown`, because the application then waits for the requests under way."""
        self.close()

    def close(self) -> None:
        """Ends all streams."""
        self._closed = True
        for audience in self._audiences.values():
            for viewer in audience.viewers:
                viewer.close("closing")

    def _compose(self) -> Snapshot:
        now_ms = time.time_ns() // 1_000_000
        last = self._kept[-1].at if self._kept else 0
        parts: dict[str, Any] = {reader.name: reader.reading for reader in self.readers}
        snapshot = Snapshot(at=max(now_ms, last + 1), **parts)
        self._composed_at = self._clock()
        self._kept.append(snapshot)
        while snapshot.at - self._kept[0].at > KEPT_S * 1000:
            self._kept.popleft()
        return snapshot

    async def _next_snapshot(self) -> Snapshot:
        if self._ticked is None:
            self._ticked = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._ticked)

    async def _follow(self, audience: _Audience) -> None:
        """Renders a page for its viewers, again and again, until cancelled."""
        due_at = float("-inf")
        while True:
            snapshot = await self._next_snapshot()
            if self._clock() < due_at:
                continue
            # A tick is not exactly a second, so a feed of one second is always due.
            due_at = self._clock() + audience.feed.every_s - 0.5 * TICK_S
            message = await self._rendered(audience, snapshot)
            if message is None:
                continue
            previous = audience.current
            audience.current = message
            _offer(audience.viewers, message, _changed(previous, message))

    async def _rendered(self, audience: _Audience, snapshot: Snapshot) -> Message | None:
        """Renders all regions. Returns None if that fails: viewers keep what they have."""
        feed, previous = audience.feed, audience.current
        await self._turn(audience)
        try:
            async with asyncio.timeout(RENDER_S), self._reading_pages if feed.reads_stores else nullcontext():
                began = time.thread_time()
                regions = await feed.render(snapshot)
                audience.cost_s = time.thread_time() - began
        except (StoreUnavailable, TimeoutError) as error:
            store = error.store if isinstance(error, StoreUnavailable) else "postgres"
            kept = {} if previous is None else previous.regions
            return Message(snapshot.at, kept, store, audience.answered_ms)
        except Exception as error:
            log.error("live.page_failed", exc_info=error)
            return None
        audience.answered_ms = snapshot.at
        return Message(snapshot.at, regions)

    async def _turn(self, audience: _Audience) -> None:
        """Waits until the page may be rendered without using more than CPU_SHARE for all pages.

        The time that other tasks used during the last rendering counts too: live pages give way to the other work of
        the process.
        """
        async with self._pacing:
            pause_s = self._free_at - self._clock()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            self._free_at = self._clock() + min(audience.cost_s / CPU_SHARE, LONGEST_PAUSE_S)


def _changed(previous: Message | None, message: Message) -> Message | None:
    """Returns the message with the regions that differ from the previous one; None if nothing differs."""
    if previous is None:
        return message
    regions = {name: html for name, html in message.regions.items() if previous.regions.get(name) != html}
    if not regions and (previous.missing, previous.since) == (message.missing, message.since):
        return None
    return Message(message.at, regions, message.missing, message.since)


def _offer(viewers: Iterable[Viewer], message: Message, changed: Message | None) -> None:
    """Offers what has changed to each viewer that is current, and the whole rendering to the others once it is not
    older than their page."""
    for viewer in viewers:
        if not viewer.is_current:
            viewer.is_current = message.at >= viewer.since
            if viewer.is_current:
                viewer.offer(message)
        elif changed is not None:
            viewer.offer(changed)
