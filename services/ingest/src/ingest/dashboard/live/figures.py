"""What a page asks for: the figures of now, or those of a moment that was stored."""

from typing import Final

from ingest.dashboard.live.hub import LiveHub
from ingest.dashboard.live.moments import MomentStore
from ingest.dashboard.live.snapshot import Snapshot

MAX_DIGITS: Final = 15


class LiveFigures:
    """The snapshots of the hub, and the stored ones."""

    def __init__(self, hub: LiveHub, moments: MomentStore) -> None:
        self._hub = hub
        self._moments = moments

    async def now(self) -> Snapshot:
        """Returns the figures of now; a part that a store does not answer is marked."""
        return await self._hub.snapshot()

    def expire(self, *parts: str) -> None:
        """Lets the next page read these parts again, because an action has changed them."""
        self._hub.expire(*parts)

    async def stored(self, at: str) -> Snapshot | None:
        """Returns the stored figures of a moment (Unix ms); None if there are none. Raises StoreUnavailable."""
        moment = _parsed(at)
        return None if moment is None else await self._moments.load(moment)

    async def freeze(self, at: str) -> int:
        """Stores the figures that a page showed at `at`, or those of now if they are no longer in memory.

        Returns the moment that is stored. Raises StoreUnavailable.
        """
        moment = _parsed(at)
        snapshot = None if moment is None else self._hub.recent(moment)
        if snapshot is None:
            snapshot = await self._hub.snapshot()
        await self._moments.save(snapshot)
        return snapshot.at


def _parsed(at: str) -> int | None:
    return int(at) if at.isascii() and at.isdigit() and len(at) <= MAX_DIGITS else None
