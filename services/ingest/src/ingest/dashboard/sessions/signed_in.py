"""Opens, finds and ends sessions. Nothing here needs a store."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import msgspec
from aiohttp import web

from filas.crypto.signed_values import Signer
from ingest.access.api_access import Access
from ingest.access.authentication import Client
from ingest.access.client_identity import client_of, identity_of
from ingest.dashboard.sessions import session_cookie
from ingest.dashboard.sessions.session_cookie import Session

CSRF_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The user of a request. `csrf` is the value of the hidden field `csrf` of every form. `is_insecure`: others on the
    way can read the cookie, and the pages show a warning."""

    client: Client
    csrf: str
    is_insecure: bool
    session: Session


SIGNED_IN = web.RequestKey("filas-signed-in", SignedIn)
"""The key under which a request has its user."""


class Sessions:
    """The sessions of the dashboard. `secret_key` is FILAS_SECRET_KEY: every process with the same one accepts them."""

    def __init__(self, access: Access, secret_key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._access = access
        self._signer = Signer(secret_key, "dashboard session")
        self._clock = clock

    def __repr__(self) -> str:
        return "Sessions(…)"

    def open(self, client: Client) -> Session:
        """Returns a new session of the client."""
        now = int(self._clock())
        return Session(
            id=uuid4(),
            identity=identity_of(client, self._access.authenticator, self._signer),
            csrf=secrets.token_urlsafe(CSRF_BYTES),
            signed_in_at=now,
            expires_at=session_cookie.expiry(now, now),
        )

    def end(self, session: Session) -> None:
        """Ends the session: its cookie is refused, also where someone has kept a copy of it."""
        self._access.ended_sessions.end(session.id, session.last_expiry)

    def cookie_value(self, session: Session) -> str:
        """Returns the value of the session's cookie."""
        return self._signer.sign(msgspec.json.encode(session))

    def read(self, cookie_value: str) -> Session | None:
        """Returns the session of a cookie; None if it is not ours. It may have ended."""
        content = self._signer.verify(cookie_value)
        try:
            return None if content is None else msgspec.json.decode(content, type=Session)
        except msgspec.DecodeError:  # of another version of Filas
            return None

    def client_of(self, session: Session) -> Client | None:
        """Returns the client of a session, with its present role; None if the session has ended: it has expired, its
        user has signed out, its key was revoked, or FILAS_ADMIN_TOKEN has changed.

        Raises StoreUnavailable for the session of a key while the keys have not been read yet.
        """
        if self._clock() >= session.expires_at or session.id in self._access.ended_sessions:
            return None
        return client_of(session.identity, self._access.authenticator, self._signer)

    def renewed(self, session: Session) -> Session | None:
        """Returns the session with a later expiry, for a new cookie; None if the cookie is still good."""
        return session_cookie.renewed(session, self._clock())
