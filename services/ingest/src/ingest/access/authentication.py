"""Authenticates the clients of the API: by FILAS_ADMIN_TOKEN, or by a key of the table `api_keys`."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from filas.crypto import api_keys
from filas.errors import StoreUnavailable
from filas.models.access import FIRST_ADMIN, ActiveKey, Role
from ingest.access.key_cache import KeyCache


@dataclass(frozen=True, slots=True)
class Client:
    """Who has sent a request. `name` is that of the key; `key_id` is None for FILAS_ADMIN_TOKEN."""

    name: str
    role: Role
    key_id: UUID | None = None


ADMIN = Client(FIRST_ADMIN, "admin")


class Authenticator:
    """Finds the client of a token. Needs no store: the keys are in memory, so operators can sign in at any time.

    An empty `admin_token` admits no one.
    """

    def __init__(self, admin_token: str, keys: KeyCache) -> None:
        self._admin_token = admin_token.encode()
        self._keys = keys

    def __repr__(self) -> str:
        return "Authenticator(…)"

    def client_of(self, token: str) -> Client | None:
        """Returns the client with this token; None if there is none. The time does not depend on the token's content.

        Raises StoreUnavailable for a text in the form of a key while the keys have not been read yet.
        """
        given = token.encode("utf-8", "surrogateescape")
        if self._admin_token and hmac.compare_digest(given, self._admin_token):
            return ADMIN
        if not api_keys.has_form(token):
            return None
        if not self._keys.is_loaded:
            raise StoreUnavailable("postgres", "the keys of the API have not been read yet")
        return _client(self._keys.find(token))

    def client_with_key(self, key_id: UUID) -> Client | None:
        """Returns the client with the key of this id; None if the key is not valid any more.

        Raises StoreUnavailable while the keys have not been read yet.
        """
        if not self._keys.is_loaded:
            raise StoreUnavailable("postgres", "the keys of the API have not been read yet")
        return _client(self._keys.with_id(key_id))

    def admin_mark(self, digest: Callable[[bytes], bytes]) -> bytes:
        """Returns the digest of the admin token, for a session that ends when the token changes; b"" without one."""
        return digest(self._admin_token) if self._admin_token else b""


def _client(key: ActiveKey | None) -> Client | None:
    return None if key is None else Client(key.name, key.role, key.id)
