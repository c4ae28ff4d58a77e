"""A page with live regions, served under the dashboard's Content-Security-Policy, whose content a test changes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, Page

import ingest.dashboard
from filas.service.private_listener import serve_app
from ingest.dashboard.live.hub import LiveFeed, LiveHub
from ingest.dashboard.live.snapshot import Snapshot
from ingest.dashboard.live.stream import stream
from tests.browser.watched import Watch

STATIC = Path(ingest.dashboard.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"
)
SCRIPTS = ("vendor/idiomorph.js", "live.js", "keyboard.js", "controls.js")
TEXTS = {
    "connecting": "connecting",
    "live": "live",
    "missing": "{store} does not answer since {time}",
    "lost": "lost",
    "full": "full",
    "frozen": "frozen at {time}",
    "held": "held",
    "ended": "ended",
}


class LivePage:
    """What the page shows. `regions` are its live regions by id; a test changes them and calls `show`."""

    def __init__(self, *, scripts: tuple[str, ...] = SCRIPTS) -> None:
        self.regions: dict[str, str] = {}
        self.rows: set[str] = set()
        """The regions that are lists."""
        self.extra = ""
        self.stored: list[str] = []
        self.is_allowed = True
        self.refuses = False
        self.refusal = 503
        self.streams = 0
        self.hub = LiveHub([])
        self._scripts = scripts
        self._feed = LiveFeed("page", self._render)

    async def show(self) -> None:
        """Sends what has changed."""
        await self.hub.tick()

    def end_streams(self) -> None:
        """Ends the open streams, as a process does that stops."""
        self.hub.close()
        self.hub = LiveHub([])

    async def _render(self, _snapshot: Snapshot) -> Mapping[str, str]:
        return dict(self.regions)

    async def page(self, _request: web.Request) -> web.Response:
        """The page itself."""
        scripts = "".join(f'<script src="/static/{one}" defer></script>' for one in self._scripts)
        texts = " ".join(f'data-text-{name}="{text}"' for name, text in TEXTS.items())
        regions = "".join(
            f'<button type="button" data-new-for="{name}" data-one="1 new" data-many="{{n}} new" hidden></button>'
            f'<ul id="{name}" data-region="rows">{html}</ul>'
            if name in self.rows
            else f'<div id="{name}" data-region>{html}</div>'
            for name, html in self.regions.items()
        )
        html = (
            f'<!doctype html><html lang="en"><title>Live</title><link rel="icon" href="/icon">{scripts}'
            f'<body data-zone="UTC" data-live="/live" data-at="1"><h1>Live</h1><p data-live-state {texts}></p>'
            '<form data-freeze method="post" action="/moments"><input type="hidden" name="csrf" value="secret">'
            '<button data-shortcut="." data-freeze-text="Freeze" data-continue-text="Continue">Freeze</button></form>'
            f"{self.extra}{regions}"
        )
        return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def icon(self, _request: web.Request) -> web.Response:
        """An empty icon, so that the browser reports none as missing."""
        return web.Response(content_type="image/png")

    async def live(self, request: web.Request) -> web.StreamResponse:
        """The stream of the page."""
        self.streams += 1
        if self.refuses or not self.is_allowed:
            return web.Response(status=self.refusal if self.is_allowed else 401)
        if request.method == "HEAD":
            return web.Response(status=204)
        return await stream(request, self.hub, self._feed, owner="session", is_allowed=lambda: self.is_allowed)

    async def moments(self, request: web.Request) -> web.Response:
        """Stores a moment."""
        fields = await request.post()
        assert fields["csrf"] == "secret"
        self.stored.append(str(fields["at"]))
        return web.json_response({"at": int(str(fields["at"]))})

    @asynccontextmanager
    async def opened(self, browser: Browser) -> AsyncIterator[Page]:
        """The page in a browser, once its stream is open. Faults of the page fail the test."""
        app = web.Application()
        app.router.add_get("/", self.page)
        app.router.add_get("/live", self.live)
        app.router.add_post("/moments", self.moments)
        app.router.add_get("/icon", self.icon)
        app.router.add_static("/static", STATIC)

        async def close(_app: web.Application) -> None:
            self.hub.close()

        app.on_shutdown.append(close)
        async with serve_app(app, "127.0.0.1", 0) as port, await browser.new_context() as context:
            watch = Watch(f"http://127.0.0.1:{port}")
            # The browser reports each refusal of the stream.
            watch.expect("503 (")
            watch.expect("401 (")
            await watch.over(context)
            context.set_default_timeout(60_000)
            page = await context.new_page()
            await page.goto(f"http://127.0.0.1:{port}/")
            yield page
            watch.check()
