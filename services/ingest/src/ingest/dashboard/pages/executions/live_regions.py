"""Whether a page has live regions. When they are rendered for the stream, the route is that of the stream."""

from typing import Any

from ingest.dashboard.page_types import PageCall


def live_regions(call: PageCall, wanted: bool) -> dict[str, Any]:
    """The values for a template whose regions are live only if `wanted`."""
    return {"has_regions": wanted, "live": call.shared["live"] if wanted else None}
