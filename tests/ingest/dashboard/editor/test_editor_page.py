"""The page of the flow editor: its data, its policy, the text for browsers without scripts, and the layout."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from ingest.dashboard import assets
from ingest.dashboard.pages.editor import import_map
from ingest.dashboard.pages.editor.editor_page import CANVAS
from ingest.dashboard.presentation.texts import page_messages
from tests.ingest.api.serving import FLOW, Api
from tests.ingest.api.test_audit import HTTP
from tests.ingest.dashboard.browsing import Browser, Page

EDITOR = "/flows/greeting/edit"
MAX_CANVAS_BYTES = 110_000
HOSTILE = "</script><script>alert(1)</script>\u2028&amp;"


@pytest.fixture
def canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the canvas are installed, whether npm could be reached or not."""
    present = assets.is_present
    monkeypatch.setattr(assets, "is_present", lambda name: name in CANVAS or present(name))


@pytest.fixture
def no_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not."""
    present = assets.is_present
    monkeypatch.setattr(assets, "is_present", lambda name: name not in CANVAS and present(name))


def script(page: Page, attribute: str) -> str:
    """The content of a script element."""
    found = re.findall(rf"<script [^>]*{attribute}[^>]*>(.*?)</script>", page.html, re.DOTALL)
    assert len(found) == 1, found
    return str(found[0])


def data_of(page: Page) -> dict[str, Any]:
    """What the scripts of the editor read."""
    data: dict[str, Any] = json.loads(script(page, 'id="editor-data"'))
    return data


@pytest.mark.usefixtures("canvas")
async def test_the_page_has_the_flow_with_its_unknown_fields(api: Api, browser: Browser) -> None:
    """The stored definition, whatever its texts contain, the schema, and the texts in the reader's language."""
    flow = {**FLOW, "name": HOSTILE, "viewport": {"zoom": 2}}
    flow["nodes"] = [{**node, "measured": {"width": 9007199254740993}} for node in FLOW["nodes"]]
    await api.put("/flows/greeting", flow)
    await api.put("/channels/desk", HTTP)
    await api.put("/secrets/crm", {"value": "token"})
    page = await browser.open(EDITOR)
    data = data_of(page)
    assert data["flow"] == (await api.get("/flows/greeting")).data["definition"]
    assert data["flow"]["nodes"][0]["measured"] == {"width": 9007199254740993}
    assert (data["flowId"], data["isNew"], data["baseVersion"], data["mayPublish"]) == ("greeting", False, 1, True)
    assert data["schema"]["title"] == "Flow"
    assert data["names"] == {"channels": ["desk"], "flows": ["greeting"], "webhooks": [], "secrets": ["crm"]}
    assert page.html.count("<script>") == 0
    portuguese = data_of(await browser.open(EDITOR, headers={"Accept-Language": "pt-BR"}))
    assert portuguese["texts"]["editor.publish"] == page_messages("pt-BR")["editor.publish"]


@pytest.mark.usefixtures("canvas")
async def test_an_earlier_version_opens_without_the_draft(api: Api, browser: Browser) -> None:
    """It is based on the published version. Saving it asks before it replaces the draft."""
    await api.put("/flows/greeting", {**FLOW, "name": "First"})
    await api.put("/flows/greeting", {**FLOW, "name": "Second"})
    draft = {"definition": {**FLOW, "name": "Draft"}, "revision": 0, "baseVersion": 2}
    await api.put("/flows/greeting/draft", draft)
    data = data_of(await browser.open(f"{EDITOR}?version=1"))
    assert (data["flow"]["name"], data["baseVersion"], data["revision"]) == ("First", 2, 0)
    data = data_of(await browser.open(EDITOR))
    assert (data["flow"]["name"], data["baseVersion"], data["revision"] > 0) == ("Draft", 2, True)
    await browser.open(f"{EDITOR}?version=9", status=404)


@pytest.mark.usefixtures("canvas")
async def test_the_policy_allows_the_import_map_alone(api: Api, browser: Browser) -> None:
    """By its hash. Every module has an address with the hash of its content, which the server has."""
    await api.put("/flows/greeting", FLOW)
    page = await browser.open(EDITOR)
    text = script(page, 'type="importmap"')
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "img-src 'self' data:;" in policy
    assert "unsafe" not in policy
    imports = json.loads(text)["imports"]
    assert {"editor/store", "editor/main", "editor/canvas"} <= imports.keys()
    for address in imports.values():
        async with browser.session.get(browser.api.url + address) as answer:
            assert (answer.status, answer.content_type) == (200, "text/javascript")


