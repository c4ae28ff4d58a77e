"""The cookie of a session: its content, its name and its attributes.

| the browser's connection | cookie |
|---|---|
| TLS, or to the browser's own machine | `__Host-filas`, with Secure |
| neither | `filas`, and the pages show a warning |

Chromium and Firefox accept Secure from the browser's own machine without TLS. Safari does not, nor does it send
`Sec-Fetch-Site` there: a browser without that header gets the plain name.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web

from ingest.access.client_identity import ClientIdentity
from ingest.dashboard.sessions.request_origin import RequestOrigin

PROTECTED_NAME: Final = "__Host-filas"
PLAIN_NAME: Final = "filas"
IDLE_FOR: Final = timedelta(hours=12)
"""A session ends when no page was requested for so long."""

LONGEST: Final = timedelta(days=7)
"""A session ends so long after its sign-in."""

RENEWED_AFTER: Final = timedelta(minutes=10)


class Session(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The signed content of the cookie. Times are in Unix seconds. The role is not part of it: it is that of the key
    or the token at each request."""

    id: UUID
    identity: ClientIdentity
    csrf: str
    signed_in_at: int
    expires_at: int

    @property
    def last_expiry(self) -> datetime:
        """When the session ends at the latest, however often it is renewed."""
        return datetime.fromtimestamp(self.signed_in_at, UTC) + LONGEST


def expiry(signed_in_at: int, now: float) -> int:
    """Returns when a session expires that is used now."""
    return int(min(now + IDLE_FOR.total_seconds(), signed_in_at + LONGEST.total_seconds()))


def renewed(session: Session, now: float) -> Session | None:
    """Returns the session with a later expiry; None if that would not be much later."""
    expires_at = expiry(session.signed_in_at, now)
    if expires_at - session.expires_at < RENEWED_AFTER.total_seconds():
        return None
    return msgspec.structs.replace(session, expires_at=expires_at)


def sent_value(request: web.Request, origin: RequestOrigin) -> str:
    """Returns the value of the cookie that the browser has sent; "" without one."""
    cookies = request.cookies
    plain = "" if origin.is_tls else cookies.get(PLAIN_NAME, "")
    return cookies.get(PROTECTED_NAME, "") or plain


def write(
    response: web.StreamResponse, request: web.Request, origin: RequestOrigin, value: str, expires_at: int
) -> None:
    """Adds the cookie to a response."""
    is_protected = not origin.is_insecure and (origin.is_tls or _accepts_secure(request))
    name = PROTECTED_NAME if is_protected else PLAIN_NAME
    max_age = max(0, int(expires_at - datetime.now(UTC).timestamp()))
    response.set_cookie(
        name, value, path="/", max_age=max_age, httponly=True, secure=is_protected, samesite="Lax"
    )  # fmt: skip


def delete(response: web.StreamResponse, origin: RequestOrigin) -> None:
    """Deletes the cookie in the browser, under both names."""
    if not origin.is_insecure:
        response.del_cookie(PROTECTED_NAME, path="/", secure=True, httponly=True, samesite="Lax")
    if not origin.is_tls:
        response.del_cookie(PLAIN_NAME, path="/", httponly=True, samesite="Lax")


def _accepts_secure(request: web.Request) -> bool:
    is_browser = request.headers.get("User-Agent", "").startswith("Mozilla/")
    return not is_browser or "Sec-Fetch-Site" in request.headers
