"""The executions that wait for a reply, a time, a call or the outcome of a message, by due time."""

from typing import Final

from ingest.dashboard.page_types import Html, PageCall
from ingest.dashboard.pages.executions.cli_arguments import cli_arguments
from ingest.dashboard.pages.executions.live_regions import live_regions
from ingest.dashboard.pages.executions.relative_links import query_links

ROWS: Final = 50
KINDS: Final = ("", "reply", "time", "call", "message")


async def list_waiting(call: PageCall) -> Html:
    """Shows the waits; the one that ends first comes first."""
    filters = call.filters("waitsFor", "flowId", "channel", "contact")
    page = await call.api.part("listWaiting", query={**filters, "limit": str(ROWS), "cursor": call.query.get("cursor")})
    return call.render(
        "executions/waiting.html",
        page=page,
        **live_regions(call, not call.query.get("cursor")),
        kinds=KINDS,
        filtered=bool(filters),
        query_of=query_links(call),
        cli_arguments=cli_arguments(filters),
    )
