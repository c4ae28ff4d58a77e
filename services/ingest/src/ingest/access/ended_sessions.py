"""The sessions of the dashboard that were ended by a sign-out, in memory.

They are stored in Postgres, and every process reads them every second. While Postgres is unavailable, a session ends at
once in the process in which its user signed out; the others refuse it about a second after Postgres is available again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from filas.errors import StoreUnavailable
from filas.periodic import periodic
from filas.repository.access.revoked_tokens import TokenKind

POLL_S: Final = 1.0
CLOSE_S: Final = 1.0


class RevokedTokens(Protocol):
    """Where revoked tokens are stored (`RevokedTokenRepository`)."""

    async def revoke(self, kind: TokenKind, tokens: Sequence[tuple[UUID, datetime]]) -> set[UUID]:
        """Revokes tokens. Returns the ids of those that were valid. Raises StoreUnavailable."""

    async def revoked(self, kind: TokenKind) -> set[UUID]:
        """Returns the ids of all revoked tokens. Raises StoreUnavailable."""


class EndedSessions:
    """The ids of ended sessions. `run` must be running; `close` writes those that are not stored yet."""

    def __init__(self, store: RevokedTokens) -> None:
        self._store = store
        self._stored: set[UUID] = set()
        self._unwritten: dict[UUID, datetime] = {}
        self._wake = asyncio.Event()

    def __contains__(self, session_id: UUID) -> bool:
        """Whether the session was ended."""
        return session_id in self._stored or session_id in self._unwritten

    def end(self, session_id: UUID, expires_at: datetime) -> None:
        """Ends a session in this process at once, and in others when it is stored. It must be kept until
        `expires_at`."""
        self._unwritten[session_id] = expires_at
        self._wake.set()

    async def refresh(self) -> None:
        """Writes what is not stored yet, and reads all ended sessions. Raises StoreUnavailable, without a loss."""
        now = datetime.now(UTC)
        self._unwritten = {one: expiry for one, expiry in self._unwritten.items() if expiry > now}
        written = list(self._unwritten.items())
        if written:
            await self._store.revoke("session", written)
        self._stored = await self._store.revoked("session")
        for session_id, _ in written:
            del self._unwritten[session_id]

    async def run(self) -> None:
        """Does so every second, until cancelled."""
        await periodic("refresh-ended-sessions", self.refresh, POLL_S, wake=self._wake, on_error="log")

    async def close(self) -> None:
        """Writes what is not stored yet, within a second."""
        if self._unwritten:
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.refresh()
