"""The routes of the audit: who changed what through the API."""

from typing import Any

from filas.models.access import AuditEntry
from filas.repository.access.audit import AuditFilter
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word


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


async def get_audit_entry(call: Call[None, Query]) -> Answer:
    """Returns one entry of the audit."""
    entry_id = parse_row_id("audit entry", call.path["id"])
    entry = await call.context.history.audit.get(entry_id)
    if entry is None:
        raise not_found("audit entry", entry_id)
    return Answer(entry)


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
    Route(
        method="GET",
        path="/audit/{id}",
        handler=get_audit_entry,
        role="admin",
        summary="One entry of the audit, with the values before and after the change.",
        answer=AuditEntry,
        query=Query,
    ),
)
