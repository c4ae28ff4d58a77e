"""Requests for pages of the dashboard: queries, cookies, sign-in, streams. A page or a redirect, never an error that
Filas does not expect; without a session, nothing but the sign-in form.

Input: `METHOD TARGET STATE`, header lines, an empty line, the body. `SESSION` in a header is the cookie of a valid
session, `TOKEN` in the body the admin token.
"""

import asyncio
import re
from typing import Any
from unittest import mock

from aiohttp import web

from filas.contract.storable_text import sent_bytes
from ingest.dashboard import application, live_pages
from tests.captured_logs import captured_logs
from tests.fuzz.stubbed_dashboard import ADMIN_TOKEN, HOST, StubbedDashboard
from tests.fuzz.target import chosen, text_of
from tests.fuzz.targets.dashboard_forms import ANSWERS, ROW_ID, STATES, check
from tests.fuzz.virtual_time import VirtualTimeLoop

PAGES = sorted(re.sub(r"{\w+}", ROW_ID, page.path) for page in application.PAGES if page.method == "GET")
WORDS = (
    *(f"/dashboard{path}" for path in PAGES), *STATES, "GET", "HEAD", "POST", "?", "&", "=", "%00", "%ff", "%0a",
    "Cookie: filas=SESSION", "Cookie: __Host-filas=SESSION", "filas-flash=", "filas-zone=America/Sao_Paulo",
    "filas-language=pt-BR", "filas-theme=dark", "filas-shortcuts=off", "Accept-Language: pt-BR,en;q=0.5",
    "Accept: application/json", "Accept: text/event-stream", "Sec-Fetch-Site: cross-site", "Origin: http://a.example",
    "Referer: http://localhost:8081/dashboard/events", "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1",
    "/dashboard/live?page=/dashboard/&since=1", "/dashboard/sign-in", "next=//a.example", "once=", "token=TOKEN",
    "at=1764244800000", "cursor=WyJhIl0", "limit=500", "since=2026-11-27T12:00", "until=1h", "q=", "status=failed",
    "from=", "to=", "step=", "days=90", "version=1", "tab=versions", "state=delayed", "type=hmac", "flowId=", "..",
    "eyJtZXNzYWdlX2lkIjoiYSJ9", "Content-Type: application/x-www-form-urlencoded", "/versions/1..2", "\n\n",
)  # fmt: skip
ALL_ANSWERS = ANSWERS | {204, 304, 308, 401, 405, 415}
OPEN = ("/dashboard/sign-in", "/dashboard/static/")

_LOOP = VirtualTimeLoop()
_TARGET = re.compile(r"/dashboard[!-~]*")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_NAME = re.compile(r"[A-Za-z0-9-]+")


async def _dashboard() -> StubbedDashboard:
    return StubbedDashboard()


_DASHBOARD = _LOOP.run(_dashboard())


async def _one_event(_request: Any, _hub: Any, feed: Any, *, since: int, **_options: Any) -> web.Response:
    """Renders the live regions once, as the stream does for each event."""
    assert since >= 0
    regions = await feed.render(None)
    return web.Response(text="".join(regions.values()), content_type="text/event-stream")


def fuzz(data: bytes) -> None:
    """Sends the request, if an HTTP parser would accept it."""
    line, _, rest = data.partition(b"\n")
    head, _, body = (b"\n" + rest).partition(b"\n\n")
    method, _, words = text_of(line).partition(" ")
    target, _, state = words.partition(" ")
    if not _TARGET.fullmatch(target) or not _NAME.fullmatch(method):
        return
    headers = [("Host", HOST)]
    for one in text_of(head).split("\n"):
        name, colon, value = one.partition(":")
        if colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value):
            headers.append((name, value.strip().replace("SESSION", _DASHBOARD.cookie)))
    sent = body.replace(b"TOKEN", ADMIN_TOKEN.encode())
    with captured_logs() as events, mock.patch.object(live_pages, "stream", _one_event):
        asyncio.set_event_loop(_LOOP)
        try:
            answer = _LOOP.run(_DASHBOARD.answer(method, target, headers, sent, chosen(STATES, state)))
        finally:
            asyncio.set_event_loop(None)
    check(answer, events, ALL_ANSWERS)
    has_session = any(_DASHBOARD.cookie in value for name, value in headers if name.lower() == "cookie")
    if not has_session and not target.startswith(OPEN):
        assert answer.status in (303, 308, 400, 401, 403, 404), answer.status
    for value in answer.headers.values():
        sent_bytes(value)
