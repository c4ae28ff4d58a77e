"""Sign-in links of the dashboard: each signs in the client that created it, once, within five minutes.

A link has a signed token, so creating it stores nothing. Using it stores its id: Postgres decides which one of several
uses at the same time, in any process, is the first one.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import msgspec

from filas.crypto.signed_values import Signer
from ingest.access.authentication import Authenticator, Client
from ingest.access.client_identity import ClientIdentity, client_of, identity_of
from ingest.access.ended_sessions import RevokedTokens

VALID_FOR: Final = timedelta(minutes=5)
PATH: Final = "/dashboard/sign-in"


class _Link(msgspec.Struct, frozen=True, array_like=True):
    """The content of a token. `expires_at` is in Unix seconds."""

    id: UUID
    identity: ClientIdentity
    expires_at: int


class SignInLinks:
    """Creates and reads the tokens of links. `secret_key` is FILAS_SECRET_KEY."""

    def __init__(self, authenticator: Authenticator, secret_key: str, store: RevokedTokens) -> None:
        self._authenticator = authenticator
        self._signer = Signer(secret_key, "sign-in link")
        self._store = store

    def create(self, client: Client) -> tuple[str, datetime]:
        """Returns the token of a new link for the client, and when it expires."""
        expires_at = (datetime.now(UTC) + VALID_FOR).replace(microsecond=0)
        link = _Link(uuid4(), identity_of(client, self._authenticator, self._signer), int(expires_at.timestamp()))
        return self._signer.sign(msgspec.json.encode(link)), expires_at

    def client_of(self, token: str) -> Client | None:
        """Returns the client of a token that has not expired; the link may be used already. None: it is not valid.

        Raises StoreUnavailable while the keys of the API have not been read yet.
        """
        link = self._read(token)
        return None if link is None else client_of(link.identity, self._authenticator, self._signer)

    async def use(self, token: str) -> Client | None:
        """Uses the link. Returns its client; None if it is not valid, or if it was used. Raises StoreUnavailable."""
        link = self._read(token)
        client = self.client_of(token)
        if link is None or client is None:
            return None
        first = await self._store.revoke("link", [(link.id, datetime.fromtimestamp(link.expires_at, UTC))])
        return client if link.id in first else None

    def _read(self, token: str) -> _Link | None:
        content = self._signer.verify(token)
        if content is None:
            return None
        try:
            link = msgspec.json.decode(content, type=_Link)
        except msgspec.DecodeError:  # of another version of Filas
            return None
        return link if datetime.now(UTC).timestamp() < link.expires_at else None
