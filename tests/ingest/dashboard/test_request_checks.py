"""Requests of foreign pages, forms without the CSRF token, and the headers of every response."""

from typing import Any
from urllib.parse import urlencode

import pytest

from ingest.dashboard.sessions.submitted_form import MAX_FORM_BYTES
from tests.ingest.api.serving import TOKEN
from tests.ingest.dashboard.sessions_serving import Dashboard, dashboard

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


async def session_of(running: Dashboard) -> tuple[str, str]:
    """The cookie of a new session and its CSRF token."""
    cookie = (await running.sign_in()).cookie
    return cookie, (await running.get("/dashboard/", cookie)).text.split()[-1]


async def test_every_response_has_the_headers(redis_url: str, postgres_dsn: str) -> None:
    """Pages, redirects, refusals and errors. A static file keeps its own Cache-Control."""
    async with dashboard(redis_url, postgres_dsn) as running:
        cookie, csrf = await session_of(running)
        pages = [
            await running.get("/dashboard/", cookie),
            await running.get("/dashboard/"),
            await running.get("/dashboard/sign-in"),
            await running.sign_in("wrong"),
            await running.sign_in(),
            await running.get("/dashboard/static/x"),
            await running.post("/dashboard/x", {"csrf": csrf}, cookie),
            await running.get("/dashboard/live", headers={"Accept": "text/event-stream"}),
        ]
        for page in pages:
            assert page.headers["Content-Security-Policy"] == POLICY
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Referrer-Policy"] == "same-origin"
            assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        caching = [page.headers["Cache-Control"] for page in pages]
        assert caching == [*["no-store"] * 5, "public, max-age=31536000, immutable", *["no-store"] * 2]


@pytest.mark.parametrize("csrf", ["", "x", "é", "\x00", "x" * 5000])
async def test_a_form_without_the_token_of_the_session_does_nothing(
    redis_url: str, postgres_dsn: str, csrf: str
) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        cookie, own = await session_of(running)
        _, of_another = await session_of(running)
        for given in ({"csrf": csrf}, {}, {"csrf": of_another}, {"csrf": own + "x"}, {"csrf": own[:-1]}, {"Csrf": own}):
            page = await running.post("/dashboard/queues/flow/pause", given, cookie)
            assert page.status == 403, given
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await running.request(method, "/dashboard/x", cookie=cookie)).status in (403, 415)
        in_query = await running.post(f"/dashboard/x?csrf={own}", {"a": "b"}, cookie)
        in_header = await running.post("/dashboard/x", {"a": "b"}, cookie, headers={"X-CSRF-Token": own})
        assert (in_query.status, in_header.status, running.received) == (403, 403, [])
        assert (await running.post("/dashboard/x", {"csrf": own, "a": "b"}, cookie)).status == 200
        assert running.received == [{"csrf": own, "a": "b"}]


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),
        ({"Origin": "OWN"}, False),
        ({"Origin": "OWN", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "http://127.0.0.1"}, True),
        ({"Origin": "http://127.0.0.1:1"}, True),
        ({"Origin": "OWN.evil.example"}, True),
        ({"Origin": "http://evil.example#OWN"}, True),
        ({"Origin": "http://localhost:PORT"}, True),
        ({"Origin": "file://"}, True),
        ({"Origin": "chrome-extension://127.0.0.1:PORT"}, True),
        ({"Origin": "http://[::1"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "OWN", "Sec-Fetch-Site": "cross-site"}, True),
    ],
)
async def test_a_form_of_another_origin_does_nothing(
    redis_url: str, postgres_dsn: str, headers: dict[str, str], is_refused: bool
) -> None:
    """Even with the token, and also the form of the sign-in: no foreign page signs someone in (login CSRF)."""
    async with dashboard(redis_url, postgres_dsn) as running:
        cookie, csrf = await session_of(running)
        port = running.url.rpartition(":")[2]
        sent = {name: value.replace("OWN", running.url).replace("PORT", port) for name, value in headers.items()}
        page = await running.post("/dashboard/x", {"csrf": csrf}, cookie, headers=sent)
        sign_in = await running.post("/dashboard/sign-in", {"token": TOKEN}, headers=sent)
        assert (page.status, sign_in.status) == ((403, 403) if is_refused else (200, 303))
        assert bool(sign_in.cookies()) is not is_refused
        assert len(running.received) == (0 if is_refused else 1)


