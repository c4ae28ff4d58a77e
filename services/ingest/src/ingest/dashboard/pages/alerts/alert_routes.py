"""The pages of alerts: the rules with their state, one rule with its history, and its form."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

from filas.models.alerts import AlertFiring, StoredAlertRule
from ingest.api.routing.problems import ApiProblem, invalid_field
from ingest.dashboard.definition_forms.definition_form import FormView
from ingest.dashboard.page_types import Html, Live, PageAnswer, PageCall, PageRoute, Redirect
from ingest.dashboard.pages.alerts.alert_form import ADDED_BY_ANSWERS, alert_form
from ingest.dashboard.presentation.time_filters import with_zone

LIST: Final = "/dashboard/alerts"
SILENCES: Final = {"1h": timedelta(hours=1), "8h": timedelta(hours=8)}
MOST_FIRINGS: Final = 200
MOST_NAMES: Final = 200
SHARES: Final = frozenset(
    {"flow-failure-rate", "undelivered-share", "redis-memory", "postgres-connections", "postgres-disk"}
)
"""Metrics from 0 to 1."""


async def show_list(call: PageCall) -> Html:
    """Shows the rules with their state, and what fires."""
    rules = await call.api.part("listAlerts")
    firings = await call.api.part("listFirings", query={"limit": MOST_FIRINGS})
    now = datetime.now(UTC)
    return call.render(
        "alerts/list.html",
        rules=rules,
        rows=[(rule, state_of(rule, firings.data or (), now)) for rule in rules.data or ()],
        firings=firings,
        metrics={rule.id: rule.metric for rule in rules.data or ()},
        shares=SHARES,
    )


async def show_new(call: PageCall) -> Html:
    """Shows the form for another rule."""
    call.api.require("putAlert")
    form = await _form(call, is_new=True)
    return _new_page(call, form.show(call.reader, call.filters("metric", "subject", "code")))


async def show_rule(call: PageCall) -> Html:
    """Shows one rule with its history."""
    rule = await _stored(call)
    return await _rule_page(call, rule, (await _form(call, is_new=False)).show(call.reader, rule))


async def create(call: PageCall) -> PageAnswer:
    """Stores a new rule. One that exists is not replaced."""
    call.api.require("putAlert")
    view = (await _form(call, is_new=True)).read(call.reader, call.form)
    if not view.is_complete:
        return _new_page(call, view, status=view.status)
    rule_id = str(view.body.get("id", ""))
    try:
        if not rule_id:
            raise invalid_field("id", call.reader.text("alerts.id-missing"))
        if await call.api.exists("getAlert", rule_id):
            raise invalid_field("id", call.reader.text("alerts.id-exists"))
        await _store(call, rule_id, view)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return _new_page(call, view.with_problem(problem), status=problem.status)
    return call.done("alerts.saved", _address(rule_id), id=rule_id)


async def change(call: PageCall) -> PageAnswer:
    """Replaces a rule. A standard one is stored then."""
    call.api.require("putAlert")
    rule = await _stored(call)
    view = (await _form(call, is_new=False)).read(call.reader, call.form, rule)
    if not view.is_complete:
        return await _rule_page(call, rule, view, status=view.status)
    try:
        await _store(call, rule.id, view)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return await _rule_page(call, rule, view.with_problem(problem), status=problem.status)
    return call.done("alerts.saved", _address(rule.id), id=rule.id)


async def delete(call: PageCall) -> Redirect:
    """Deletes a stored rule. A standard one then has its standard definition again."""
    rule_id = call.path["id"]
    await call.api.call("deleteAlert", path={"id": rule_id})
    return call.done("alerts.deleted", LIST, id=rule_id)


async def silence(call: PageCall) -> Redirect:
    """Silences a rule for a while, or ends its silence."""
    until = _until(call)
    await call.api.call("silenceAlert", path={"id": call.path["id"]}, body={"until": until})
    return call.done("alerts.silenced" if until else "alerts.silence-ended", id=call.path["id"])


async def send_test(call: PageCall) -> Redirect:
    """Sends a test message to the recipients."""
    sent = (await call.api.call("testAlert", path={"id": call.path["id"]})).data
    return call.done("alerts.tested", count=len(sent.notification_ids))


def _until(call: PageCall) -> str | None:
    """The end of the silence that was chosen; None ends it."""
    chosen = call.form.get("for", "")
    if chosen in SILENCES:
        return (datetime.now(UTC) + SILENCES[chosen]).isoformat(timespec="seconds")
    return with_zone(call.reader, call.form.get("until", "")) if chosen == "until" else None


async def _store(call: PageCall, rule_id: str, view: FormView) -> None:
    body = {name: value for name, value in view.body.items() if name not in ADDED_BY_ANSWERS}
    await call.api.call("putAlert", path={"id": rule_id}, body=body | {"id": rule_id})


def _new_page(call: PageCall, view: FormView, *, status: int = 200) -> Html:
    return call.render("alerts/new.html", status=status, form=view)


async def _rule_page(call: PageCall, rule: StoredAlertRule, view: FormView, *, status: int = 200) -> Html:
    history = await call.api.part("alertHistory", path={"id": rule.id}, query=call.filters("cursor"))
    return call.render(
        "alerts/rule.html",
        status=status,
        form=view,
        rule=rule,
        state=state_of(rule, history.data or (), datetime.now(UTC)),
        history=history,
        shares=SHARES,
    )


async def _form(call: PageCall, *, is_new: bool) -> Any:
    channels = await call.api.part("listChannels", query={"limit": MOST_NAMES})
    names = tuple(str(msgspec.to_builtins(one)["id"]) for one in channels.data or ())
    return alert_form(names, is_new=is_new)


async def _stored(call: PageCall) -> StoredAlertRule:
    rule: StoredAlertRule = (await call.api.call("getAlert", path={"id": call.path["id"]})).data
    return rule


def _address(rule_id: str) -> str:
    return f"{LIST}/{quote(rule_id, safe='')}"


def state_of(rule: StoredAlertRule, firings: Iterable[AlertFiring], now: datetime) -> str:
    """`disabled`, `silenced`, `firing`, `pending` or `quiet`."""
    if not rule.enabled:
        return "disabled"
    states = {one.state for one in firings if one.rule_id == rule.id}
    if rule.silenced_until is not None and rule.silenced_until > now:
        return "silenced"
    return "firing" if "firing" in states else "pending" if "pending" in states else "quiet"


ROUTES: Final = (
    PageRoute("GET", "/alerts", show_list, Live(every_s=5.0)),
    PageRoute("POST", "/alerts", create),
    PageRoute("GET", "/alerts/new", show_new),
    PageRoute("GET", "/alerts/{id}", show_rule),
    PageRoute("POST", "/alerts/{id}", change),
    PageRoute("POST", "/alerts/{id}/delete", delete),
    PageRoute("POST", "/alerts/{id}/silence", silence),
    PageRoute("POST", "/alerts/{id}/test", send_test),
)