def test_every_import_of_a_module_is_in_the_map() -> None:
    """A module whose name is wrong would stop the whole editor."""
    imports = json.loads(import_map.import_map().text)["imports"]
    for name in imports:
        if name.startswith("editor/"):
            content = (assets.content_of(f"{name}.js") or b"").decode()
            for imported in re.findall(r"(?:from |import\()\"([^\"]+)\"", content):
                assert imported in imports or not imported.startswith("editor/"), f"{name} imports {imported}"


def imported(name: str, seen: set[str]) -> set[str]:
    """A module of the editor with all that it imports at its start."""
    if name not in seen:
        seen.add(name)
        content = (assets.content_of(f"{name}.js") or b"").decode()
        for other in re.findall(r"^import .*from \"(editor/[^\"]+)\"", content, re.MULTILINE):
            imported(other, seen)
    return seen


def test_the_canvas_fits_its_budget() -> None:
    """React, React Flow and what draws a flow: 110 kB, as a browser receives them."""
    if not all(assets.is_present(name) for name in CANVAS):
        pytest.skip("the files of npm are not installed")
    files = [*CANVAS, "editor/jsx_runtime.js", *(f"{name}.js" for name in imported("editor/canvas", set()))]
    assert {"editor/store.js", "editor/node_card.js"} & set(files) == {"editor/node_card.js"}
    sizes = {name: len(assets.compressed(name, "br")) for name in [*files, "editor/store.js"]}
    assert sum(sizes.values()) <= MAX_CANVAS_BYTES, sizes


