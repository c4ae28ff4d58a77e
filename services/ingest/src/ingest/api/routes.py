"""The route table of the API, and its registration in the application of the private listener."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import metadata
from typing import Any

import msgspec
from aiohttp import web

from filas.contract.storable_text import json_bytes
from ingest.api.definitions import (
    channel_routes,
    flow_check_routes,
    flow_draft_routes,
    flow_import_routes,
    flow_list_routes,
    flow_routes,
    flow_secret_routes,
    flow_test_routes,
    saved_test_routes,
    schedule_routes,
    webhook_routes,
    webhook_secret_routes,
)
from ingest.api.history import (
    analytics_routes,
    contact_routes,
    conversation_routes,
    dead_letter_routes,
    event_body_routes,
    event_intake,
    event_routes,
    execution_routes,
    notification_routes,
    refusal_routes,
    replay_run_routes,
    search_routes,
    timeline_routes,
    traffic_routes,
    waiting_routes,
)
from ingest.api.operations import (
    alert_routes,
    audit_routes,
    channel_resume,
    channel_test,
    doctor_routes,
    key_routes,
    queue_clean_routes,
    queue_routes,
    scaling_routes,
    sign_in_link_routes,
)
from ingest.api.routing.access import ADDRESS, CLIENT, make_guard
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.invocation import Caller, Given, invoke
from ingest.api.routing.openapi import document
from ingest.api.routing.request_parsing import MAX_BODY_BYTES, read_body
from ingest.api.routing.route_types import Answer, CsvTable, Route

ROUTES: tuple[Route[Any, Any], ...] = (
    *queue_routes.ROUTES,
    *queue_clean_routes.ROUTES,
    *flow_list_routes.ROUTES,
    *flow_routes.ROUTES,
    *flow_check_routes.ROUTES,
    *flow_draft_routes.ROUTES,
    *flow_import_routes.ROUTES,
    *flow_test_routes.ROUTES,
    *traffic_routes.ROUTES,
    *saved_test_routes.ROUTES,
    *webhook_routes.ROUTES,
    *webhook_secret_routes.ROUTES,
    *channel_routes.ROUTES,
    *channel_resume.ROUTES,
    *channel_test.ROUTES,
    *schedule_routes.ROUTES,
    *flow_secret_routes.ROUTES,
    *event_intake.ROUTES,
    *event_routes.ROUTES,
    *event_body_routes.ROUTES,
    *execution_routes.ROUTES,
    *timeline_routes.ROUTES,
    *waiting_routes.ROUTES,
    *notification_routes.ROUTES,
    *contact_routes.ROUTES,
    *conversation_routes.ROUTES,
    *dead_letter_routes.ROUTES,
    *replay_run_routes.ROUTES,
    *refusal_routes.ROUTES,
    *search_routes.ROUTES,
    *analytics_routes.ROUTES,
    *scaling_routes.ROUTES,
    *doctor_routes.ROUTES,
    *alert_routes.ROUTES,
    *key_routes.ROUTES,
    *audit_routes.ROUTES,
    *sign_in_link_routes.ROUTES,
)


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
    def present(answer: Answer) -> web.Response:
        if isinstance(answer.data, CsvTable):
            return web.Response(text=answer.data.text, content_type="text/csv", charset="utf-8")
        document: dict[str, Any] = answer.data if route.bare else {"status": "success", "data": answer.data}
        if route.paged:
            document["nextCursor"] = answer.next_cursor
        status = 200 if answer.done else 202
        return web.Response(status=status, body=json_bytes(document), content_type="application/json")

    async def handle(request: web.Request) -> web.Response:
        given = Given(dict(request.match_info), request.query.items(), partial(read_body, request))
        return await invoke(route, context, Caller(request[CLIENT], request[ADDRESS]), given, present)

    return handle
