"""Forms of the dashboard: a page or a redirect within the dashboard, never an error that Filas does not expect.

Input: `ACTION STATE`, the fields as `application/x-www-form-urlencoded`. ACTION is the path of an action, such as
`/flows/{id}/edit`; STATE is what the API answers (`stubbed_dashboard.ApiState`). The session and the token of the form
are valid.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, get_args

from aiohttp import web

from ingest.dashboard import application
from tests.captured_logs import captured_logs
from tests.fuzz.stubbed_dashboard import CSRF, HOST, ApiState, StubbedDashboard
from tests.fuzz.target import chosen, first_line
from tests.fuzz.virtual_time import VirtualTimeLoop

ACTIONS: Mapping[str, str] = {page.path: page.path for page in application.PAGES if page.method == "POST"}
STATES: Mapping[str, ApiState] = {name: name for name in get_args(ApiState)}
PATHS = {"queue": "webhook", "place": "0", "version": "1", "fingerprint": "abc"}
ROW_ID = "00000000-0000-0000-0000-000000000001"
PAGES_WITH_FORMS = (
    "/webhooks/new?type=hmac", "/webhooks/new?type=meta", "/channels/new?type=email", "/channels/new?type=whatsapp",
    "/schedules/new", "/alerts/new", "/flows/import", f"/events/{ROW_ID}", f"/executions/{ROW_ID}/replay", "/access",
)  # fmt: skip

_LOOP = VirtualTimeLoop()


async def _dashboard() -> StubbedDashboard:
    return StubbedDashboard()


_DASHBOARD = _LOOP.run(_dashboard())
HEADERS = [
    ("Host", HOST),
    ("Cookie", f"filas={_DASHBOARD.cookie}"),
    ("Content-Type", "application/x-www-form-urlencoded"),
]


def _names() -> set[str]:
    """Returns the names of the fields of PAGES_WITH_FORMS."""
    found: set[str] = set()
    for path in PAGES_WITH_FORMS:
        page = _LOOP.run(_DASHBOARD.answer("GET", f"/dashboard{path}", HEADERS, b"", "ok"))
        found |= set(re.findall(r'name="([^"]+)"', page.text or "")) if isinstance(page, web.Response) else set()
    return found


WORDS = (
    *(f"{name}=" for name in sorted(_names())),
    *STATES, "&", "=", "[0]", ".unit", ".value", ".remove", "_do=", "_do=add:", "_do=again", "return=",
    "definition=", "document=", "from=typebot", "from=n8n", "graph=", "body=", "rate=", "edited=", "publish=1",
    "force=true", "replies=", "start=", "given=", "name=", "at=", "zone=", "language=pt-BR", "theme=dark", "id=",
    "baseVersion=", "flowId=", "type=hmac", "type=email", "cron=0 9 * * *", "timezone=America/Sao_Paulo",
    "%7B", "%22", "%5B", "%00", "%ED%A0%80", "%C3%A9", "%0D%0A", "1e999999", "9" * 30, "-1", "1,5", "2026-11-27T12:00",
    "/dashboard/", "//a.example", "%7B%22nodes%22%3A%5B%5D%2C%22edges%22%3A%5B%5D%7D", "{{ body.a }}",
    "env:SECRET_A", "***", "shortcuts=off",
)  # fmt: skip
EXPECTED_ERRORS = frozenset({"live.part_failed"})
"""The live figures are read from the stores themselves, which this dashboard has not."""

ANSWERS = frozenset({200, 303, 400, 403, 404, 409, 413, 422, 429, 503})


def fuzz(data: bytes) -> None:
    """Submits the form, as a browser and as a script of a page."""
    line, fields = first_line(data)
    action, _, state = line.partition(" ")
    path = re.sub(r"{(\w+)}", lambda found: PATHS.get(found[1], ROW_ID), chosen(ACTIONS, action))
    body = b"csrf=" + CSRF.encode() + b"&" + fields
    for accept in ("text/html", "application/json") if "/edit" in path else ("text/html",):
        with captured_logs() as events:
            asyncio.set_event_loop(_LOOP)
            try:
                answer = _LOOP.run(
                    _DASHBOARD.answer(
                        "POST", f"/dashboard{path}", [*HEADERS, ("Accept", accept)], body, chosen(STATES, state)
                    )
                )
            finally:
                asyncio.set_event_loop(None)
        check(answer, events, ANSWERS)


def check(answer: web.StreamResponse, events: list[dict[str, Any]], known: frozenset[int]) -> None:
    """Fails for an answer that no user of a browser should get."""
    failed = [one for one in events if one["log_level"] == "error" and one["event"] not in EXPECTED_ERRORS]
    assert not failed, failed
    assert answer.status in known, answer.status
    location = answer.headers.get("Location", "/dashboard")
    assert location.startswith("/dashboard"), location
    assert location.isprintable(), location
    for name, value in answer.headers.items():
        assert "\n" not in value, (name, value)
        assert "\r" not in value, (name, value)
    if isinstance(answer, web.Response) and answer.content_type == "text/html":
        assert isinstance(answer.body, bytes), answer.body
        assert b"<script>" not in answer.body
