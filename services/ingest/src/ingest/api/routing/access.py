"""Who may call the API, and how what goes wrong is told: always as an RFC 9457 problem document."""

import hmac
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from filas.contract.storable_text import sent_bytes
from filas.errors import Conflict, InvalidCursor, NotFound, PermanentError, StoreUnavailable
from filas.observability.logs import get_logger
from filas.observability.metrics import AUTH_FAILURES
from filas.service.problem_documents import problem_response
from ingest.api.routing.problems import Refusal, invalid_field
from ingest.api.routing.route_types import RANK, Role

_log = get_logger(__name__)

RETRY_AFTER_S = 5
"""What a caller is told while a store is away. Stores reconnect within a few seconds of their return."""

ROLE = web.RequestKey("filas-role", str)
"""Under this key the request carries the caller's role."""


def role_of(token: str, admin_token: str) -> Role | None:
    """The role that a bearer token gives, or None. Compared in constant time; an empty token opens nothing."""
    if not admin_token:
        return None
    matches = hmac.compare_digest(sent_bytes(token), admin_token.encode())
    return "admin" if matches else None


def require(role: Role, granted: str) -> None:
    """Refuses with 403 when `granted` ranks below `role`."""
    if RANK[granted] < RANK[role]:
        raise Refusal(403, "Forbidden", f"this needs the role {role}; the token has {granted}")


def bearer_token(header: str) -> str:
    """The token of an Authorization header, "" where it has none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def make_guard(admin_token: str) -> Any:
    """The middleware around every route of the API, and around what is no route."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        granted = role_of(bearer_token(request.headers.get("Authorization", "")), admin_token)
        if granted is None:
            AUTH_FAILURES.labels("api").inc()
            _log.warning("api.unauthenticated", address=request.remote, method=request.method, path=request.path[:200])
            detail = "send the header `Authorization: Bearer TOKEN`"
            return problem_response(401, "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="filas"'})
        request[ROLE] = granted
        try:
            return await handler(request)
        except Exception as error:
            return _told(request, error)

    return guard


_PLAIN: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, 404, "Not found"),
    (Conflict, 409, "Conflict"),
    (PermanentError, 422, "Not valid"),
)
"""Errors of the stores and the domain whose message is written for the caller."""


def _told(request: web.Request, error: Exception) -> web.Response:
    """The problem document of whatever a handler raised. Nothing of an unexpected error reaches the caller."""
    refusal = _refusal(error)
    if refusal is not None:
        return problem_response(refusal.status, refusal.title, refusal.detail, **refusal.extra)
    if isinstance(error, web.HTTPException):
        return _of_http(request, error)
    if isinstance(error, StoreUnavailable):
        _log.warning("api.store_unavailable", store=error.store, reason=error.reason)
        detail = f"{error.store} is unavailable at present; try again soon"
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return problem_response(503, "Store unavailable", detail, headers=headers, store=error.store)
    _log.error("api.failed", method=request.method, path=request.path, exc_info=error)
    return problem_response(500, "Internal error", "the error has been logged; nothing is wrong with the request")


def _refusal(error: Exception) -> Refusal | None:
    """The refusal that an error of the stores or the domain amounts to, None for what is no fault of the caller's."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InvalidCursor):
        return invalid_field("cursor", str(error))
    if isinstance(error, RecursionError):
        return invalid_field("", "the body is nested too deeply")
    for kind, status, title in _PLAIN:
        if isinstance(error, kind):
            return Refusal(status, title, str(error))
    return None


def _of_http(request: web.Request, error: web.HTTPException) -> web.Response:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"{request.path} takes {allowed}"
        return problem_response(405, "Method not allowed", detail, headers={"Allow": allowed})
    if error.status == 404:
        return problem_response(404, "Not found", f"there is no route {request.path[:200]!r}; see /api/openapi.json")
    return problem_response(error.status, error.reason, error.text or error.reason)
