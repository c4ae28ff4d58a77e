"""The types of the channels, read again every few seconds at most."""

from collections.abc import Callable, Sequence
from typing import Protocol

from filas.batching import MicroBatcher
from filas.models.configuration import Channel

FRESH_S = 5.0
"""A channel whose type has changed is used with its new type at most this many seconds later, and a new one at once."""


class ChannelSource(Protocol):
    """The part of the repository that has the changes of channels (`ChannelRepository`)."""

    async def changed_since(self, revision: int) -> tuple[list[Channel], list[str], int]:
        """The channels stored and the ids deleted after `revision` (0: all), and the next revision."""


class ChannelTypes:
    """Finds the type of a channel by its id."""

    def __init__(self, source: ChannelSource, monotonic: Callable[[], float], fresh_s: float = FRESH_S) -> None:
        self._source = source
        self._monotonic = monotonic
        self._fresh_s = fresh_s
        self._types: dict[str, str] = {}
        self._revision = 0
        self._read_at: float | None = None
        self._reads: MicroBatcher[str, None] = MicroBatcher(self._read)

    async def type_of(self, channel_id: str) -> str | None:
        """The type of a channel, None if there is no such channel. Raises StoreUnavailable."""
        is_fresh = self._read_at is not None and self._monotonic() - self._read_at < self._fresh_s
        if not is_fresh or channel_id not in self._types:
            await self._reads.add(channel_id)
        return self._types.get(channel_id)

    async def _read(self, asked: Sequence[str]) -> Sequence[None]:
        """Reads the changes once for all who ask: a channel that is not stored is looked up for each message to it."""
        now = self._monotonic()
        changed, deleted, self._revision = await self._source.changed_since(self._revision)
        self._types |= {channel.id: channel.type for channel in changed}
        for deleted_id in deleted:
            self._types.pop(deleted_id, None)
        self._read_at = now
        return [None] * len(asked)
