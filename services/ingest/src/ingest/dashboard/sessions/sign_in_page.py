"""Sign-in with a key, the admin token or a link, and sign-out.

A link is used at once if its user has opened it in a browser on this machine. Any other request for it (a preview, a
scanner, a prefetch, an older browser) gets a page with a button and leaves the link valid.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from filas.contract.identity import new_id
from filas.errors import StoreUnavailable
from filas.models.access import NewAuditEntry
from filas.observability.logs import get_logger
from filas.observability.metrics import AUTH_FAILURES
from ingest.access.api_access import Access
from ingest.access.authentication import Client
from ingest.dashboard.sessions import return_path, session_cookie
from ingest.dashboard.sessions.middlewares import REQUEST_ORIGIN
from ingest.dashboard.sessions.request_origin import comes_from_this_machine, opened_by_the_user
from ingest.dashboard.sessions.session_cookie import Session
from ingest.dashboard.sessions.sign_in_view import STATUS, Problem, Render, SignInView
from ingest.dashboard.sessions.signed_in import SIGNED_IN, Sessions
from ingest.dashboard.sessions.submitted_form import Form, read_form

log = get_logger(__name__)

MAX_SIGN_IN_BYTES: Final = 16 * 1024
FirstPage = Callable[[], Awaitable[str]]


async def overview() -> str:
    """The page after a sign-in without a page to go back to."""
    return return_path.OVERVIEW


class SignInPage:
    """The handlers. `first_page` returns the path to which a link leads that names no page. `render`: the page."""

    def __init__(self, sessions: Sessions, access: Access, render: Render, *, first_page: FirstPage = overview) -> None:
        self._sessions = sessions
        self._access = access
        self._first_page = first_page
        self._render = render

    def routes(self, prefix: str = return_path.ROOT) -> list[web.RouteDef]:
        """The routes. `prefix` is removed from their paths, for an application that is mounted there."""
        sign_in, sign_out = (path.removeprefix(prefix) for path in (return_path.SIGN_IN, return_path.SIGN_OUT))
        return [web.get(sign_in, self.show), web.post(sign_in, self.sign_in), web.post(sign_out, self.sign_out)]

    async def show(self, request: web.Request) -> web.Response:
        """Shows the form, or signs in by a link."""
        target = return_path.checked(request.query.get("next", ""))
        once = request.query.get("once", "")
        if once and opened_by_the_user(request):
            return await self._use_link(request, once, request.query.get("next"))
        if once:
            return self._ask(request, once, target)
        if SIGNED_IN in request:
            return _redirect(target)
        return self._page(request, target)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Opens a session for a valid key or link."""
        form = await read_form(request, MAX_SIGN_IN_BYTES)
        target = return_path.checked(form.get("next", ""))
        if form.get("once"):
            return await self._use_link(request, form["once"], form.get("next"))
        try:
            client = self._access.authenticator.client_of(_token(form))
        except StoreUnavailable:
            return self._page(request, target, "unavailable")
        if client is None:
            return self._refuse(request, target, "invalid")
        return self._open(request, client, target, "token")

    async def sign_out(self, request: web.Request) -> web.Response:
        """Ends the session of the request."""
        signed_in, origin = request[SIGNED_IN], request[REQUEST_ORIGIN]
        self._sessions.end(signed_in.session)
        self._record("signOut", request, signed_in.client, signed_in.session, None)
        response = _redirect(return_path.SIGN_IN)
        session_cookie.delete(response, origin)
        return response

    def _ask(self, request: web.Request, once: str, target: str) -> web.Response:
        """Shows the button that uses the link."""
        if not comes_from_this_machine(request):
            return self._page(request, target, "link-elsewhere")
        try:
            client = self._access.sign_in_links.client_of(once)
        except StoreUnavailable:
            return self._page(request, target, "unavailable")
        if client is None:
            return self._page(request, target, "link")
        given = request.query.get("next", "")
        return self._page(request, target if given else "", once=once, who=client.name)

    async def _use_link(self, request: web.Request, once: str, given_target: str | None) -> web.Response:
        target = return_path.checked(given_target) if given_target else ""
        if not comes_from_this_machine(request):
            return self._refuse(request, target, "link-elsewhere")
        try:
            client = await self._access.sign_in_links.use(once)
        except StoreUnavailable:
            return self._page(request, target, "unavailable")
        if client is not None:
            return self._open(request, client, target or await self._first_page(), "link")
        if SIGNED_IN in request:  # the page was loaded again
            return _redirect(target or await self._first_page())
        return self._refuse(request, target, "link")

    def _open(self, request: web.Request, client: Client, target: str, by: str) -> web.Response:
        """Opens a new session, whatever cookie the browser has sent: no one can choose a session for someone else. The
        browser's old session ends."""
        if SIGNED_IN in request:
            self._sessions.end(request[SIGNED_IN].session)
        session = self._sessions.open(client)
        self._record("signIn", request, client, session, by)
        response = _redirect(target)
        origin = request[REQUEST_ORIGIN]
        session_cookie.write(response, request, origin, self._sessions.cookie_value(session), session.expires_at)
        return response

    def _refuse(self, request: web.Request, target: str, problem: Problem) -> web.Response:
        """Counts a failed sign-in, for the limit and the audit. Beyond the limit, the answer is 429."""
        address = self._address(request)
        AUTH_FAILURES.labels("dashboard").inc()
        wait_s = self._access.failed_sign_ins.record(address)
        if wait_s:
            response = self._page(request, target, "limited", wait_s=wait_s)
            response.headers["Retry-After"] = str(wait_s)
            return response
        log.warning("dashboard.sign_in_failed", address=address, reason=problem)
        return self._page(request, target, problem)

    def _page(
        self,
        request: web.Request,
        target: str,
        problem: Problem = "",
        *,
        once: str = "",
        who: str = "",
        wait_s: int = 0,
    ) -> web.Response:
        is_insecure = request[REQUEST_ORIGIN].is_insecure
        view = SignInView(next=target, once=once, who=who, problem=problem, wait_s=wait_s, is_insecure=is_insecure)
        response = self._render(request, view)
        response.set_status(STATUS[problem])
        if response.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="filas"'
        return response

    def _record(self, action: str, request: web.Request, client: Client, session: Session, by: str | None) -> None:
        entry = NewAuditEntry(
            id=new_id(),
            who=client.name,
            key_id=client.key_id,
            role=client.role,
            address=self._address(request),
            action=action,
            subject=f"sessions/{session.id}",
            outcome="done",
            before=None,
            after=None if by is None else {"by": by, "signedInAt": datetime.fromtimestamp(session.signed_in_at, UTC)},
        )
        self._access.audit.add_later(entry)

    def _address(self, request: web.Request) -> str:
        return self._access.addresses.of(request.remote, request.headers.getall("X-Forwarded-For", []))


def _token(form: Form) -> str:
    """Returns the given key, without the blanks that copying may have added."""
    return form.get("token", "").strip()


def _redirect(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
