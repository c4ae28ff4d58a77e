"""The route of refusals: the requests to webhooks that were refused."""

from typing import Annotated, Any

import msgspec

from filas.models.refusals import Refusal
from filas.repository.refusals import RefusalFilter
from ingest.api.routing.moments import Moment
from ingest.api.routing.route_types import Answer, Call, PageQuery, Route, Word

WEBHOOKS = "/webhooks/"


class RefusalsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of refusals. A refusal must match all of them.

    `path` is that of the request, with or without `/webhooks/`. `since` is inclusive, `until` is exclusive.
    """

    webhook_id: Word | None = None
    path: Word | None = None
    reason: Word | None = None
    status: Annotated[int, msgspec.Meta(ge=400, le=499)] | None = None
    address: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


async def list_refusals(call: Call[None, RefusalsQuery]) -> Answer:
    """Lists refusals, newest first."""
    query = call.query
    path = query.path
    if path is not None and not path.startswith("/"):
        path = WEBHOOKS + path
    wanted = RefusalFilter(
        webhook_id=query.webhook_id,
        path=path,
        reason=query.reason,
        status=query.status,
        address=query.address,
        since=query.since,
        until=query.until,
    )
    page = await call.context.history.refusals.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/refusals",
        handler=list_refusals,
        role="viewer",
        summary="The requests to webhooks that were refused, newest first. A 503 is not listed.",
        answer=list[Refusal],
        query=RefusalsQuery,
        paged=True,
    ),
)
