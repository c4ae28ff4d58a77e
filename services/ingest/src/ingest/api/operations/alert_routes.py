"""The routes of alert rules: store, show, delete, silence, test, history."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from filas.contract.identity import new_id
from filas.contract.job_factories import notification_job
from filas.errors import StoreUnavailable
from filas.models.alerts import (
    AlertFiring,
    AlertMetric,
    AlertRule,
    AlertTarget,
    QuietHours,
    StoredAlertRule,
    WaitMs,
    WindowMs,
)
from filas.models.findings import Severity
from filas.observability.logs import get_logger
from filas.repository.alerts import AlertMessage
from filas.tracing import spans
from ingest.api.routing.identifiers import Deleted, definition_id, existing_id
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import FieldError, invalid, invalid_field, not_found
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route, Word

log = get_logger(__name__)

MAX_SILENCE = timedelta(days=31)


class AlertBody(Body, frozen=True, kw_only=True):
    """An alert rule (`filas.models.alerts.AlertRule`)."""

    id: str | None = None
    metric: AlertMetric
    threshold: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    window_ms: WindowMs = 600_000
    minimum: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5
    duration_ms: WaitMs = 60_000
    cooldown_ms: WaitMs = 1_800_000
    severity: Severity = "warning"
    code: Annotated[str, msgspec.Meta(max_length=100, description="Of a finding of the doctor.")] | None = None
    subject: Annotated[str, msgspec.Meta(max_length=128, description="Only this flow, channel or queue.")] | None = None
    to: Annotated[list[AlertTarget], msgspec.Meta(max_length=20)] = msgspec.field(default_factory=list)
    quiet_hours: QuietHours | None = None
    enabled: bool = True


class SilenceBody(Body, frozen=True, kw_only=True):
    """Until when nothing is announced. null ends the silence."""

    until: Moment | None = None


class HistoryQuery(PageQuery, frozen=True, kw_only=True):
    """A page of firings."""


class AllFiringsQuery(PageQuery, frozen=True, kw_only=True):
    """A page of the firings of all rules, or of one."""

    rule_id: Word | None = None


class AlertTested(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The messages that a test sends, by their notification ids."""

    notification_ids: list[str]


async def list_alerts(call: Call[None, Query]) -> Answer:
    """Lists all rules by id: the stored ones, and the standard ones."""
    return Answer(await call.context.alerts.rules())


async def put_alert(call: Call[AlertBody, Query]) -> Answer:
    """Creates or replaces a rule."""
    body = call.body
    rule_id = definition_id(call.path["id"], body.id)
    fields = {name: getattr(body, name) for name in AlertRule.__struct_fields__ if name not in ("id", "to")}
    rule = AlertRule(id=rule_id, to=tuple(body.to), **fields)
    alerts = call.context.alerts

    async def store() -> StoredAlertRule:
        await call.context.references.lock()  # so that none of its channels is deleted before it is stored
        await _check(call, rule)
        return await alerts.store(rule)

    stored = await call.audit.change(store, before=lambda: alerts.rule(rule_id), after=lambda new: new)
    return Answer(stored)


async def get_alert(call: Call[None, Query]) -> Answer:
    """Returns a rule."""
    return Answer(await _rule(call))


async def delete_alert(call: Call[None, Query]) -> Answer:
    """Deletes a stored rule. A standard rule then has its standard definition; `"enabled":false` disables it."""
    rule_id = existing_id("alert", call.path["id"])
    alerts = call.context.alerts
    if not await call.audit.change(lambda: alerts.delete(rule_id), before=lambda: alerts.rule(rule_id)):
        raise not_found("stored alert", rule_id)
    return Answer(Deleted(id=rule_id))


async def silence_alert(call: Call[SilenceBody, Query]) -> Answer:
    """Silences a rule until a time, or ends its silence. What fires meanwhile is announced afterwards."""
    rule, until = await _rule(call), call.body.until
    if until is not None and not datetime.now(UTC) < until < datetime.now(UTC) + MAX_SILENCE:
        raise invalid_field("until", f"must be in the next {MAX_SILENCE.days} days")
    plain = AlertRule(**{name: getattr(rule, name) for name in AlertRule.__struct_fields__})
    alerts = call.context.alerts
    stored = await call.audit.change(
        lambda: alerts.silence(plain, until), before=lambda: alerts.rule(rule.id), after=lambda new: new
    )
    return Answer(stored)


