"""One viewer: a slot for what its stream sends next. A slow viewer misses what is outdated, and delays no one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec

EndReason = str
"""Why the server ends a stream: `closing` (the process stops), `signed-out`."""

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Message:
    """Regions of a page that have changed: the content of each as HTML, by the id of its element.

    `at` is the snapshot's. `missing` names the store that did not answer when the page was rendered; it last answered
    at `since` (Unix ms).
    """

    at: int
    regions: Mapping[str, str] = field(default_factory=dict)
    missing: str | None = None
    since: int | None = None

    @cached_property
    def frame(self) -> bytes:
        """The message as an event of the stream. All viewers of a page send the same bytes."""
        shown: dict[str, Any] = {"at": self.at, "regions": self.regions}
        if self.missing is not None:
            shown |= {"missing": self.missing, "since": self.since}
        # JSON has no line break, so the event is one line of data.
        return b"id: %d\r\nevent: regions\r\ndata: %b\r\n\r\n" % (self.at, _encode(shown))

    def after(self, earlier: "Message | None") -> "Message":
        """Returns this message with the regions of an earlier one that was not sent. The newest of each region wins."""
        if earlier is None:
            return self
        return Message(self.at, {**earlier.regions, **self.regions}, self.missing, self.since)


class Viewer:
    """A stream's place in the hub. `owner` identifies the session that it belongs to. `since` is the moment that the
    viewer's page shows (Unix ms). `is_current`: the viewer has all regions of a rendering that is not older."""

    def __init__(self, owner: str, since: int = 0) -> None:
        self.owner = owner
        self.since = since
        self.is_current = False
        self.end: EndReason | None = None
        self._slot: Message | None = None
        self._filled = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Puts the message into the slot. Never waits."""
        self._slot = message.after(self._slot)
        self._filled.set()

    def close(self, reason: EndReason) -> None:
        """Ends the stream."""
        self.end = reason
        self._filled.set()

    async def next(self, timeout_s: float) -> Message | None:
        """Empties the slot. Waits up to `timeout_s` for a message; returns None without one, or at the end."""
        if not self._filled.is_set():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return None
        message, self._slot = self._slot, None
        if self.end is None:
            self._filled.clear()
        return message
