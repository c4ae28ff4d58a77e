"""Mounts the dashboard in the process of the operators: the middlewares, the table of pages, the static files."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aiohttp import web

from filas.contract.storable_text import json_bytes
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger
from ingest.api.routing.access import problem_of
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard import assets
from ingest.dashboard.api_calls import ApiCalls
from ingest.dashboard.flash import COOKIE as FLASH_COOKIE
from ingest.dashboard.flash import put_flash, read_flash
from ingest.dashboard.graph.layout_cache import LayoutCache
from ingest.dashboard.live.figures import LiveFigures
from ingest.dashboard.live.hub import LiveHub
from ingest.dashboard.live.moments import MomentStore
from ingest.dashboard.live.part_readers import part_readers
from ingest.dashboard.live_pages import LivePages
from ingest.dashboard.page_types import Download, Json, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.pages import (
    components,
    conversations,
    dead_letters,
    doctor,
    events,
    flow_import,
    new_flow,
    overview,
    queues,
    refusals,
    replays,
    saved_test_files,
    search,
)
from ingest.dashboard.pages.access import audit, keys
from ingest.dashboard.pages.alerts import alert_routes
from ingest.dashboard.pages.analytics import analytics_routes
from ingest.dashboard.pages.channels import channel_actions
from ingest.dashboard.pages.editor import editor_page, script_routes
from ingest.dashboard.pages.executions import execution_routes
from ingest.dashboard.pages.executions.execution_picture import LAYOUTS
from ingest.dashboard.pages.flows import flow_routes
from ingest.dashboard.pages.schedules import schedule_routes
from ingest.dashboard.pages.webhooks import webhook_actions
from ingest.dashboard.preferences import read_preferences, save_preferences
from ingest.dashboard.presentation.rendering import Renderer
from ingest.dashboard.sessions.first_page import newest_demo_execution
from ingest.dashboard.sessions.middlewares import (
    REQUEST_ORIGIN,
    csrf_middleware,
    origin_middleware,
    security_headers,
    session_middleware,
)
from ingest.dashboard.sessions.sign_in_page import SignInPage
from ingest.dashboard.sessions.sign_in_view import Render, SignInView
from ingest.dashboard.sessions.signed_in import SIGNED_IN, Sessions
from ingest.dashboard.sessions.submitted_form import FORM, MAX_FORM_BYTES

log = get_logger(__name__)

PAGES: Final[tuple[PageRoute, ...]] = (
    PageRoute("POST", "/preferences", save_preferences),
    *overview.ROUTES,
    *queues.ROUTES,
    *doctor.ROUTES,
    *dead_letters.ROUTES,
    *replays.ROUTES,
    *conversations.ROUTES,
    *refusals.ROUTES,
    *events.ROUTES,
    *search.ROUTES,
    *saved_test_files.ROUTES,
    *execution_routes.ROUTES,
    *analytics_routes.ROUTES,
    # Before the pages of one flow: the router uses the first route that matches.
    *new_flow.ROUTES,
    *flow_import.ROUTES,
    *editor_page.ROUTES,
    *script_routes.ROUTES,
    *flow_routes.ROUTES,
    *audit.ROUTES,
    *keys.ROUTES,
    *webhook_actions.ROUTES,
    *schedule_routes.ROUTES,
    *alert_routes.ROUTES,
    *channel_actions.ROUTES,
)
"""Every page and action. `/dashboard/` itself is the path "/"."""

LOCAL_PAGES: Final[tuple[PageRoute, ...]] = components.ROUTES
"""The pages for development, which only a local run has (`make up`)."""

_SECTIONS: Final = {"jobs": "queues", "replays": "dead-letters"}
"""The entry of the navigation to which other pages belong."""

SHOWN_SECTIONS: Final = frozenset(
    page.path.strip("/") or "overview" for page in PAGES if page.method == "GET" and page.path.count("/") == 1
)
"""The entries of the navigation: the pages directly below the dashboard."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def register(app: web.Application, context: ApiContext, secret_key: str, *, is_local_run: bool = False) -> None:
    """Mounts the dashboard under `/dashboard` of `app`, as a sub-application behind its own middlewares.

    `secret_key` is FILAS_SECRET_KEY, which signs the sessions. `is_local_run` adds the pages for development. Compiles
    the templates, and raises if one is wrong or missing.
    """
    renderer = Renderer(assets.address_of, assets.is_present)
    renderer.compile_all()
    access = context.access
    sessions = Sessions(access, secret_key)
    hub = LiveHub(part_readers(context))
    figures = LiveFigures(hub, MomentStore(context.redis))
    live = LivePages(PAGES, hub, figures, sessions)
    first_page = partial(newest_demo_execution, context.history.execution_search)
    dashboard = web.Application(
        middlewares=[
            security_headers,
            _page_errors(renderer),
            origin_middleware(access),
            session_middleware(sessions, access),
            csrf_middleware(),
        ],
        client_max_size=MAX_FORM_BYTES,
    )
    dashboard.cleanup_ctx.append(hub.running)
    dashboard.on_shutdown.append(hub.end_streams)
    streams = (PageRoute("GET", "/live", live.serve), PageRoute("POST", "/live/moments", live.freeze))
    dashboard[LAYOUTS] = LayoutCache()
    for page in (*PAGES, *streams, *(LOCAL_PAGES if is_local_run else ())):
        # Without a pattern, the router accepts no braces in a parameter. The id of a job starts with one.
        path = re.sub(r"{(\w+)}", r"{\1:[^/]+}", page.path)
        dashboard.router.add_route(page.method, path, _handler(page, context, figures, renderer))
    dashboard.router.add_route("HEAD", "/live", live.check)
    dashboard.add_routes(SignInPage(sessions, access, sign_in_render(renderer), first_page=first_page).routes())
    dashboard.router.add_get("/static/{hash:[0-9a-f]{12}}/{name:.+}", assets.serve_asset)
    dashboard.router.add_route("*", "/{rest:.*}", _handler(_MISSING, context, figures, renderer))
    app.router.add_get("/dashboard", _to_overview)
    app.add_subapp("/dashboard", dashboard)


