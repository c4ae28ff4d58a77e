"""Checks what is received: webhooks that cannot start their flow, events without a contact, refused requests, and
schedules."""

from typing import Final

from filas.doctor.sentences import finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.models.findings import Subject

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
        problem = "webhook-flow-missing" if webhook.no_flow else "webhook-flow-unpublished"
        checked.findings.append(
            finding(
                "webhook-without-flow",
                "critical",
                Subject(kind="webhook", id=webhook.id),
                sentence(f"doctor.{problem}", webhook=webhook.id, flow=webhook.flow_id),
                sentence("doctor.webhook-without-flow-remedy", flow=webhook.flow_id),
                evidence={"flowId": webhook.flow_id},
            )
        )
    for one in await stores.rows.without_conversation(stores.settings.failures_within_s):
        code = "events-without-contact" if one.reason == "no-contact" else "events-without-channel"
        checked.findings.append(
            finding(
                code,
                "warning",
                Subject(kind="webhook", id=one.webhook_id),
                sentence(f"doctor.{code}", number=one.count, webhook=one.webhook_id),
                sentence("doctor.events-without-remedy", webhook=one.webhook_id, reason=one.reason),
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
        checked.findings.append(
            finding(
                "refusals-spike",
                "warning",
                Subject(kind="webhook", id=target if refused.is_webhook else ""),
                sentence(
                    "doctor.refusals-spike-webhook" if refused.is_webhook else "doctor.refusals-spike-path",
                    number=refused.recent,
                    minutes=RECENT_S / 60,
                    target=target,
                    reason=refused.reason,
                ),
                sentence("doctor.refusals-spike-remedy"),
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
            finding(
                "schedule-failing",
                "warning",
                Subject(kind="schedule", id=schedule_id),
                sentence("doctor.schedule-failing", schedule=schedule_id, reason=error.message[:300]),
                sentence("doctor.schedule-failing-remedy"),
                evidence={"kind": error.kind},
            )
            for schedule_id, error in failing
        ],
    )
