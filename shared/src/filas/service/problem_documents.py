"""JSON answers, and errors as RFC 9457 problem documents."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from filas.errors import StoreBusy, StoreUnavailable
from filas.observability import logs

log = logs.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBLEM_JSON: Final = "application/problem+json"
_RETRY_AFTER_S: Final = 5
_KEPT_HEADERS: Final = ("Allow", "Retry-After", "WWW-Authenticate")


def json_response(
    value: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> web.Response:
    """Returns an answer whose body is `value` as JSON, encoded by msgspec."""
    return web.Response(body=msgspec.json.encode(value), status=status, headers=headers, content_type=content_type)


def problem_response(
    status: int, title: str, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> web.Response:
    """Returns an answer that is a problem document. `extra` are further members of the document."""
    body = problem_document(status, title, detail, **extra)
    return web.Response(body=body, status=status, headers=headers, content_type=PROBLEM_JSON)


def problem_document(status: int, title: str, detail: str | None = None, **extra: Any) -> bytes:
    """Returns the JSON of a problem document (RFC 9457): `type`, `title`, `status`, `detail`, and `extra`."""
    document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail is not None:
        document["detail"] = detail
    return msgspec.json.encode(document | extra)


@web.middleware
async def problem_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every failure with a problem document: aiohttp's own errors (404, 405, 413), an unavailable store (503),
    and an unexpected exception (500, which is also logged)."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        kept = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
        return problem_response(error.status, error.reason.capitalize(), _detail(request, error), headers=kept)
    except StoreBusy as error:
        log.warning("request.store_busy", path=request.path[:200], store=error.store, reason=error.reason)
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Store busy",
            f"{error.store} is busy: {error.reason}",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
            store=error.store,
        )
    except StoreUnavailable as error:
        log.warning("request.store_unavailable", path=request.path[:200], store=error.store, reason=error.reason)
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Store unavailable",
            f"{error.store} is unavailable: {error.reason}",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
            store=error.store,
        )
    except Exception as error:  # the last resort: the caller gets an answer, and the log has the reason
        log.error("request.failed", method=request.method, path=request.path, exc_info=error)
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", "the reason is in the log")


def _detail(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path[:200]} accepts {', '.join(sorted(error.allowed_methods))}"
    if error.status == HTTPStatus.NOT_FOUND:
        return f"there is no route {request.path[:200]!r}"
    return error.text or error.reason
