"""The route of the audit: who changed what through the API."""

from typing import Any

from filas.models.access import AuditEntry
from filas.repository.access.audit import AuditFilter
from ingest.api.routing.moments import Moment
from ingest.api.routing.route_types import Answer, Call, PageQuery, Route, Word


class AuditQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the audit. An entry must match all of them.

    `subject` is one subject (`webhooks/shop`) or a kind of them (`webhooks`). `since` is inclusive, `until` is
    exclusive.
    """

    who: Word | None = None
    action: Word | None = None
    subject: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


async def list_audit(call: Call[None, AuditQuery]) -> Answer:
    """Lists the entries of the audit, newest first."""
    query = call.query
    wanted = AuditFilter(
        who=query.who, action=query.action, subject=query.subject, since=query.since, until=query.until
    )
    page = await call.context.history.audit.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/audit",
        handler=list_audit,
        role="admin",
        summary="Every change through the API, with who, before and after, and failed sign-ins; newest first.",
        answer=list[AuditEntry],
        query=AuditQuery,
        paged=True,
    ),
)
