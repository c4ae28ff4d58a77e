"""The route of the executions that wait."""

from typing import Any

from filas.models.waiting import WaitingExecution, WaitsFor
from filas.repository.executions.waiting_search import WaitingFilter
from ingest.api.routing.moments import Moment
from ingest.api.routing.route_types import Answer, Call, PageQuery, Route, Word


class WaitingQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of waits. An execution must match all of them. `contact` is an address, however it is typed.
    `until`: the wait ends before this time."""

    waits_for: WaitsFor | None = None
    flow_id: Word | None = None
    channel: Word | None = None
    contact: Word | None = None
    until: Moment | None = None


async def list_waiting(call: Call[None, WaitingQuery]) -> Answer:
    """Lists the executions that wait; the wait that ends first comes first."""
    query = call.query
    wanted = WaitingFilter(
        waits_for=query.waits_for,
        flow_id=query.flow_id,
        channel=query.channel,
        contact=query.contact,
        until=query.until,
    )
    page = await call.context.history.waiting.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/waiting",
        handler=list_waiting,
        role="viewer",
        summary="The executions that wait for a reply, a time, a call or the outcome of a message, by due time.",
        answer=list[WaitingExecution],
        query=WaitingQuery,
        paged=True,
    ),
)
