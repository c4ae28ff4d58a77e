"""The search box: an id opens its page, a number opens its conversation, and other words search events."""

from typing import Final
from urllib.parse import quote

from ingest.dashboard.page_types import Html, PageCall, PageRoute, Redirect

ROWS: Final = 50
PAGE_OF: Final = {
    "event": "events",
    "execution": "executions",
    "conversation": "conversations",
    "dead-letter": "dead-letters",
    "job": "jobs",
}
"""The pages of entities, by kind. The other kinds have no page of their own."""


async def show_search(call: PageCall) -> Html | Redirect:
    """Goes to the page of the only thing that is found, or shows what is found."""
    typed = call.query.get("q", "").strip()
    if not typed:
        return call.render("search.html", typed="", found=None, addresses=[], index=None)
    found = await call.api.part("search", query={"q": typed, "limit": ROWS, **call.filters("cursor")})
    if not found.ok:
        return call.render("search.html", typed=typed, found=found, addresses=[], index=None)
    result = found.data
    addresses = [(one, _address(one.kind, one.id)) for one in result.entities]
    if result.kind == "id" and len(addresses) == 1 and addresses[0][1]:
        return Redirect(addresses[0][1])
    if result.kind == "contact" and len(result.conversations) == 1 and not call.query.get("cursor"):
        return Redirect(f"/dashboard/conversations/{result.conversations[0].id}")
    index = await call.api.part("showSearchState") if result.kind == "words" else None
    return call.render("search.html", typed=typed, found=found, addresses=addresses, index=index, rows=ROWS)


def _address(kind: str, entity_id: str) -> str:
    return f"/dashboard/{PAGE_OF[kind]}/{quote(entity_id, safe='')}" if kind in PAGE_OF else ""


ROUTES = (PageRoute("GET", "/search", show_search),)
