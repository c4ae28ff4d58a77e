"""`GET /dashboard/live?page=…&since=…`: the stream of a page's live regions (server-sent events).

| event | data |
|---|---|
| `regions` | `{"at": ms, "regions": {"<id>": "<html>"}}`, with `missing` and `since` while a store does not answer |
| `beat` | empty; sent when nothing else was for BEAT_S, so that the browser notices a lost connection |
| `end` | why the stream ends: `closing` (the process stops; connect again), `signed-out` |
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from ingest.dashboard.live.hub import LiveFeed, LiveHub, TooManyViewers

BEAT_S: Final = 10.0
SEND_S: Final = 15.0
"""How long a viewer may take to accept a message. Then its connection is aborted."""

_BEAT: Final = b"event: beat\r\ndata:\r\n\r\n"
_RETRY_MS: Final = 3000


class FrameResponse(EventSourceResponse):
    """A stream that sends events that were encoded once for all viewers."""

    async def send_frame(self, frame: bytes) -> None:
        """Sends an encoded event. Raises TimeoutError, and aborts the connection, after SEND_S."""
        try:
            async with asyncio.timeout(SEND_S):
                await self.write(frame)
        except TimeoutError:
            self._abort_transport()
            raise


async def stream(
    request: web.Request,
    hub: LiveHub,
    feed: LiveFeed,
    *,
    owner: str,
    since: int = 0,
    is_allowed: Callable[[], bool],
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Streams the live regions of a page until the viewer leaves, the process stops, or `is_allowed` returns False.
    `since` is the moment that the viewer's page shows (Unix ms).

    `is_allowed` is asked before each event: the session may end while the stream is open. `headers` are those of every
    response of the dashboard.
    """
    try:
        viewer = hub.join(feed, owner, since)
    except TooManyViewers as error:
        raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": "30"}) from None
    try:
        # The beats detect a lost viewer, so the library's own pings are not needed.
        response = FrameResponse(headers=headers, send_timeout=SEND_S, ping_interval=3600.0)
        await response.prepare(request)
        async with response:
            await response.send_frame(b"retry: %d\r\n\r\n" % _RETRY_MS)
            while True:
                message = await viewer.next(BEAT_S)
                reason = viewer.end or (None if is_allowed() else "signed-out")
                if reason is not None:
                    await response.send_frame(f"event: end\r\ndata: {reason}\r\n\r\n".encode())
                    break
                await response.send_frame(_BEAT if message is None else message.frame)
        return response
    except (ConnectionResetError, TimeoutError):
        return response
    finally:
        hub.leave(feed, viewer)
