"""The middlewares of every page: headers, where the request comes from, the session, the CSRF token."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlsplit

from aiohttp import web

from filas.errors import StoreUnavailable
from ingest.access.api_access import Access
from ingest.access.authentication import Client
from ingest.dashboard.sessions import return_path, session_cookie
from ingest.dashboard.sessions.request_origin import SAFE_METHODS, RequestOrigin, origin_of, refusal
from ingest.dashboard.sessions.session_cookie import Session
from ingest.dashboard.sessions.signed_in import SIGNED_IN, Sessions, SignedIn
from ingest.dashboard.sessions.submitted_form import FORM, read_form

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CSRF_FIELD: Final = "csrf"
STATIC: Final = f"{return_path.ROOT}/static/"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The headers of every response. A handler may set another value of a header itself."""

REQUEST_ORIGIN = web.RequestKey("filas-request-origin", RequestOrigin)
"""The key under which a request has the address at which its browser sees the dashboard."""


@web.middleware
async def security_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds the headers to every response, also to an error. It is the outermost middleware of the dashboard."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        for name, value in HEADERS.items():
            error.headers.setdefault(name, value)
        raise
    if not response.prepared:  # a stream has sent its headers; its handler starts with HEADERS
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    return response


def origin_middleware(access: Access) -> Any:
    """Returns the middleware that refuses requests which a page of another origin has sent (403)."""

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = origin_of(request, access.addresses)
        reason = refusal(request, origin)
        if reason is not None:
            advice = "behind a proxy: it must keep the header Host, and TRUSTED_PROXIES must have its address"
            raise web.HTTPForbidden(text=f"the request comes from another page: {reason} ({advice})")
        request[REQUEST_ORIGIN] = origin
        return await handler(request)

    return check_origin


def session_middleware(sessions: Sessions, access: Access) -> Any:
    """Returns the middleware that leads every request without a session to the sign-in form.

    The form itself and the static files need no session. A request that no browser shows as a page (a stream, a part of
    a page) is answered 401.
    """

    @web.middleware
    async def find_session(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request[REQUEST_ORIGIN]
        session = sessions.read(session_cookie.sent_value(request, origin))
        is_open = _is_open(request)
        if session is None or (client := _client(sessions, session, is_open=is_open)) is None:
            return await handler(request) if is_open else _to_sign_in(request, origin, had_session=session is not None)
        request[SIGNED_IN] = SignedIn(client, session.csrf, origin.is_insecure, session)
        response = await handler(request)
        later = sessions.renewed(session)
        # After a sign-out or another sign-in, the cookie of the old session must not return.
        if later is not None and not is_open and not response.prepared and session.id not in access.ended_sessions:
            session_cookie.write(response, request, origin, sessions.cookie_value(later), later.expires_at)
        return response

    return find_session


def _is_open(request: web.Request) -> bool:
    """Whether the request needs no session: for the sign-in form, or for a file. An open path that no route serves is
    answered 404 by the handler of the pages that do not exist."""
    if request.path == return_path.SIGN_IN:
        return request.method in ("GET", "HEAD", "POST")
    return request.path.startswith(STATIC) and request.method in ("GET", "HEAD")


def _client(sessions: Sessions, session: Session, *, is_open: bool) -> Client | None:
    """Returns the client of the session. An open page is shown without one while the keys cannot be read."""
    try:
        return sessions.client_of(session)
    except StoreUnavailable:
        if is_open:
            return None
        raise


def _to_sign_in(request: web.Request, origin: RequestOrigin, *, had_session: bool) -> web.Response:
    if request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate" or _wants_stream(request):
        return web.Response(status=401, text="the session has ended: sign in again")
    page = request.rel_url.raw_path_qs if request.method in SAFE_METHODS else _page_of_form(request)
    target = return_path.checked(page)
    query = "" if target == return_path.OVERVIEW else f"?next={quote(target, safe='/')}"
    response = web.Response(status=303, headers={"Location": return_path.SIGN_IN + query})
    if had_session:
        session_cookie.delete(response, origin)
    return response


def _wants_stream(request: web.Request) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")


def _page_of_form(request: web.Request) -> str:
    """Returns the page that contains the form of a POST: the form's own path may not be a page."""
    try:
        address = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return return_path.OVERVIEW
    query = f"?{address.query}" if address.query else ""
    return f"{address.path}{query}"


def csrf_middleware() -> Any:
    """Returns the middleware that reads the form of every other request than GET and checks its field `csrf` (403).

    The handler finds the form as `request[FORM]`. The form of the sign-in has no session, and reads itself.
    """

    @web.middleware
    async def check_csrf(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method in SAFE_METHODS or request.path == return_path.SIGN_IN:
            return await handler(request)
        form = await read_form(request)
        expected = request[SIGNED_IN].csrf
        if not hmac.compare_digest(form.get(CSRF_FIELD, "").encode(), expected.encode()):
            raise web.HTTPForbidden(text="the form is not of this session: reload the page and send it again")
        request[FORM] = form
        return await handler(request)

    return check_csrf
