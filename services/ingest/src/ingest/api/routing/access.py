"""Who may call the API, and the problem document of each error that a handler raises."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from filas.errors import Conflict, InvalidCursor, NewerVersionRequired, NotFound, PermanentError
from filas.observability.logs import get_logger
from filas.observability.metrics import AUTH_FAILURES
from filas.service.problem_documents import problem_response
from ingest.api.routing.problems import ApiProblem, invalid_field
from ingest.api.routing.route_types import RANK, Role

log = get_logger(__name__)

ROLE = web.RequestKey("filas-role", str)
"""The key under which the request has the role of its client."""


def role_of(token: str, admin_token: str) -> Role | None:
    """Returns the role of a bearer token, or None. Compares in constant time. An empty `admin_token` admits no one."""
    if not admin_token:
        return None
    matches = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), admin_token.encode())
    return "admin" if matches else None


def require(role: Role, granted: str) -> None:
    """Raises the 403 if the role `granted` ranks below `role`."""
    if RANK[granted] < RANK[role]:
        raise ApiProblem(403, "Forbidden", f"this route needs the role {role}; the token has the role {granted}")


def bearer_token(header: str) -> str:
    """Returns the token of an Authorization header, or "" if it has none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def make_guard(admin_token: str) -> Any:
    """Returns the middleware around every path below `/api`: it checks the token and answers the API's own errors.

    Every other error is answered by `problem_middleware` of the private listener.
    """

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        granted = role_of(bearer_token(request.headers.get("Authorization", "")), admin_token)
        if granted is None:
            AUTH_FAILURES.labels("api").inc()
            log.warning("api.unauthenticated", address=request.remote, method=request.method, path=request.path[:200])
            detail = "send the header `Authorization: Bearer TOKEN`"
            return problem_response(401, "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="filas"'})
        request[ROLE] = granted
        try:
            return await handler(request)
        except Exception as error:
            problem = _problem(error)
            if problem is None:
                raise
            return problem_response(problem.status, problem.title, problem.detail, **problem.extra)

    return guard


_PLAIN: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, 404, "Not found"),
    (Conflict, 409, "Conflict"),
    (NewerVersionRequired, 409, "Newer version required"),
    (PermanentError, 422, "Invalid"),
)
"""Errors of the stores and the domain whose message is written for the client."""


def _problem(error: Exception) -> ApiProblem | None:
    """Returns the problem of an error that the client caused, None for any other error."""
    if isinstance(error, ApiProblem):
        return error
    if isinstance(error, InvalidCursor):
        return invalid_field("cursor", str(error))
    if isinstance(error, RecursionError):
        return invalid_field("", "the body is nested too deeply")
    for kind, status, title in _PLAIN:
        if isinstance(error, kind):
            return ApiProblem(status, title, str(error))
    return None
