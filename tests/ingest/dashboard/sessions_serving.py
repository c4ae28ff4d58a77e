"""A dashboard of one page behind the real middlewares, over a real Redis and a real Postgres."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from filas.queue.redis_client.connection import Redis
from filas.repository.postgres.database import Database
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app
from filas.service.stores import Stores
from filas.settings.value_types import Networks
from ingest.access.api_access import Access, build_access
from ingest.dashboard import assets
from ingest.dashboard.application import sign_in_render
from ingest.dashboard.presentation.rendering import Renderer
from ingest.dashboard.sessions.middlewares import (
    csrf_middleware,
    origin_middleware,
    security_headers,
    session_middleware,
)
from ingest.dashboard.sessions.sign_in_page import FirstPage, SignInPage, overview
from ingest.dashboard.sessions.signed_in import SIGNED_IN, Sessions
from ingest.dashboard.sessions.submitted_form import FORM
from tests.ingest.api.serving import SECRET_KEY, TOKEN
from tests.redis_address import connect_url
from tests.waiting import eventually

PROTECTED, PLAIN = "__Host-filas", "filas"
SET_COOKIE = re.compile(r"(?P<name>[^=]+)=(?P<value>[^;]*)(?P<attributes>.*)")


@dataclass
class Page:
    """An answer: its status, its headers, its text."""

    status: int
    headers: Any
    text: str

    @property
    def location(self) -> str:
        """Where a 303 leads."""
        assert self.status == 303, (self.status, self.text)
        return str(self.headers["Location"])

    def cookies(self) -> dict[str, tuple[str, str]]:
        """The value and the attributes of each cookie that is set, by its name."""
        found = [SET_COOKIE.fullmatch(one) for one in self.headers.getall("Set-Cookie", [])]
        return {one["name"]: (one["value"].strip('"'), one["attributes"]) for one in found if one is not None}

    @property
    def cookie(self) -> str:
        """The value of the only cookie, which has the protected name."""
        [(name, (value, _))] = self.cookies().items()
        assert name == PROTECTED
        return value


@dataclass
class Dashboard:
    """The running dashboard, and what its page has received."""

    url: str
    access: Access
    sessions: Sessions
    database: Database
    redis: Redis
    http: aiohttp.ClientSession
    received: list[Any] = field(default_factory=list)

    async def request(
        self, method: str, path: str, *, cookie: str | None = None, name: str = PROTECTED, **options: Any
    ) -> Page:
        """Sends a request to a path; `cookie` is the value of a session's cookie."""
        headers = dict(options.pop("headers", {}))
        if cookie is not None:
            headers["Cookie"] = f"{name}={cookie}"
        address = URL(f"{self.url}{path}", encoded=True)
        async with self.http.request(method, address, headers=headers, allow_redirects=False, **options) as response:
            return Page(response.status, response.headers, await response.text())

    async def get(self, path: str, cookie: str | None = None, **options: Any) -> Page:
        """Sends a GET."""
        return await self.request("GET", path, cookie=cookie, **options)

    async def post(self, path: str, form: Any, cookie: str | None = None, **options: Any) -> Page:
        """Sends a form."""
        return await self.request("POST", path, cookie=cookie, data=form, **options)

    async def sign_in(self, token: str = TOKEN, **form: str) -> Page:
        """Sends the sign-in form."""
        return await self.post("/dashboard/sign-in", {"token": token} | form)

    async def audit(self, action: str) -> list[Any]:
        """The audit entries of this action, at least one."""
        select = "select * from audit_entries where action = $1 order by at"
        return await eventually(lambda: self.database.fetch(select, action))


def proxies(*networks: str) -> Networks:
    """The value of TRUSTED_PROXIES."""
    return Networks(tuple(ip_network(one) for one in networks))


@asynccontextmanager
async def dashboard(
    redis_url: str,
    postgres_dsn: str,
    *,
    admin_token: str = TOKEN,
    secret_key: str = SECRET_KEY,
    failures_a_minute: int = 0,
    trusted: Sequence[str] = (),
    first_page: FirstPage = overview,
    reads_keys: bool = True,
    hosts: Sequence[str] = ("localhost", "filas.example"),
) -> AsyncIterator[Dashboard]:
    """A running dashboard. Its page answers the name of the client, and stores the forms that it has received."""
    redis = connect_url(redis_url)
    database = Database(postgres_dsn, application_name="tests-dashboard", max_size=4)
    database.start()
    access = build_access(
        Stores(redis, database, database),
        admin_token=admin_token,
        secret_key=secret_key,
        failures_a_minute=failures_a_minute,
        trusted_proxies=proxies(*trusted),
    )
    sessions = Sessions(access, secret_key)
    render = sign_in_render(Renderer(assets.address_of, assets.is_present))
    received: list[Any] = []

    async def page(request: web.Request) -> web.Response:
        signed_in = request[SIGNED_IN]
        if request.method == "POST":
            form = request[FORM]
            received.append(dict(form))
        return web.Response(text=f"{signed_in.client.name} {signed_in.client.role} {signed_in.csrf}")

    pages = web.Application(
        middlewares=[
            security_headers,
            origin_middleware(access),
            session_middleware(sessions, access),
            csrf_middleware(),
        ]
    )
    pages.add_routes(SignInPage(sessions, access, render, first_page=first_page).routes())
    pages.router.add_get("/static/{name}", _static)
    pages.router.add_get("/wrong", _fail)
    pages.router.add_route("*", "/{page:.*}", page)
    app = build_private_app(Health(), hosts=hosts)
    app.add_subapp("/dashboard", pages)
    async with (
        serve_app(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        await database.wait_ready(30)
        if reads_keys:
            await access.keys.refresh()
        running = access.background() if reads_keys else (access.audit.run(), access.ended_sessions.run())
        tasks = [asyncio.create_task(one) for one in running]
        try:
            yield Dashboard(f"http://127.0.0.1:{port}", access, sessions, database, redis, http, received)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await access.close()
            await database.close()
            await redis.close()


async def _static(_request: web.Request) -> web.Response:
    return web.Response(text="static", headers={"Cache-Control": "public, max-age=31536000, immutable"})


async def _fail(_request: web.Request) -> web.Response:
    raise web.HTTPNotFound
