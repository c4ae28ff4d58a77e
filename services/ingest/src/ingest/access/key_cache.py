"""The valid keys of the API in memory. They are read every second, and kept while Postgres is unavailable."""

import hmac
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from uuid import UUID

from filas.crypto.api_keys import KeyHasher
from filas.models.access import ActiveKey
from filas.periodic import periodic

POLL_S: Final = 1.0
"""How often the keys are read: a key that another process has revoked is refused within about a second."""

USE_WRITTEN_EVERY_S: Final = 60.0


class KeyStore(Protocol):
    """Where keys are stored (`ApiKeyRepository`)."""

    async def active(self) -> list[ActiveKey]:
        """Returns every valid key. Raises StoreUnavailable."""

    async def mark_used(self, key_ids: Sequence[UUID]) -> None:
        """Records that the keys were used now. Raises StoreUnavailable."""


class KeyCache:
    """Every valid key by its hash. `refresh` reads them, and `run` does so regularly.

    A key also ends here when it expires, by the monotonic clock.
    """

    def __init__(self, store: KeyStore, hasher: KeyHasher, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._hasher = hasher
        self._clock = clock
        self._keys: dict[bytes, tuple[ActiveKey, float | None]] = {}
        self._hash_of: dict[UUID, bytes] = {}
        self._used: set[UUID] = set()
        self._written_at: dict[UUID, float] = {}
        self.is_loaded = False

    def find(self, token: str) -> ActiveKey | None:
        """Returns the valid key with this value, or None. The use of the key is written in the background.

        The place in the dictionary depends on the hash, and without FILAS_SECRET_KEY no one can compute it: the time of
        a search does not depend on the key in a known way.
        """
        return self._valid(self._hasher.hash(token))

    def with_id(self, key_id: UUID) -> ActiveKey | None:
        """Returns the valid key with this id, or None: the key of a session. Its use is written as that of a value."""
        return self._valid(self._hash_of.get(key_id, b""))

    def _valid(self, digest: bytes) -> ActiveKey | None:
        key, ends_at = self._keys.get(digest, (None, None))
        if key is None or not hmac.compare_digest(key.hash, digest):
            return None
        now = self._clock()
        if ends_at is not None and now >= ends_at:
            return None
        if now - self._written_at.get(key.id, -USE_WRITTEN_EVERY_S) >= USE_WRITTEN_EVERY_S:
            self._used.add(key.id)
        return key

    async def refresh(self) -> None:
        """Reads the keys. Raises StoreUnavailable; the cache is then unchanged."""
        began = self._clock()
        active = await self._store.active()
        self._keys = {key.hash: (key, None if key.expires_in_s is None else began + key.expires_in_s) for key in active}
        self._hash_of = {key.id: key.hash for key in active}
        self._written_at = {key.id: at for key in active if (at := self._written_at.get(key.id)) is not None}
        self.is_loaded = True

    async def run(self) -> None:
        """Reads the keys and writes their use, until cancelled. A failed call is repeated."""
        await periodic("refresh-keys", self._step, POLL_S, on_error="log")

    async def _step(self) -> None:
        await self.refresh()
        if self._used:
            used, self._used = self._used, set()
            now = self._clock()
            self._written_at |= dict.fromkeys(used, now)
            await self._store.mark_used(sorted(used))