async def alert_history(call: Call[None, HistoryQuery]) -> Answer:
    """Lists the firings of a rule, newest first."""
    rule_id = existing_id("alert", call.path["id"])
    page = await call.context.alerts.history(rule_id, call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


async def list_firings(call: Call[None, AllFiringsQuery]) -> Answer:
    """Lists the firings of all rules, newest first."""
    page = await call.context.alerts.history(call.query.rule_id, call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


async def test_alert(call: Call[None, Query]) -> Answer:
    """Sends a test message to the recipients of a rule."""
    rule = await _rule(call)
    if not rule.to:
        raise invalid_field("to", "the rule names no recipient: its alerts go to those of ALERT_TO of the notifier")
    test_id = new_id()
    text = f"This is a test of the alert {rule.id}, sent by {call.client.name}. Nothing is wrong."
    messages = [
        AlertMessage(
            id=new_id(),
            channel_id=target.channel,
            recipient=target.to,
            payload={"type": "text", "subject": f"Test: {rule.id}", "text": text},
            idempotency_key=f"alert-test:{test_id}:{number}",
        )
        for number, target in enumerate(rule.to)
    ]
    due = await call.context.alerts.send(messages)
    jobs = [notification_job(one.id, one.channel_id, one.recipient, spans.root_traceparent(one.id)) for one in due]
    try:
        await call.context.producer.enqueue_many(jobs)
    except StoreUnavailable as error:
        # The relay of the notifier enqueues the jobs of the stored rows.
        log.warning("alerts.left_to_relay", messages=len(jobs), store=error.store, reason=error.reason)
    return Answer(AlertTested(notification_ids=[str(one.id) for one in messages]))


async def _rule(call: Call[Any, Any]) -> StoredAlertRule:
    rule_id = existing_id("alert", call.path["id"])
    rule = await call.context.alerts.rule(rule_id)
    if rule is None:
        raise not_found("alert", rule_id)
    return rule


async def _check(call: Call[AlertBody, Query], rule: AlertRule) -> None:
    """Raises the 422 with every error of the rule."""
    errors: list[FieldError] = []
    if (rule.metric == "finding") != (rule.code is not None):
        message = "required with the metric finding" if rule.code is None else "only with the metric finding"
        errors.append(FieldError(field="code", message=message))
    if rule.quiet_hours is not None:
        try:
            ZoneInfo(rule.quiet_hours.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            errors.append(FieldError(field="quietHours.timezone", message="unknown time zone"))
        if rule.quiet_hours.begin == rule.quiet_hours.end:
            errors.append(FieldError(field="quietHours.until", message="must differ from `from`"))
        if not rule.quiet_hours.days:
            errors.append(FieldError(field="quietHours.days", message="is empty"))
    for number, target in enumerate(rule.to):
        if await call.context.channels.get(target.channel) is None:
            message = f"no channel {target.channel[:64]!r} is stored"
            errors.append(FieldError(field=f"to[{number}].channel", message=message))
    if errors:
        raise invalid(errors)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/alerts",
        handler=list_alerts,
        role="viewer",
        summary="The alert rules: the stored ones, and the standard ones.",
        answer=list[StoredAlertRule],
        query=Query,
    ),
    Route(
        method="GET",
        path="/alerts/history",
        handler=list_firings,
        role="viewer",
        summary="The firings of all rules, newest first.",
        answer=list[AlertFiring],
        query=AllFiringsQuery,
        paged=True,
    ),
    Route(
        method="PUT",
        path="/alerts/{id}",
        handler=put_alert,
        role="admin",
        summary="Create or replace an alert rule.",
        answer=StoredAlertRule,
        body=AlertBody,
        query=Query,
    ),
    Route(
        method="GET",
        path="/alerts/{id}",
        handler=get_alert,
        role="viewer",
        summary="One alert rule.",
        answer=StoredAlertRule,
        query=Query,
    ),
    Route(
        method="DELETE",
        path="/alerts/{id}",
        handler=delete_alert,
        role="admin",
        summary="Delete a stored alert rule. A standard rule then has its standard definition.",
        answer=Deleted,
        query=Query,
    ),
    Route(
        method="GET",
        path="/alerts/{id}/history",
        handler=alert_history,
        role="viewer",
        summary="The firings of an alert rule, newest first.",
        answer=list[AlertFiring],
        query=HistoryQuery,
        paged=True,
    ),
    Route(
        method="POST",
        path="/alerts/{id}/silence",
        handler=silence_alert,
        role="operator",
        summary="Silence an alert rule until a time, or end its silence.",
        answer=StoredAlertRule,
        body=SilenceBody,
        query=Query,
    ),
    Route(
        method="POST",
        path="/alerts/{id}/test",
        handler=test_alert,
        role="operator",
        summary="Send a test message to the recipients of an alert rule.",
        answer=AlertTested,
        query=Query,
    ),
)