@pytest.mark.parametrize(
    ("site", "mode", "dest", "status"),
    [
        ("none", "navigate", "document", 200),
        ("same-origin", "cors", "empty", 200),
        ("same-origin", "no-cors", "image", 200),
        ("cross-site", "navigate", "document", 200),
        ("same-site", "navigate", "document", 200),
        ("cross-site", "navigate", "iframe", 403),
        ("same-site", "navigate", "iframe", 403),
        ("cross-site", "no-cors", "script", 403),
        ("cross-site", "no-cors", "image", 403),
        ("cross-site", "cors", "empty", 403),
        ("same-site", "no-cors", "empty", 403),
        ("cross-site", "", "", 403),
    ],
)
async def test_a_foreign_page_may_only_link_to_a_page(
    redis_url: str, postgres_dsn: str, site: str, mode: str, dest: str, status: int
) -> None:
    async with dashboard(redis_url, postgres_dsn) as running:
        cookie, _ = await session_of(running)
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        assert (await running.get("/dashboard/", cookie, headers=headers)).status == status


PROXY = {"Host": "127.0.0.1:8081", "X-Forwarded-Host": "filas.example", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("trusted", "headers", "origin", "status"),
    [
        (True, PROXY, "https://filas.example", 303),
        (True, PROXY, "https://filas.example:443", 303),
        (True, PROXY, "https://FILAS.example", 303),
        (True, PROXY, "http://filas.example", 403),
        (True, PROXY, "https://filas.example:8443", 403),
        (False, PROXY, "https://filas.example", 403),
        (True, {"Host": "filas.example"}, "https://filas.example", 303),
        (False, {"Host": "filas.example"}, "https://filas.example", 303),
        (False, {"Host": "filas.example:8081"}, "http://filas.example:8081", 303),
        (False, {"Host": "evil.example"}, "http://evil.example", 421),
    ],
)
async def test_behind_a_proxy_the_origin_is_the_proxys(
    redis_url: str, postgres_dsn: str, trusted: bool, headers: dict[str, str], origin: str, status: int
) -> None:
    """A trusted proxy states it. Another one must keep the header Host."""
    async with dashboard(redis_url, postgres_dsn, trusted=["127.0.0.0/8"] if trusted else []) as running:
        page = await running.post("/dashboard/sign-in", {"token": TOKEN}, headers=headers | {"Origin": origin})
        assert page.status == status
        if status == 403:
            assert "TRUSTED_PROXIES" in page.text


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"a" * 2**20, FORM_TYPE, 413),
        (b"token=" + b"%41" * 400_000, FORM_TYPE, 413),
        (b'{"token": "x"}', {"Content-Type": "application/json"}, 415),
        (b"token=x", {"Content-Type": "text/plain"}, 415),
        (b"token=%ff%fe", FORM_TYPE, 400),
        (b"&" * 5000, FORM_TYPE, 400),
        (b"", FORM_TYPE, 401),
        (b"token=%ZZ&token=2", FORM_TYPE, 401),
    ],
)
async def test_a_hostile_sign_in_form_is_refused(
    redis_url: str, postgres_dsn: str, data: bytes, headers: dict[str, str], status: int
) -> None:
    """Without a session, little is read."""
    async with dashboard(redis_url, postgres_dsn) as running:
        page = await running.post("/dashboard/sign-in", data, headers=headers)
        assert (page.status, page.cookies()) == (status, {})
        assert (await running.sign_in()).status == 303


async def test_a_form_may_have_a_body_of_one_mib(redis_url: str, postgres_dsn: str) -> None:
    """Every character arrives as it was sent."""
    text = '{"a": "é<script>\u202e 9007199254740993 ☃"}\r\n' * 25_000
    async with dashboard(redis_url, postgres_dsn) as running:
        cookie, csrf = await session_of(running)
        page = await running.post("/dashboard/x", {"csrf": csrf, "body": text}, cookie)
        assert (len(text.encode()) > 2**20, page.status) == (True, 200)
        assert running.received[0]["body"] == text
        too_large = urlencode({"csrf": csrf, "body": "x" * MAX_FORM_BYTES})
        assert (await _refused(running, too_large, cookie)).status == 413


async def _refused(running: Dashboard, data: str, cookie: str) -> Any:
    return await running.post("/dashboard/x", data, cookie, headers=FORM_TYPE)
