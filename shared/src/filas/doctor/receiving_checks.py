"""Checks what is received: webhooks that cannot start their flow, events without a contact, refused requests, and
schedules."""

from typing import Final

from filas.doctor.stores import Checked, DoctorStores
from filas.models.findings import Finding, Subject

RECENT_S: Final = 600.0
SPIKE: Final = 20
"""The smallest number of refused requests in RECENT_S that is reported."""

SPIKE_FACTOR: Final = 5
"""How many times the average of the day the recent ones must be."""

_PARTS_OF_DAY: Final = 24 * 3600 / RECENT_S


async def check_webhooks(stores: DoctorStores) -> Checked:
    """Webhooks whose flow does not exist, and events whose templates yield nothing. Raises StoreUnavailable."""
    checked = Checked("every webhook has a flow")
    for webhook in await stores.rows.unusable_webhooks():
        problem = "does not exist" if webhook.no_flow else "has no published version"
        checked.findings.append(
            Finding(
                code="webhook-without-flow",
                severity="critical",
                subject=Subject(kind="webhook", id=webhook.id),
                message=f"the events of the webhook {webhook.id} start nothing: the flow {webhook.flow_id} {problem}",
                remedy=f"publish the flow {webhook.flow_id}, or name another one; then replay the events",
                evidence={"flowId": webhook.flow_id},
            )
        )
    for one in await stores.rows.without_conversation(stores.settings.failures_within_s):
        field = "contact" if one.reason == "no-contact" else "channel"
        checked.findings.append(
            Finding(
                code=f"events-without-{field}",
                severity="warning",
                subject=Subject(kind="webhook", id=one.webhook_id),
                message=f"{one.count} events of the webhook {one.webhook_id} have no {field}: the template "
                f"`conversation.{field}` yields nothing",
                remedy=f"compare it with one of `filas events list --webhook {one.webhook_id} --reason {one.reason}`",
                evidence={"count": one.count, "reason": one.reason},
                since=one.since,
            )
        )
    if checked.findings:
        checked.detail = f"{len(checked.findings)} problems"
    return checked


async def check_refusals(stores: DoctorStores) -> Checked:
    """A sudden rise of refused requests. Raises StoreUnavailable."""
    refused = await stores.rows.refusals(RECENT_S)
    checked = Checked(f"{refused.recent} refused requests in the last {RECENT_S / 60:.0f} minutes")
    earlier = (refused.day - refused.recent) / (_PARTS_OF_DAY - 1)
    if refused.recent >= SPIKE and refused.recent > SPIKE_FACTOR * earlier:
        target = refused.target or ""
        place = f"the webhook {target}" if refused.is_webhook else f"the path {target}"
        checked.findings.append(
            Finding(
                code="refusals-spike",
                severity="warning",
                subject=Subject(kind="webhook", id=target if refused.is_webhook else ""),
                message=f"{refused.recent} requests were refused in the last {RECENT_S / 60:.0f} minutes, most of them "
                f"to {place} ({refused.reason})",
                remedy="`filas refusals list` shows them with their headers and the beginning of their bodies",
                evidence={"recent": refused.recent, "day": refused.day, "target": target, "reason": refused.reason},
            )
        )
    return checked


async def check_schedules(stores: DoctorStores) -> Checked:
    """Schedules whose last run failed. Raises StoreUnavailable."""
    failing = await stores.rows.failing_schedules()
    return Checked(
        f"{len(failing)} failing" if failing else "no failing schedule",
        [
            Finding(
                code="schedule-failing",
                severity="warning",
                subject=Subject(kind="schedule", id=schedule_id),
                message=f"the schedule {schedule_id} started nothing: {error.message[:300]}",
                remedy="correct the schedule, or the flow that it names",
                evidence={"kind": error.kind},
            )
            for schedule_id, error in failing
        ],
    )