def compile_templates() -> None:
    """Compiles the templates of all pages, once in a process. Raises if one is wrong or missing."""
    Renderer(assets.address_of, assets.is_present).compile_all()


def sign_in_render(renderer: Renderer) -> Render:
    """Returns the function that makes the sign-in page."""

    def render(request: web.Request, view: SignInView) -> web.Response:
        preferences = read_preferences(request)
        values = {"theme": preferences.theme, "view": view}
        text = renderer.render("sign_in.html", preferences.reader, datetime.now(UTC), values)
        return web.Response(text=text, content_type="text/html")

    return render


def _page_errors(renderer: Renderer) -> Any:
    """Returns the middleware that answers what the other middlewares refuse with a page, not with a problem."""

    @web.middleware
    async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            detail = error.text or error.reason
            status, headers = error.status, {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        except StoreUnavailable as error:
            detail, status, headers = f"{error.store}: {error.reason}", 503, {"Retry-After": "5"}
        values = {"theme": read_preferences(request).theme, "detail": detail, "status": status}
        text = renderer.render("refused.html", read_preferences(request).reader, datetime.now(UTC), values)
        return web.Response(text=text, status=status, headers=headers, content_type="text/html")

    return show_errors


async def _to_overview(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": "/dashboard/"})


def _handler(page: PageRoute, context: ApiContext, figures: LiveFigures, renderer: Renderer) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        call = _page_call(request, page, context, figures, renderer)
        try:
            answer = await page.handler(call)
        except Exception as error:
            answer = _failed(call, page, error)
        return _response(request, call, answer)

    return handle


def _page_call(
    request: web.Request, page: PageRoute, context: ApiContext, figures: LiveFigures, renderer: Renderer
) -> PageCall:
    signed_in = request.get(SIGNED_IN)
    if signed_in is None:  # an address like that of a file or of the sign-in form, which no route serves
        raise web.HTTPNotFound(text=f"there is no page {request.path[:200]!r}")
    address = context.access.addresses.of(request.remote, request.headers.getall("X-Forwarded-For", []))
    preferences = read_preferences(request)
    form: Mapping[str, str] = request.get(FORM, {})
    shared: dict[str, Any] = {
        "theme": preferences.theme,
        "shortcuts": preferences.shortcuts,
        "is_insecure": signed_in.is_insecure,
        "flash": read_flash(request) if request.method == "GET" else None,
        "nav": _section_of(request.path),
        "sections": SHOWN_SECTIONS,
        "live": page.live,
        "moment": request.query.get("at", "") if page.live is not None and page.live.has_moments else "",
    }
    return PageCall(
        api=ApiCalls(context, signed_in.client, address),
        reader=preferences.reader,
        renderer=renderer,
        path=dict(request.match_info),
        query=request.query,
        form=form,
        url=request.path_qs,
        csrf=signed_in.csrf,
        request=request,
        figures=figures,
        shared=shared,
    )


def _section_of(path: str) -> str:
    """Returns the first part of a page's path (`executions`), which the navigation marks."""
    section = path.removeprefix("/dashboard").strip("/").partition("/")[0] or "overview"
    return _SECTIONS.get(section, section)


def _response(request: web.Request, call: PageCall, answer: PageAnswer) -> web.StreamResponse:
    secure = not request[REQUEST_ORIGIN].is_insecure and request[REQUEST_ORIGIN].is_tls
    if isinstance(answer, web.StreamResponse):
        return answer
    if isinstance(answer, Json):
        return web.Response(body=json_bytes(answer.data), status=answer.status, content_type="application/json")
    if isinstance(answer, Redirect):
        response = web.Response(status=303, headers={"Location": answer.location})
        if answer.flash is not None:
            put_flash(response, answer.flash, secure=secure)
        return response
    if isinstance(answer, Download):
        name = re.sub(r"[^A-Za-z0-9._-]", "_", answer.name)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=answer.content, content_type="application/octet-stream", headers=headers)
    page = web.Response(text=answer.text, status=answer.status, headers=answer.headers, content_type="text/html")
    if call.shared["flash"] is not None:
        page.del_cookie(FLASH_COOKIE, path="/dashboard")
    return page


def _failed(call: PageCall, page: PageRoute, error: Exception) -> PageAnswer:
    """Returns the page of an error. The form of an action that failed is shown again with the reason."""
    problem = problem_of(error)
    if problem is None:
        if isinstance(error, StoreUnavailable):
            log.warning("page.store_unavailable", path=call.request.path[:200], store=error.store, reason=error.reason)
            problem = ApiProblem(503, "Store unavailable", f"{error.store}: {error.reason}")
        elif isinstance(error, web.HTTPException):
            raise error
        else:
            log.error("page.failed", method=page.method, path=call.request.path[:200], exc_info=error)
            problem = ApiProblem(500, "Internal error", "the reason is in the log")
    if call.wants_json:
        return Json({"title": problem.title, "detail": problem.detail, **problem.extra}, problem.status)
    if page.method == "POST" and problem.status != 403 and "return" in call.form:
        return call.done("flash.failed", kind="failed", reason=problem.detail)
    return call.render("error.html", status=problem.status, problem=problem)


async def _no_page(call: PageCall) -> PageAnswer:
    raise ApiProblem(404, "Not found", f"there is no page {call.request.path[:200]!r}")


_MISSING: Final = PageRoute("GET", "/", _no_page)
