"""Who may call the API, and the problem document of each error that a handler raises."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from filas.errors import Conflict, InvalidCursor, NewerVersionRequired, NotFound, PermanentError
from filas.models.access import RANK, Role
from filas.observability.logs import get_logger
from filas.observability.metrics import AUTH_FAILURES
from filas.service.problem_documents import problem_response
from ingest.access.api_access import Access
from ingest.access.authentication import Client
from ingest.api.routing.problems import ApiProblem, invalid_field

log = get_logger(__name__)

CLIENT = web.RequestKey("filas-client", Client)
"""The key under which the request has its client."""

ADDRESS = web.RequestKey("filas-address", str)
"""The key under which the request has the address of its client."""


def require(role: Role, granted: str) -> None:
    """Raises the 403 if the role `granted` ranks below `role`."""
    if RANK[granted] < RANK[role]:
        raise ApiProblem(403, "Forbidden", f"this route needs the role {role}; the token has the role {granted}")


def bearer_token(header: str) -> str:
    """Returns the token of an Authorization header, or "" if it has none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def make_guard(access: Access) -> Any:
    """Returns the middleware around every path below `/api`: it checks the token and answers the API's own errors.

    A token that is not valid is answered 401, and 429 beyond the limit of failures. A valid one is always accepted:
    no one can guess it, and many clients may have the address of one proxy.

    Every other error is answered by `problem_middleware` of the private listener.
    """

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        address = access.addresses.of(request.remote, request.headers.getall("X-Forwarded-For", []))
        client = access.authenticator.client_of(bearer_token(request.headers.get("Authorization", "")))
        if client is None:
            AUTH_FAILURES.labels("api").inc()
            pause_s = access.failed_sign_ins.record(address)
            if pause_s:
                detail = "too many requests without a valid token came from this address"
                return problem_response(429, "Too many requests", detail, headers={"Retry-After": str(pause_s)})
            log.warning("api.unauthenticated", address=address, method=request.method, path=request.path[:200])
            detail = "send the header `Authorization: Bearer TOKEN`"
            return problem_response(401, "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="filas"'})
        request[CLIENT], request[ADDRESS] = client, address
        try:
            return await handler(request)
        except Exception as error:
            problem = problem_of(error)
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


def problem_of(error: Exception) -> ApiProblem | None:
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