@pytest.mark.parametrize(("accepted", "coding"), [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("identity", None)])
async def test_a_file_is_compressed_as_the_browser_accepts(browser: Browser, accepted: str, coding: str | None) -> None:
    """Decompressed, it is the file."""
    address = browser.api.url + assets.address_of("editor.css")
    async with browser.session.get(address, headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("Content-Encoding") == coding
        assert await answer.read() == assets.content_of("editor.css")


@pytest.mark.usefixtures("canvas")
async def test_a_new_flow_begins_with_a_trigger(browser: Browser) -> None:
    """Nothing is stored yet."""
    data = data_of(await browser.open("/flows/new/edit"))
    assert data["isNew"] is True
    assert [node["data"] for node in data["flow"]["nodes"]] == [{"mode": "trigger"}]


async def test_notes_are_stored_with_the_flow_within_bounds(api: Api) -> None:
    """Executions ignore them. Their unknown fields are kept."""
    notes = [{"id": "n", "text": "Ask first", "position": {"x": 1.5, "y": -2}, "colour": "red"}, {"id": "m"}]
    stored = (await api.put("/flows/greeting", {**FLOW, "notes": notes})).data
    assert stored["definition"]["notes"] == notes
    for wrong, field in (([{"id": "n", "text": "x" * 5001}], "notes[0].text"), ([{"text": "x"}], "notes[0]")):
        refused = await api.put("/flows/greeting", {**FLOW, "notes": wrong})
        assert refused.status == 422
        assert refused.json["errors"][0]["field"].startswith(field)


async def test_a_flow_that_is_not_stored_is_not_found(browser: Browser) -> None:
    """It has no editor."""
    await browser.open("/flows/nothing/edit", status=404)


@pytest.mark.usefixtures("no_canvas")
async def test_without_the_files_of_npm_the_json_can_be_published(api: Api, browser: Browser) -> None:
    """The page states what is missing. A refused definition is shown again with its errors."""
    await api.put("/flows/greeting", FLOW)
    page = await browser.open(EDITOR)
    assert "npm could not be reached" in page.text
    assert 'type="module"' not in page.html
    changed = page.form("/dashboard/flows/greeting/edit").fields["definition"].replace("Hello", "Goodbye")
    await browser.submit(page, "/dashboard/flows/greeting/edit", {"definition": changed})
    stored = (await api.get("/flows/greeting")).data
    assert (stored["version"], stored["definition"]["nodes"][1]["data"]["text"][:7]) == (2, "Goodbye")
    wrong = changed.replace('"message"', '"massage"')
    refused = await browser.submit(page, "/dashboard/flows/greeting/edit", {"definition": wrong}, status=422)
    assert "massage" in refused.form("/dashboard/flows/greeting/edit").fields["definition"]
    assert "unknown node type" in refused.text
    stale = await browser.submit(page, "/dashboard/flows/greeting/edit", {"definition": changed + " "}, status=409)
    assert "version 2 was published meanwhile" in stale.text
    assert (await api.get("/flows/greeting")).data["version"] == 2


@pytest.mark.usefixtures("no_canvas")
async def test_a_new_flow_is_published_as_text_with_its_id(api: Api, browser: Browser) -> None:
    """The form asks for it."""
    page = await browser.open("/flows/new/edit")
    await browser.submit(page, "/dashboard/flows/new/edit", {"id": "hi", "definition": json.dumps(FLOW)})
    assert (await api.get("/flows/hi")).data["published"] is True
    other = {"id": "hi", "definition": json.dumps({**FLOW, "name": "Other"})}
    taken = await browser.submit(page, "/dashboard/flows/new/edit", other, status=409)
    assert "version 1 was published meanwhile" in taken.text


@pytest.mark.usefixtures("canvas")
async def test_a_viewer_sees_the_flow_and_cannot_publish(api: Api, viewer: Browser) -> None:
    """Neither with the canvas nor with a form of another page."""
    await api.put("/flows/greeting", FLOW)
    page = await viewer.open(EDITOR)
    assert data_of(page)["mayPublish"] is False
    assert not [form for form in page.forms if "/edit" in form.action]
    await viewer.post(EDITOR, {"definition": json.dumps(FLOW)}, status=403)


async def test_the_layout_leads_to_the_right_without_overlap(browser: Browser) -> None:
    """Also for a cycle, for nodes of different sizes, and for edges to nothing."""
    sizes = {"a": 80, "b": 400, "c": 90, "d": 60}
    nodes = [{"id": name, "width": 200, "height": height, "starts": name == "a"} for name, height in sizes.items()]
    edges = [{"source": one, "target": other} for one, other in ("ab", "ac", "bd", "cd", "da", "bb", "bx")]
    positions = (await laid_out(browser, {"nodes": nodes, "edges": edges}))["positions"]
    assert positions["a"]["x"] < positions["b"]["x"] == positions["c"]["x"] < positions["d"]["x"]
    first, second = sorted(("b", "c"), key=lambda name: float(positions[name]["y"]))
    assert positions[first]["y"] + sizes[first] < positions[second]["y"]


@pytest.mark.parametrize("graph", ["", "[]", '{"nodes":[{}],"edges":[]}', '{"nodes":[{"id":"a","width":"x"}]}'])
async def test_a_graph_that_cannot_be_read_is_refused(browser: Browser, graph: str) -> None:
    """With what is expected."""
    assert "need id, width and height" in (await laid_out(browser, graph, status=422))["detail"]


@pytest.mark.parametrize("size", [float("nan"), float("inf"), -1.0, 0.0, 1e300])
async def test_a_strange_size_has_a_layout(browser: Browser, size: float) -> None:
    """Its positions are finite."""
    nodes = [{"id": name, "width": size, "height": size} for name in "ab"]
    found = (await laid_out(browser, {"nodes": nodes, "edges": []}))["positions"]
    assert all(abs(place[axis]) < 1e6 for place in found.values() for axis in "xy")


async def laid_out(browser: Browser, graph: Any, *, status: int = 200) -> dict[str, Any]:
    """The answer of the layout."""
    csrf = next(form.fields["csrf"] for form in (await browser.open("/_components")).forms if "csrf" in form.fields)
    fields = {"csrf": csrf, "graph": graph if isinstance(graph, str) else json.dumps(graph)}
    url = f"{browser.api.url}/dashboard/flows/x/edit/layout"
    async with browser.session.post(url, data=fields, headers={"Accept": "application/json"}) as answer:
        assert answer.status == status, await answer.text()
        data: dict[str, Any] = await answer.json()
        return data
