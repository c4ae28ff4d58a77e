"""The routes of refusals: the requests to webhooks that were refused."""

from typing import Annotated, Any

import msgspec

from filas.models.refusals import Refusal, RefusalGroup
from filas.repository.refusals import RefusalFilter
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, Cursor, Limit, Query, Route, Word

WEBHOOKS = "/webhooks/"


class RefusalFilters(Query, frozen=True, kw_only=True):
    """Filters of refusals. A refusal must match all of them.

    `path` is that of the request, with or without `/webhooks/`. `since` is inclusive, `until` is exclusive.
    """

    webhook_id: Word | None = None
    path: Word | None = None
    reason: Word | None = None
    status: Annotated[int, msgspec.Meta(ge=400, le=499)] | None = None
    address: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


class RefusalGroupsQuery(RefusalFilters, frozen=True, kw_only=True):
    """Filters of the groups of refusals."""

    limit: Limit = 50


class RefusalsQuery(RefusalGroupsQuery, frozen=True, kw_only=True):
    """Filters and page of the list of refusals."""

    cursor: Cursor | None = None


async def list_refusals(call: Call[None, RefusalsQuery]) -> Answer:
    """Lists refusals, newest first."""
    refusals = call.context.history.refusals
    page = await refusals.search(_wanted(call.query), cursor=call.query.cursor, limit=call.query.limit)
    return Answer(page.items, page.next_cursor)


async def list_refusal_groups(call: Call[None, RefusalGroupsQuery]) -> Answer:
    """Lists refusals by webhook and reason, the largest groups first."""
    return Answer(await call.context.history.refusals.groups(_wanted(call.query), call.query.limit))


async def get_refusal(call: Call[None, Query]) -> Answer:
    """Returns a refusal."""
    refusal_id = parse_row_id("refusal", call.path["id"])
    refusal = await call.context.history.refusals.get(refusal_id)
    if refusal is None:
        raise not_found("refusal", refusal_id)
    return Answer(refusal)


def _wanted(query: RefusalFilters) -> RefusalFilter:
    path = query.path
    if path is not None and not path.startswith("/"):
        path = WEBHOOKS + path
    return RefusalFilter(
        webhook_id=query.webhook_id,
        path=path,
        reason=query.reason,
        status=query.status,
        address=query.address,
        since=query.since,
        until=query.until,
    )


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
    Route(
        method="GET",
        path="/refusals/groups",
        handler=list_refusal_groups,
        role="viewer",
        summary="The refused requests by webhook and reason, the largest groups first.",
        answer=list[RefusalGroup],
        query=RefusalGroupsQuery,
    ),
    Route(
        method="GET",
        path="/refusals/{id}",
        handler=get_refusal,
        role="viewer",
        summary="One refused request, with what was sent.",
        answer=Refusal,
        query=Query,
    ),
)
