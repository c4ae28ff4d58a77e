"""The pages of the audit: who has changed what, and one change with its values before and after."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.models.access import CREATE_ROLES, MIGRATE_DATABASE, SIGN_IN_FAILED, AuditEntry
from ingest.api.routes import ROUTES as API_ROUTES
from ingest.dashboard.page_types import Html, PageCall, PageRoute
from ingest.dashboard.pages.access.entity_links import entity_address
from ingest.dashboard.presentation.differences import differences

OPTIONS: Final = {
    "who": "--who", "action": "--action", "subject": "--subject", "since": "--since", "until": "--until",
}  # fmt: skip
"""Each filter, with its option of `filas audit list`."""

ACTIONS: Final = (
    *sorted(route.operation_id for route in API_ROUTES if route.is_audited),
    "signIn", "signOut", SIGN_IN_FAILED, MIGRATE_DATABASE, CREATE_ROLES,
)  # fmt: skip

UNSHOWN: Final = frozenset({"revision", "updatedAt", "createdAt"})
"""Fields that change with every change."""

SHOWN_IN_LIST: Final = 3
DAY: Final = timedelta(days=1)
MOST_FAILURES: Final = 500


async def show_list(call: PageCall) -> Html:
    """Shows the changes that match, newest first, and how many sign-ins have failed in the last day."""
    chosen = call.filters(*OPTIONS)
    entries = await call.api.part("listAudit", query={**chosen, **call.filters("cursor")})
    if entries.problem is not None and entries.problem.status == 403:
        raise entries.problem  # without the right to read it, the whole page is refused
    failures = await call.api.part("listAudit", query=failures_query())
    return call.render(
        "audit/list.html",
        entries=entries,
        rows=[
            (entry, short_differences(entry), entity_address(entry.subject, _sections(call)))
            for entry in entries.data or ()
        ],
        chosen=chosen,
        actions=[(action, action) for action in ACTIONS],
        options=tuple(text for name, value in chosen.items() for text in (OPTIONS[name], value)),
        failures=sum(one.count for one in failures.data or ()),
        shown_in_list=SHOWN_IN_LIST,
    )


async def show_entry(call: PageCall) -> Html:
    """Shows one change: each value that differs, and both values whole."""
    entry: AuditEntry = (await call.api.call("getAuditEntry", path={"id": call.path["id"]})).data
    return call.render(
        "audit/entry.html",
        entry=entry,
        differences=differences(entry.before, entry.after, without=UNSHOWN) if has_differences(entry) else [],
        address=entity_address(entry.subject, _sections(call)),
    )


def failures_query() -> dict[str, Any]:
    """The failed sign-ins of the last day."""
    since = (datetime.now(UTC) - DAY).isoformat(timespec="seconds")
    return {"action": SIGN_IN_FAILED, "since": since, "limit": MOST_FAILURES}


def has_differences(entry: AuditEntry) -> bool:
    """Whether the entry is a change of a definition: it has one before or after. A command has its answer only."""
    return entry.before is not None or (entry.after is not None and entry.action.startswith(("put", "create")))


def short_differences(entry: AuditEntry) -> list[Any]:
    """The differences for a list."""
    return differences(entry.before, entry.after, without=UNSHOWN) if has_differences(entry) else []


def _sections(call: PageCall) -> frozenset[str]:
    sections: frozenset[str] = call.shared["sections"]
    return sections


ROUTES: Final = (
    PageRoute("GET", "/audit", show_list),
    PageRoute("GET", "/audit/{id}", show_entry),
)
