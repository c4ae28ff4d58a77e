"""The flow editor: the page with its data, the same flow as text for browsers without scripts, and the layout."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from filas.contract.storable_text import json_bytes
from ingest.api.routing.problems import ApiProblem
from ingest.api.routing.route_types import PageQuery
from ingest.dashboard import assets
from ingest.dashboard.api_calls import BY_OPERATION
from ingest.dashboard.gallery.example_flows import example_flow
from ingest.dashboard.graph.sized_layout import SizedEdge, SizedNode, lay_out_sized
from ingest.dashboard.page_types import Html, Json, PageAnswer, PageCall, PageRoute
from ingest.dashboard.pages.editor.import_map import import_map
from ingest.dashboard.presentation.moments import iso
from ingest.dashboard.presentation.payload_text import document_text
from ingest.dashboard.presentation.texts import page_messages

NEW: Final = "new"
"""The id in the address of a flow that is not stored yet."""

CANVAS: Final = ("vendor/react.js", "vendor/react-dom.js", "vendor/xyflow.js")
"""What the canvas needs. Without these files, the page is a field with the JSON."""

ICONS: Final = "vendor/icons.svg"
MAX_NAMES: Final = 200
MAX_NODES: Final = 1000
MAX_EDGES: Final = 5000

_NAMED: Final = {"channels": "listChannels", "flows": "listFlows", "webhooks": "listWebhooks", "secrets": "listSecrets"}
"""The ids that the forms of nodes offer, and the operation that lists them."""


async def edit_flow(call: PageCall) -> Html:
    """Shows the editor of a flow."""
    return await _page(call, await _stored(call))


async def publish_text(call: PageCall) -> PageAnswer:
    """Publishes the JSON of the form, and shows it again with what is wrong. It replaces only the version that the form
    was made from."""
    text = call.form.get("definition", "")
    flow_id = call.form.get("id", "").strip() if call.path["id"] == NEW else call.path["id"]
    try:
        query = {"ifVersion": call.form.get("baseVersion")}
        answer = await call.api.call("putFlow", path={"id": flow_id}, query=query, body=text.encode())
    except ApiProblem as problem:
        if problem.status == 403:
            raise
        return await _page(call, {}, text=text, problem=problem)
    return call.done("editor.published", f"/dashboard/flows/{flow_id}/edit", version=answer.data.version)


async def lay_out(call: PageCall) -> Json:
    """Answers a position for each node. The field `graph` has `nodes` with their sizes, and `edges`."""
    try:
        graph = json.loads(call.form.get("graph", ""))
        nodes = [
            SizedNode(str(one["id"]), float(one["width"]), float(one["height"]), bool(one.get("starts")))
            for one in graph["nodes"]
        ]
        edges = [SizedEdge(str(one["source"]), str(one["target"])) for one in graph["edges"]]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        expected = "the nodes need id, width and height, the edges source and target"
        raise ApiProblem(422, "Invalid graph", expected) from None
    if len(nodes) > MAX_NODES or len(edges) > MAX_EDGES:
        raise ApiProblem(422, "Invalid graph", f"a flow has at most {MAX_NODES} nodes and {MAX_EDGES} edges")
    positions = await asyncio.to_thread(lay_out_sized, nodes, edges)
    return Json({"positions": {node_id: {"x": x, "y": y} for node_id, (x, y) in positions.items()}})


async def _stored(call: PageCall) -> Mapping[str, Any]:
    """The definition that the editor starts with, and what is known of it: that of the query's `version`, else the
    draft, else the published version. If there is a draft, changing a version asks before it replaces the draft."""
    example = example_flow(call.query.get("from", ""))
    if call.path["id"] == NEW:
        if example is not None:
            return {"definition": example}
        trigger = {"id": "start", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"mode": "trigger"}}
        return {"definition": {"schemaVersion": 1, "name": "", "nodes": [trigger], "edges": []}}
    draft = await _found(call, "getFlowDraft")
    stored = await _found(call, "getFlow")
    base = stored.version if stored is not None and stored.published else 0
    if "version" in call.query:
        version = await call.api.call("getFlow", path=call.path, query={"version": call.query["version"]})
        return {"definition": version.data.definition, "baseVersion": base}
    if draft is not None:
        return {
            "definition": draft.definition,
            "revision": draft.revision,
            "baseVersion": draft.base_version,
            "savedBy": draft.saved_by,
            "savedAt": iso(draft.saved_at),
        }
    if stored is None:
        if example is not None:
            return {"definition": example}
        raise ApiProblem(404, "Not found", f"there is no flow {call.path['id'][:128]!r}")
    return {"definition": stored.definition, "baseVersion": base}


async def _found(call: PageCall, operation: str) -> Any:
    """The answer of an operation, None if there is nothing."""
    try:
        return (await call.api.call(operation, path={"id": call.path["id"]})).data
    except ApiProblem as problem:
        if problem.status == 404:
            return None
        raise


async def _page(
    call: PageCall, stored: Mapping[str, Any], *, text: str = "", problem: ApiProblem | None = None
) -> Html:
    definition = stored.get("definition", {})
    has_canvas = problem is None and all(assets.is_present(name) for name in CANVAS)
    data = _script_data(await _data(call, stored)) if has_canvas else ""
    headers = {"Content-Security-Policy": import_map().policy} if has_canvas else None
    return call.render(
        "editor/editor.html",
        status=problem.status if problem else 200,
        headers=headers,
        flow_id=call.path["id"],
        is_new=call.path["id"] == NEW,
        name=definition.get("name") or "",
        has_canvas=has_canvas,
        data=data,
        import_map=Markup(import_map().text),  # noqa: S704 -- addresses of ours
        text=text or document_text(definition),
        base_version=call.form.get("baseVersion") or stored.get("baseVersion", 0),
        problem=problem,
        may_publish=call.api.may("putFlow"),
    )


async def _data(call: PageCall, stored: Mapping[str, Any]) -> dict[str, Any]:
    """What main.js reads from the page."""
    schema = await call.api.call("getFlowSchema")
    texts = page_messages(call.reader.language)
    return {
        "flow": stored["definition"],
        "flowId": call.path["id"],
        "isNew": call.path["id"] == NEW,
        "baseVersion": stored.get("baseVersion", 0),
        "revision": stored.get("revision", 0),
        "savedBy": stored.get("savedBy"),
        "savedAt": stored.get("savedAt"),
        "schema": schema.data,
        "texts": {name: text for name, text in texts.items() if name.startswith("editor")},
        "csrf": call.csrf,
        "mayPublish": call.api.may("putFlow"),
        "icons": assets.address_of(ICONS) if assets.is_present(ICONS) else None,
        "names": {kind: await _names(call, operation) for kind, operation in _NAMED.items()},
    }


async def _names(call: PageCall, operation: str) -> list[str]:
    has_limit = BY_OPERATION[operation].query is PageQuery
    part = await call.api.part(operation, query={"limit": str(MAX_NAMES)} if has_limit else None)
    return [_id_of(one) for one in part.data] if part.ok else []


def _id_of(listed: Any) -> str:
    """The id of what a list contains: an object, an answer as a dict, or the id itself."""
    if isinstance(listed, dict):
        return str(listed["id"])
    return listed if isinstance(listed, str) else str(listed.id)


def _script_data(data: dict[str, Any]) -> Markup:
    """JSON that ends no script element, whatever its texts contain."""
    text = json_bytes(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 -- every character that HTML interprets is escaped


ROUTES: Final = (
    PageRoute("GET", "/flows/{id}/edit", edit_flow),
    PageRoute("POST", "/flows/{id}/edit", publish_text),
    PageRoute("POST", "/flows/{id}/edit/layout", lay_out),
)
