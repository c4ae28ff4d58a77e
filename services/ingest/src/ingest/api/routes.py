"""The route table of the API, and its registration in the application of the private listener."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Any, Final

import msgspec
from aiohttp import web

from filas.contract.storable_text import json_bytes
from filas.memory_budget import SMALL_BYTES, NoRoom, size_in_memory
from ingest.access.call_audit import CallAudit, subject_of
from ingest.api.definitions import (
    channel_routes,
    flow_routes,
    flow_secret_routes,
    flow_test_routes,
    schedule_routes,
    webhook_routes,
)
from ingest.api.history import (
    analytics_routes,
    contact_routes,
    conversation_routes,
    dead_letter_routes,
    event_intake,
    event_routes,
    execution_routes,
    notification_routes,
    refusal_routes,
)
from ingest.api.operations import (
    alert_routes,
    audit_routes,
    channel_resume,
    doctor_routes,
    key_routes,
    queue_routes,
    scaling_routes,
)
from ingest.api.routing.access import ADDRESS, CLIENT, make_guard, problem_of, require
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.openapi import document
from ingest.api.routing.problems import ApiProblem, FieldError
from ingest.api.routing.request_parsing import LARGE_BODY, MAX_BODY_BYTES, parse_body, parse_query, read_body
from ingest.api.routing.route_types import Answer, Call, Route

ROUTES: tuple[Route[Any, Any], ...] = (
    *queue_routes.ROUTES,
    *flow_routes.ROUTES,
    *flow_test_routes.ROUTES,
    *webhook_routes.ROUTES,
    *channel_routes.ROUTES,
    *channel_resume.ROUTES,
    *schedule_routes.ROUTES,
    *flow_secret_routes.ROUTES,
    *event_intake.ROUTES,
    *event_routes.ROUTES,
    *execution_routes.ROUTES,
    *notification_routes.ROUTES,
    *contact_routes.ROUTES,
    *conversation_routes.ROUTES,
    *dead_letter_routes.ROUTES,
    *refusal_routes.ROUTES,
    *analytics_routes.ROUTES,
    *scaling_routes.ROUTES,
    *doctor_routes.ROUTES,
    *alert_routes.ROUTES,
    *key_routes.ROUTES,
    *audit_routes.ROUTES,
)


ANSWER_BYTES: Final = 16 * 2**20
"""The memory of an answer with bodies. A page has about 1 MiB, and several times as much as Python objects."""

BODY_COPIES: Final = 4
MEMORY_WAIT_S: Final = 5.0
"""How long a call waits for memory before it is answered with 503."""


def register(app: web.Application, context: ApiContext) -> None:
    """Mounts the API under `/api` of `app`, as a sub-application behind its own guard."""
    guard = make_guard(context.access)
    api = web.Application(middlewares=[guard], client_max_size=MAX_BODY_BYTES)
    for route in ROUTES:
        # Without a pattern, the router accepts no braces in a parameter. The id of a job starts with one.
        path = re.sub(r"{(\w+)}", r"{\1:[^/]+}", route.path)
        api.router.add_route(route.method, path, _handler(route, context))
    openapi = msgspec.json.encode(document(ROUTES, metadata.version("filas")))

    async def show_openapi(_request: web.Request) -> web.Response:
        return web.Response(body=openapi, content_type="application/json")

    api.router.add_get("/openapi.json", show_openapi)
    app.add_subapp("/api", api)


def _handler(route: Route[Any, Any], context: ApiContext) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        client = request[CLIENT]
        require(route.role, client.role)
        path = dict(request.match_info)
        if any("\x00" in part for part in path.values()):
            raise ApiProblem(404, "Not found", "an id has no NUL")
        query = parse_query(route, request.query.items())
        raw = None if route.body is None else await read_body(request)

        async def respond() -> web.Response:
            body, errors = (None, []) if raw is None else await _parsed(route, raw)
            address = request[ADDRESS]
            audit = CallAudit(context.access.audit, client, address, route.operation_id, subject_of(route.path, path))
            call = Call(
                context=context, path=path, query=query, body=body, client=client, audit=audit, address=address,
                errors=errors,
            )  # fmt: skip
            answer = await _audited(route, call)
            document: dict[str, Any] = answer.data if route.bare else {"status": "success", "data": answer.data}
            if route.paged:
                document["nextCursor"] = answer.next_cursor
            status = 200 if answer.done else 202
            return web.Response(status=status, body=json_bytes(document), content_type="application/json")

        memory = _memory(route, raw)
        if not memory:
            return await respond()
        try:
            async with context.memory.hold(memory, MEMORY_WAIT_S):
                return await respond()
        except NoRoom:
            detail = "too many large requests and answers are being processed"
            raise ApiProblem(503, "Service unavailable", detail, headers={"Retry-After": "1"}) from None

    return handle


async def _audited(route: Route[Any, Any], call: Call[Any, Any]) -> Answer:
    """Carries out the call. The audit stores it if it may have changed something, also if it ends with an error."""
    if not route.is_audited or getattr(call.body, "dry_run", False):
        return await route.handler(call)
    # Of a command for all objects that match, the request states which ones.
    is_for_many = route.body is not None and "{" not in route.path
    try:
        answer = await route.handler(call)
    except Exception as error:
        if problem_of(error) is None:
            # Without the text of the error, which may contain a secret.
            failure = {"error": type(error).__name__}
            await call.audit.failed({"request": call.body, **failure} if is_for_many else failure)
        raise
    await call.audit.succeeded({"request": call.body, "result": answer.data} if is_for_many else answer.data)
    return answer


async def _parsed(route: Route[Any, Any], raw: bytes) -> tuple[Any, list[FieldError]]:
    if len(raw) > LARGE_BODY:
        return await asyncio.to_thread(parse_body, route, raw)
    return parse_body(route, raw)


def _memory(route: Route[Any, Any], raw: bytes | None) -> int:
    """Returns the bytes of memory that a call may need; 0 if they are few."""
    memory = ANSWER_BYTES if route.answers_bodies else 0
    if raw is not None and len(raw) > SMALL_BYTES:
        memory += size_in_memory(raw) + BODY_COPIES * len(raw)
    return memory
