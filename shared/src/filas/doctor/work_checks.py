"""Checks the work: executions that fail or wait for nothing, dead letters, and rows that are on no queue."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.contract.job_factories import flow_job, notification_job
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS, QueuePolicy
from filas.doctor.replay_advice import is_of_webhook
from filas.doctor.sentences import cause_of, finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.models.failure_groups import FailureGroup
from filas.models.findings import Finding, Severity, Subject
from filas.queue.operations.queue_diagnosis import QueueDiagnosis
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.failure_groups import FailureGroupRepository
from filas.repository.notifications import NotificationRepository

MAX_NAMED: Final = 10
EXAMINED_ROWS: Final = 200
MANY_FAILURES: Final = 10


async def check_failures(stores: DoctorStores) -> Checked:
    """The executions that failed or timed out recently, by flow and error. Raises StoreUnavailable."""
    now = datetime.now(UTC)
    within_s = stores.settings.failures_within_s
    groups = await FailureGroupRepository(stores.reading).executions(now - timedelta(seconds=within_s), now)
    total = sum(group.count for group in groups)
    return Checked(
        f"{total} failed in the last {within_s / 60:.0f} minutes", [_failing(one) for one in groups[:MAX_NAMED]]
    )


def _failing(group: FailureGroup) -> Finding:
    error = group.error
    if error is not None and error.node_id:
        cause = sentence("doctor.error-at", kind=error.kind, node=error.node_id, reason=error.message[:200])
    else:
        cause = cause_of(error, 200)
    severity: Severity = "critical" if group.count >= 10 * MANY_FAILURES else "warning"
    if is_of_webhook(error):
        remedy = sentence("doctor.flow-failing-webhook-remedy", example=group.example)
    else:
        fingerprint = group.fingerprint or "…"
        remedy = sentence("doctor.flow-failing-remedy", example=group.example, fingerprint=fingerprint)
    executions = sentence("doctor.executions", count=group.count)
    return finding(
        "flow-failing",
        severity,
        Subject(kind="flow", id=group.where),
        sentence("doctor.flow-failing", executions=executions, flow=group.where, cause=cause),
        remedy,
        evidence={
            "count": group.count,
            "fingerprint": group.fingerprint,
            "trend": group.trend,
            "last": group.last.isoformat(),
            "example": str(group.example),
        },
        since=group.first,
    )


async def check_dead_letters(stores: DoctorStores) -> Checked:
    """The dead letters that were not replayed. Those of executions are reported with their flow too. Raises
    StoreUnavailable."""
    within_s = stores.settings.letters_within_s
    count, since = await stores.rows.open_dead_letters(within_s)
    checked = Checked(f"{count} in the last {within_s / 3600:.0f} hours that have not been replayed")
    if count:
        checked.findings.append(
            finding(
                "dead-letters",
                "warning",
                Subject(kind="queue"),
                sentence("doctor.dead-letters", count=count, hours=within_s / 3600),
                sentence("doctor.dead-letters-remedy"),
                evidence={"count": count},
                since=since,
            )
        )
    return checked


async def check_waits(stores: DoctorStores) -> Checked:
    """Executions whose wait is over, and those that wait for something that cannot come. Raises StoreUnavailable."""
    checked = Checked("every wait can end")
    overdue = await stores.rows.overdue_timers(stores.settings.overdue_s)
    if overdue.count:
        checked.findings.append(
            finding(
                "timers-overdue",
                "critical",
                Subject(kind="execution", id=str(overdue.ids[0])),
                sentence("doctor.timers-overdue", number=overdue.count),
                sentence("doctor.timers-overdue-remedy"),
                evidence={"count": overdue.count, "examples": [str(one) for one in overdue.ids[:5]]},
                since=overdue.since,
            )
        )
    for one in await stores.rows.orphans():
        code = "executions-without-flow" if one.no_flow else "executions-without-channel"
        gone: dict[str, Any] = {"version": one.version} if one.no_flow else {"channel": one.channel}
        checked.findings.append(
            finding(
                code,
                "warning",
                Subject(kind="flow", id=one.flow_id),
                sentence(f"doctor.{code}", number=one.count, flow=one.flow_id, **gone),
                sentence(f"doctor.{code}-remedy", example=one.example, **gone),
                evidence={"count": one.count, "example": str(one.example)},
                since=one.since,
            )
        )
    if checked.findings:
        checked.detail = f"{len(checked.findings)} problems"
    return checked


async def check_unqueued(stores: DoctorStores) -> Checked:
    """Accepted work whose row is due and whose job is on no queue. The relay enqueues it within half a minute. Raises
    StoreUnavailable."""
    older_than_s = stores.settings.unfinished_s
    events = await EventRepository(stores.reading).unfinished(older_than_s, EXAMINED_ROWS)
    executions = await ExecutionRepository(stores.reading).unfinished(older_than_s, EXAMINED_ROWS)
    messages = await NotificationRepository(stores.reading).unfinished(older_than_s, EXAMINED_ROWS)
    rows = (
        (WEBHOOKS, "events", {WEBHOOKS.job_id(str(one.id)): str(one.id) for one in events}),
        (FLOWS, "executions", {flow_job(one, "start", None).job_id: str(one.id) for one in executions}),
        (
            NOTIFICATIONS,
            "messages",
            {notification_job(one.id, one.channel_id, one.recipient, None).job_id: str(one.id) for one in messages},
        ),
    )
    checked = Checked("all accepted work is on its queue")
    for policy, noun, jobs in rows:
        missing = await QueueDiagnosis(stores.redis, policy).missing(list(jobs))
        if missing:
            checked.findings.append(_unqueued(policy, noun, [jobs[one] for one in missing], older_than_s))
    if checked.findings:
        checked.detail = "; ".join(one.message for one in checked.findings)
    return checked


def _unqueued(policy: QueuePolicy, noun: str, ids: list[str], older_than_s: float) -> Finding:
    return finding(
        f"{noun}-on-no-queue",
        "critical",
        Subject(kind="queue", id=policy.short),
        sentence(f"doctor.{noun}-on-no-queue", number=len(ids), age_s=older_than_s, queue=policy.name),
        sentence("doctor.on-no-queue-remedy"),
        evidence={"count": len(ids), "examples": ids[:5]},
        repairable=True,
    )
