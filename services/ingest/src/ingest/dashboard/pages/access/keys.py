"""The page of access: keys, sign-in links, who has signed in, and whose sign-in has failed."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.models.access import ApiKey, AuditEntry
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.definition_forms.definition_form import DefinitionForm, FormView, Group
from ingest.dashboard.definition_forms.form_fields import Moment, Text
from ingest.dashboard.definition_forms.list_fields import Choice
from ingest.dashboard.page_types import Html, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.pages.access.audit import MOST_FAILURES, failures_query

LIST: Final = "/dashboard/access"
ROLES: Final = ("viewer", "operator", "admin")
SIGNED_IN_FOR: Final = timedelta(days=7)
MOST_SIGN_INS: Final = 50

KEY_FORM: Final = DefinitionForm(
    "key-fields",
    (
        Group(
            "key",
            (
                Text("name", hint="Ana"),
                Choice("role", ROLES, words="roles", default="viewer"),
                Moment("expiresAt"),
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class FailedSignIns:
    """Those of one address in the last day."""

    address: str
    count: int
    last_at: datetime


async def show_access(call: PageCall) -> Html:
    """Shows the keys, and the form for another one."""
    return await _page(call, KEY_FORM.show(call.reader))


async def create_key(call: PageCall) -> PageAnswer:
    """Creates a key. This page is the only one that shows its value."""
    view = KEY_FORM.read(call.reader, call.form)
    if not view.is_complete:
        return await _page(call, view, status=view.status)
    try:
        created = (await call.api.call("createKey", body=view.body)).data
    except ApiProblem as problem:
        if problem.status == 403:
            raise
        return await _page(call, view.with_problem(problem), status=problem.status)
    return call.render("access/created.html", key=created)


async def revoke_key(call: PageCall) -> Redirect:
    """Revokes a key."""
    key: ApiKey = (await call.api.call("revokeKey", path={"id": call.path["id"]})).data
    return call.done("access.revoked-done", LIST, name=key.name)


async def create_link(call: PageCall) -> Html:
    """Creates a sign-in link, which this page shows once."""
    link = (await call.api.call("createSignInLink")).data
    return call.render("access/link.html", address=f"{call.request.url.origin()}{link.path}", link=link)


async def _page(call: PageCall, form: FormView, *, status: int = 200) -> Html:
    keys = await call.api.part("listKeys", query=call.filters("cursor"))
    if keys.problem is not None and keys.problem.status == 403:
        raise keys.problem
    since = (datetime.now(UTC) - SIGNED_IN_FOR).isoformat(timespec="seconds")
    sign_ins = await call.api.part("listAudit", query={"action": "signIn", "since": since, "limit": MOST_SIGN_INS})
    sign_outs = await call.api.part("listAudit", query={"action": "signOut", "since": since, "limit": MOST_FAILURES})
    failures = await call.api.part("listAudit", query=failures_query())
    return call.render(
        "access/keys.html",
        status=status,
        form=form,
        keys=keys,
        state_of=_state_of,
        sign_ins=sign_ins,
        sign_outs={one.subject: one.at for one in sign_outs.data or ()},
        failures=failures,
        failed=_by_address(failures.data or ()),
    )


def _state_of(key: ApiKey) -> str:
    """`valid`, `expired` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "valid"


def _by_address(entries: Iterable[AuditEntry]) -> list[FailedSignIns]:
    found: dict[str, list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        found[entry.address].append(entry)
    rows = [
        FailedSignIns(address, sum(one.count for one in same), max(one.last_at for one in same))
        for address, same in found.items()
    ]
    return sorted(rows, key=_most_first)


def _most_first(one: FailedSignIns) -> Any:
    return -one.count, one.address


ROUTES: Final = (
    PageRoute("GET", "/access", show_access),
    PageRoute("POST", "/access/keys", create_key),
    PageRoute("POST", "/access/keys/{id}/revoke", revoke_key),
    PageRoute("POST", "/access/sign-in-links", create_link),
)
