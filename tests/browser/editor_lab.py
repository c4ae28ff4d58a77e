"""A page with the modules of the flow editor and nothing else: no canvas, no server."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from filas.flows.definition.json_schema import json_schema
from filas.messages.catalogue import Language
from ingest.dashboard import assets
from ingest.dashboard.pages.editor.import_map import import_map
from ingest.dashboard.presentation.texts import page_messages
from ingest.dashboard.sessions.middlewares import CONTENT_SECURITY_POLICY
from tests.browser.looks import DEFAULT, Look
from tests.browser.watched import Watch, settled
from tests.ports import free_port
from tests.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)

SCRIPT = """
import { createJsonPanel } from "editor/json_panel";
import { formatJson, parseJson } from "editor/json_text";
import { createNodeForm } from "editor/node_form";
import { createStore } from "editor/store";

const { schema, texts } = await (await fetch("/data.json")).json();
window.lab = {
  start(text, { isReadOnly = false, json = false, names = {} } = {}) {
    lab.form?.destroy();
    lab.json?.destroy();
    lab.json = null;
    lab.store = createStore(parseJson(text), { isReadOnly });
    const [form, panel] = ["form", "json"].map((id) => document.getElementById(id));
    lab.form = createNodeForm(form, { store: lab.store, schema, texts, names });
    if (json) lab.json = createJsonPanel(panel, { store: lab.store, schema, texts });
  },
  text: () => formatJson(lab.store.get()),
};
document.body.dataset.ready = "";
"""


class EditorLab:
    """An open page. `store` is what the editor's store would be."""

    def __init__(self, page: Page, watch: Watch) -> None:
        self.page = page
        self.watch = watch
        self.prefix = ""
        """What the ids of the form begin with."""

    @property
    def form(self) -> Locator:
        """The form of the node."""
        return self.page.locator("#form")

    async def start(self, flow: dict[str, Any] | str, select: str | None = None, **options: Any) -> None:
        """Shows a flow, and the form of a node."""
        text = flow if isinstance(flow, str) else json.dumps(flow)
        await self.page.evaluate("([text, options]) => lab.start(text, options)", [text, options])
        self.prefix = await self.form.get_attribute("data-form") or ""
        if select is not None:
            await self.page.evaluate("id => lab.store.select([id])", select)

    async def flow(self) -> Any:
        """The flow in the store."""
        return json.loads(await self.page.evaluate("lab.text()"))

    async def node(self, node_id: str) -> Any:
        """A node in the store."""
        return next(node for node in (await self.flow())["nodes"] if node["id"] == node_id)

    async def problems(self, *problems: dict[str, Any]) -> None:
        """What a check of the server has found."""
        await self.page.evaluate("list => lab.store.setProblems(list)", list(problems))

    async def scope(self, node_id: str, names: list[str]) -> None:
        """The names in scope at a node."""
        listed = [{"name": name, "kind": "value", "detail": f"the value of {name}"} for name in names]
        await self.page.evaluate("([id, names]) => lab.store.setScopes({[id]: names})", [node_id, listed])


def _page(look: Look, *, vendor: bool) -> tuple[str, str]:
    """The page, and the policy under which it runs."""
    addresses = json.loads(import_map().text)["imports"]
    own = {name: address for name, address in addresses.items() if vendor or name.startswith("editor/")}
    text = json.dumps({"imports": own})
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    html = f"""<!doctype html><html lang="{look.language}" data-theme="{look.theme}"><head><meta charset="utf-8">
<title>Modules of the editor</title><meta name="viewport" content="width=device-width">
<link rel="icon" href="{assets.address_of("favicon.svg")}">
<link rel="stylesheet" href="{assets.address_of("dashboard.css")}">
<link rel="stylesheet" href="{assets.address_of("editor/forms.css")}">
<link rel="stylesheet" href="/lab.css"><script type="importmap">{text}</script></head>
<body><main><h1>Modules</h1><div id="form"></div><div id="json"></div></main>
<script type="module" src="/lab.js"></script></body></html>"""
    return html, CONTENT_SECURITY_POLICY.replace("script-src 'self'", f"script-src 'self' 'sha256-{digest}'")


STYLE = """
body { display: block; } main { padding: 12px; display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }
h1 { display: none; } #form { width: min(356px, 100%); } #json { flex: 1 1 320px; min-width: 0; height: 600px; }
"""


@asynccontextmanager
async def opened(browser: Browser, look: Look = DEFAULT, *, vendor: bool = True) -> AsyncIterator[EditorLab]:
    """The page in a look. Without `vendor` it is as if no third-party file was installed."""
    html, policy = _page(look, vendor=vendor)
    language: Language = look.language
    texts = {name: text for name, text in page_messages(language).items() if name.startswith("editor")}

    async def page_of(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def data(_: web.Request) -> web.Response:
        return web.json_response({"schema": json_schema(), "texts": texts})

    async def script(_: web.Request) -> web.Response:
        return web.Response(text=SCRIPT, content_type="text/javascript")

    async def style(_: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css")

    app = web.Application()
    app.router.add_get("/", page_of)
    app.router.add_get("/data.json", data)
    app.router.add_get("/lab.js", script)
    app.router.add_get("/lab.css", style)
    app.router.add_get("/dashboard/static/{hash}/{name:.+}", assets.serve_asset)
    runner = web.AppRunner(app)
    await runner.setup()
    origin = f"http://127.0.0.1:{(port := free_port())}"
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        watch = Watch(origin)
        viewport = ViewportSize(width=look.width, height=look.height)
        async with await browser.new_context(viewport=viewport, locale=look.language) as context:
            context.set_default_timeout(PATIENCE_S * 1000)
            await watch.over(context)
            page = await context.new_page()
            await page.goto(f"{origin}/", wait_until="load")
            await page.wait_for_selector("body[data-ready]", state="attached")
            await settled(page)
            yield EditorLab(page, watch)
            watch.check()
    finally:
        await runner.cleanup()
