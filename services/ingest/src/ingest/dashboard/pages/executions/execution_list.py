"""The list of executions: those that failed first."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ingest.dashboard.page_types import Html, PageCall, Part
from ingest.dashboard.pages.executions.cli_arguments import cli_arguments
from ingest.dashboard.pages.executions.execution_filters import FAILED, NAMES, VIEWS, filters_of, may_replay_all
from ingest.dashboard.pages.executions.live_regions import live_regions
from ingest.dashboard.pages.executions.relative_links import query_links

ROWS: Final = 50
FAILED_ROWS: Final = 10
FAILED_FOR: Final = timedelta(hours=24)
COUNTED: Final = 500
"""How many executions are counted that match without the status."""


async def list_executions(call: PageCall) -> Html:
    """Shows the executions that match the filters. Without a status, the last ones that failed come first."""
    filters = filters_of(call)
    status = filters.get("status", "")
    is_first_page = not call.query.get("cursor")
    failed = await _failed(call, filters) if not status and is_first_page else None
    rows = ROWS - len(failed.data or ()) if failed is not None else ROWS
    query = {**filters, "limit": str(rows), "cursor": call.query.get("cursor")}
    page = await call.api.part("listExecutions", query=query)
    others = None
    if page.ok and not page.data and status:
        others = await call.api.part("listExecutions", query={**filters, "status": None, "limit": str(COUNTED)})
    return call.render(
        "executions/list.html",
        page=page,
        **live_regions(call, not call.query.get("cursor")),
        failed=failed,
        others=others,
        counted=COUNTED,
        views=VIEWS,
        may_replay_all=may_replay_all(filters),
        failed_statuses=FAILED,
        chosen_status=status,
        view_word=_view_word(call, status),
        filtered=[name for name in NAMES if call.query.get(name)],
        query_of=query_links(call),
        cli_arguments=cli_arguments(filters),
    )


def _view_word(call: PageCall, status: str) -> str:
    """The name of the view with these statuses, or the statuses themselves."""
    name = next((name for name, statuses in VIEWS if statuses == status), None)
    return status if name is None else call.reader.text(f"executions.view-{name}")


async def _failed(call: PageCall, filters: dict[str, str]) -> Part:
    begin = (datetime.now(UTC) - FAILED_FOR).isoformat()
    since = filters.get("since", begin)
    query = {**filters, "status": FAILED, "since": since, "limit": str(FAILED_ROWS)}
    return await call.api.part("listExecutions", query=query)
