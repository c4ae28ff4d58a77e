"""The gallery: flows to start from, an empty flow, and the import from another product."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from filas.flows.imports.template_text import slug
from ingest.dashboard import assets
from ingest.dashboard.gallery.example_flows import ORDER, example_flow
from ingest.dashboard.graph.graph_types import read_graph
from ingest.dashboard.graph.small_picture import draw_small
from ingest.dashboard.page_types import Html, PageCall, PageRoute
from ingest.dashboard.pages.executions.execution_picture import LAYOUTS

ICONS: Final = "vendor/icons.svg"
MAX_TAKEN: Final = 500


@dataclass(frozen=True, slots=True)
class Card:
    """A flow of the gallery. `new_id` is an id that no flow has yet."""

    name: str
    title: str
    new_id: str
    picture: Markup
    nodes: int


async def show_gallery(call: PageCall) -> Html:
    """Shows the flows of the gallery."""
    taken = await taken_ids(call)
    return call.render("flows/new.html", cards=[await _card(call, name, taken) for name in ORDER])


async def taken_ids(call: PageCall) -> set[str]:
    """The ids of the stored flows, as far as one list shows them."""
    listed = await call.api.part("listFlows", query={"limit": str(MAX_TAKEN)})
    return {one.id for one in listed.data} if listed.ok else set()


def unused_id(wanted: str, taken: set[str]) -> str:
    """The id, or the id with a number that no flow has."""
    base, count = slug(wanted, most=60) or "flow", 2
    found = base
    while found in taken:
        found, count = f"{base}-{count}", count + 1
    return found


async def _card(call: PageCall, name: str, taken: set[str]) -> Card:
    definition: dict[str, Any] = example_flow(name) or {}
    graph = read_graph(definition)
    layout = await call.request.config_dict[LAYOUTS].layout(("gallery", name), graph)
    types = {node["id"]: node["type"] for node in definition["nodes"]}
    title = call.reader.text(f"gallery.{name}-title")
    icons = assets.address_of(ICONS) if assets.is_present(ICONS) else None
    picture = await asyncio.to_thread(draw_small, layout, types, title, icons)
    return Card(name, title, unused_id(name, taken), picture, len(types))


ROUTES: Final = (PageRoute("GET", "/flows/new", show_gallery),)
