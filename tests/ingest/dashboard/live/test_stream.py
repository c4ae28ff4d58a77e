"""The stream over HTTP: what it sends, when it ends, and that a viewer who does not read is removed."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from ingest.dashboard.live import stream as live_stream
from ingest.dashboard.live.hub import MAX_OF_OWNER, LiveFeed, LiveHub
from ingest.dashboard.live.snapshot import Snapshot
from tests.ingest.dashboard.live.feeds import WAIT_S, Clock, Page, PausesPart, settled
from tests.ingest.dashboard.live.streaming import REQUEST, Session, serving
from tests.waiting import eventually


@asynccontextmanager
async def opened(port: int, query: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a request for the stream."""
    async with (
        aiohttp.ClientSession(read_bufsize=2**22) as session,
        session.get(f"http://127.0.0.1:{port}/live{query}") as response,
    ):
        yield response


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """The events of a stream."""
    event: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name:
            event[name] = value
        elif event:
            yield event
            event = {}


async def next_event(events: AsyncIterator[dict[str, str]]) -> dict[str, str]:
    """The next event."""
    async with asyncio.timeout(WAIT_S):
        return await anext(events)


async def test_a_stream_sends_the_regions_and_then_what_changes() -> None:
    part, page = PausesPart(clock := Clock()), Page()
    hub = LiveHub([part.reader], clock=clock)
    async with serving(hub, page.feed) as port, opened(port) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        events = events_of(response)
        assert await next_event(events) == {"retry": "3000"}
        await settled()
        snapshot = await hub.tick()
        first = await next_event(events)
        assert (first["event"], first["id"]) == ("regions", str(snapshot.at))
        shown: dict[str, Any] = {"title": "<h1>Queues</h1>", "state": "<p>queue-1</p>"}
        assert json.loads(first["data"]) == {"at": snapshot.at, "regions": shown}
        clock.now += 1
        await settled()
        await hub.tick()
        assert json.loads((await next_event(events))["data"])["regions"] == {"state": "<p>queue-2</p>"}


async def test_a_viewer_who_leaves_is_forgotten() -> None:
    hub, page = LiveHub([]), Page()
    async with serving(hub, page.feed) as port:
        async with opened(port):
            await eventually(lambda: hub.viewers == 1, WAIT_S)
        await eventually(lambda: hub.viewers == 0, WAIT_S)


async def test_a_quiet_stream_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "BEAT_S", 0.05)
    hub, page = LiveHub([]), Page()
    async with serving(hub, page.feed) as port, opened(port) as response:
        events = events_of(response)
        await next_event(events)
        assert (await next_event(events))["event"] == "beat"


async def test_a_stream_ends_when_its_session_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "BEAT_S", 0.05)
    hub, page, known = LiveHub([]), Page(), Session()
    async with serving(hub, page.feed, known) as port, opened(port) as response:
        events = events_of(response)
        await next_event(events)
        known.is_valid = False
        while (event := await next_event(events))["event"] == "beat":
            pass
        assert event == {"event": "end", "data": "signed-out"}
        assert [event async for event in events] == []
        assert hub.viewers == 0


async def test_a_process_that_stops_ends_its_streams_at_once() -> None:
    hub, page = LiveHub([]), Page()
    async with aiohttp.ClientSession() as session:
        async with serving(hub, page.feed) as port:
            response = await session.get(f"http://127.0.0.1:{port}/live")
            events = events_of(response)
            await next_event(events)
        assert await next_event(events) == {"event": "end", "data": "closing"}
        response.close()


async def test_a_viewer_beyond_the_limit_is_asked_to_come_later() -> None:
    hub, page = LiveHub([]), Page()
    for _ in range(MAX_OF_OWNER):
        hub.join(page.feed, "greedy")
    async with serving(hub, page.feed) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/live?owner=greedy") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "30")
        async with session.get(f"http://127.0.0.1:{port}/live?owner=modest") as response:
            assert response.status == 200


async def test_a_viewer_who_reads_nothing_is_removed_and_the_others_get_every_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection is aborted when it has taken nothing for SEND_S."""
    monkeypatch.setattr(live_stream, "SEND_S", 5.0)
    part = PausesPart(clock := Clock())

    async def large(snapshot: Snapshot) -> Mapping[str, str]:
        return {"state": (snapshot.pauses.value or [""])[0], "filling": f"{part.readings}" + "x" * 2**20}

    hub, feed = LiveHub([part.reader], clock=clock), LiveFeed("large", large)
    async with serving(hub, feed) as port, aiohttp.ClientSession(read_bufsize=2**22) as session:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(REQUEST)
        await eventually(lambda: hub.viewers == 1, WAIT_S)
        async with session.get(f"http://127.0.0.1:{port}/live") as response:
            await eventually(lambda: hub.viewers == 2, WAIT_S)
            tick = 0

            async def is_removed() -> bool:
                nonlocal tick
                tick += 1
                clock.now += 1
                await settled()
                await hub.tick()
                content = b""
                async with asyncio.timeout(WAIT_S):
                    while f'"state":"queue-{tick}"'.encode() not in content:
                        content = content[-100:] + await response.content.readany()
                return hub.viewers == 1

            await eventually(is_removed, WAIT_S)
        writer.close()
