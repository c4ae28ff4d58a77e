"""Answers why one object does not continue: one sentence, with its evidence and its remedy."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from filas.contract import policies
from filas.contract.job_factories import flow_job, notification_job
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.doctor import why_job
from filas.doctor.channel_checks import check_channels
from filas.doctor.replay_advice import is_of_webhook
from filas.doctor.stores import DoctorStores
from filas.models.executions import FAILED_EXECUTION_STATUSES, ExecutionStatus, ExecutionWithSteps
from filas.models.findings import Diagnosis, Subject
from filas.models.record import ErrorDetail
from filas.queue.channel_circuits import ChannelCircuits
from filas.repository.contacts.contact_repository import ContactRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch
from filas.repository.notifications import NotificationRepository

UNFINISHED: Final[tuple[ExecutionStatus, ...]] = (
    "queued",
    "running",
    "waiting-timer",
    "waiting-input",
    "waiting-callback",
    "retrying",
)


async def why_execution(stores: DoctorStores, execution_id: UUID) -> Diagnosis | None:
    """None if there is no such execution. Raises StoreUnavailable."""
    found = await ExecutionRepository(stores.reading).get(execution_id)
    if found is None:
        return None
    subject = Subject(kind="execution", id=str(execution_id))
    if found.resumed_id is not None:
        sentence = f"its message answered the question of execution {found.resumed_id}, and it ran nothing itself"
        return Diagnosis(subject=subject, status=found.status, cause="resumed-another", sentence=sentence)
    if found.ended_at is not None:
        return _ended(subject, found)
    return await _unfinished_execution(stores, subject, found)


def _ended(subject: Subject, found: ExecutionWithSteps) -> Diagnosis:
    """The answer for an execution that ended by itself."""
    if found.status in FAILED_EXECUTION_STATUSES:
        if found.event_id is not None and is_of_webhook(found.error):
            again = f"filas events replay {found.event_id}"
            return _failed(subject, found.status, found.error, found.ended_at, again, cause="the webhook")
        return _failed(subject, found.status, found.error, found.ended_at, f"filas executions replay {found.id}")
    if found.undelivered:
        return _undelivered(subject, found)
    sentence = f"it ended at {_time(found.ended_at)}: {found.status}"
    return Diagnosis(subject=subject, status=found.status, cause="finished", sentence=sentence, since=found.ended_at)


def _undelivered(subject: Subject, found: ExecutionWithSteps) -> Diagnosis:
    """The answer for an execution that ended, although messages of it were not delivered."""
    failed = next((one for one in found.messages if one.status == "failed"), None)
    count = "1 message was" if found.undelivered == 1 else f"{found.undelivered} messages were"
    error = None if failed is None else failed.error
    reason = "" if error is None else f": {error.kind}: {error.message}"
    again = "" if failed is None else f", then POST /api/notifications/{failed.id}/retry"
    return Diagnosis(
        subject=subject,
        status=found.status,
        cause="undelivered",
        sentence=f"it ended at {_time(found.ended_at)}: {found.status}, but {count} not delivered{reason}",
        evidence={"undelivered": found.undelivered, "channel": None if failed is None else failed.channel_id},
        remedy=f"correct the cause{again}",
        since=found.ended_at,
    )


async def _unfinished_execution(stores: DoctorStores, subject: Subject, found: ExecutionWithSteps) -> Diagnosis:
    if await FlowRepository(stores.database).get(found.flow_id, found.version) is None:
        sentence = f"it cannot continue: version {found.version} of the flow {found.flow_id} no longer exists"
        remedy = f"cancel it: `filas executions cancel {found.id}`"
        return Diagnosis(
            subject=subject, status=found.status, cause="flow-gone", sentence=sentence, stuck=True, remedy=remedy
        )
    due = await stores.rows.due_execution(found.id)
    if due is None:
        return Diagnosis(subject=subject, status=found.status, cause="finished", sentence="it has just ended")
    channel = due.channel if found.status == "waiting-input" else None
    if channel is not None and await ChannelRepository(stores.database).get(channel) is None:
        return _without_channel(subject, found, channel)
    waits = _wait(subject, found)
    if waits is not None:
        return waits
    return await why_job.of_row(stores, FLOWS, flow_job(due, "start", None).job_id, subject, found.status)


def _without_channel(subject: Subject, found: ExecutionWithSteps, channel: str) -> Diagnosis:
    return Diagnosis(
        subject=subject,
        status=found.status,
        cause="channel-unknown",
        sentence=f"it waits for a reply that cannot come: the channel {channel} does not exist",
        stuck=True,
        remedy=f"store the channel {channel} again, or cancel it: `filas executions cancel {found.id}`",
        evidence={"channel": channel},
    )


def _wait(subject: Subject, found: ExecutionWithSteps) -> Diagnosis | None:
    """The answer for an execution that waits, unless its wait is over."""
    step = next((one for one in reversed(found.steps) if one.status in ("waiting", "retrying")), None)
    place = f" at the node {step.node_id}" if step is not None else ""
    since = step.started_at if step is not None else found.started_at
    until = found.wake_at
    is_over = until is not None and until <= datetime.now(UTC)
    evidence = {"node": None if step is None else step.node_id, "until": None if until is None else until.isoformat()}
    if is_over:
        if found.status not in ("waiting-timer", "waiting-input", "waiting-callback", "retrying"):
            return None
        sentence = f"its wait{place} was over at {_time(until)}, and no flow-runner has continued it"
        return Diagnosis(
            subject=subject,
            status=found.status,
            cause="timer-overdue",
            sentence=sentence,
            stuck=True,
            remedy="start a flow-runner, or see its log",
            evidence=evidence,
            since=until,
        )
    ends = f", until {_time(until)} at the latest" if until is not None else ""
    sentences = {
        "waiting-input": ("waits-for-reply", f"it waits{place} for a reply since {_time(since)}{ends}"),
        "waiting-timer": ("waits-for-time", f"it waits{place} until {_time(until)}"),
        "waiting-callback": ("waits-for-call", f"it waits{place} since {_time(since)} for a call of its address{ends}"),
        "retrying": (
            "retries",
            f"the node{place.removeprefix(' at the node')} failed and is tried again at {_time(until)}",
        ),
    }
    if found.status not in sentences:
        return None
    cause, sentence = sentences[found.status]
    if found.status == "retrying" and step is not None and step.error is not None:
        sentence += f": {step.error.kind}: {step.error.message[:200]}"
    remedy = "nothing: it continues by itself" if found.status in ("waiting-timer", "retrying") else None
    return Diagnosis(
        subject=subject,
        status=found.status,
        cause=cause,
        sentence=sentence,
        remedy=remedy,
        evidence=evidence,
        since=since,
    )


async def why_event(stores: DoctorStores, event_id: UUID) -> Diagnosis | None:
    """None if there is no such event. Raises StoreUnavailable."""
    event = await EventRepository(stores.reading).get(event_id)
    if event is None:
        return None
    subject = Subject(kind="event", id=str(event_id))
    if event.status == "failed":
        return _failed(subject, event.status, event.error, event.processed_at, f"filas events replay {event_id}")
    if event.status == "ignored":
        sentence = f"it started nothing: {event.reason or 'its body has nothing that starts a flow'}"
        remedy = "docs/reference/webhooks.md, section Ignored events, lists the reasons"
        evidence = {"reason": event.reason}
        return Diagnosis(
            subject=subject, status=event.status, cause="ignored", sentence=sentence, remedy=remedy, evidence=evidence
        )
    if event.status == "processed":
        page = await ExecutionSearch(stores.reading).search(ExecutionFilter(event_id=event_id), limit=1)
        if page.items:
            answer = await why_execution(stores, page.items[0].id)
            if answer is not None:
                sentence = f"it started or resumed execution {answer.subject.id}; {answer.sentence}"
                return Diagnosis(
                    subject=subject,
                    status=event.status,
                    cause=answer.cause,
                    sentence=sentence,
                    stuck=answer.stuck,
                    evidence={"execution": answer.subject.id, **answer.evidence},
                    remedy=answer.remedy,
                    since=answer.since,
                )
        return Diagnosis(subject=subject, status=event.status, cause="finished", sentence="it was processed")
    key = f"{event_id}:replay-{event.replay}" if event.replay else str(event_id)
    return await why_job.of_row(stores, WEBHOOKS, WEBHOOKS.job_id(key), subject, event.status)


async def why_notification(stores: DoctorStores, notification_id: UUID) -> Diagnosis | None:
    """None if there is no such notification. Raises StoreUnavailable."""
    found = await NotificationRepository(stores.reading).get(notification_id)
    if found is None:
        return None
    subject = Subject(kind="notification", id=str(notification_id))
    if found.status == "failed":
        return _failed(subject, found.status, found.error, found.updated_at, None)
    if found.status not in ("queued", "sending", "retrying"):
        sentence = f"it is {found.status} since {_time(found.updated_at)}"
        return Diagnosis(subject=subject, status=found.status, cause="finished", sentence=sentence)
    channel = await why_channel(stores, found.channel_id)
    if channel is None or channel.stuck:
        gone = f"the channel {found.channel_id} does not exist"
        return Diagnosis(
            subject=subject,
            status=found.status,
            cause="channel-unknown" if channel is None else channel.cause,
            sentence=f"it is not sent: {gone if channel is None else channel.sentence}",
            stuck=True,
            evidence={"channel": found.channel_id} if channel is None else channel.evidence,
            remedy=f"store the channel {found.channel_id}" if channel is None else channel.remedy,
        )
    job_id = notification_job(found.id, found.channel_id, found.recipient, None).job_id
    return await why_job.of_row(stores, NOTIFICATIONS, job_id, subject, found.status)


async def why_channel(stores: DoctorStores, channel_id: str) -> Diagnosis | None:
    """None if there is no such channel. Raises StoreUnavailable."""
    if await ChannelRepository(stores.database).get(channel_id) is None:
        return None
    subject = Subject(kind="channel", id=channel_id)
    circuit = await ChannelCircuits(stores.redis).status(channel_id)
    for finding in (await check_channels(stores)).findings:
        if finding.subject.id == channel_id:
            return Diagnosis(
                subject=subject,
                status=circuit.state,
                cause=finding.code,
                sentence=finding.message,
                stuck=finding.code in ("channel-paused", "channel-failing"),
                evidence=finding.evidence,
                remedy=finding.remedy,
                since=finding.since,
            )
    return Diagnosis(subject=subject, status=circuit.state, cause="healthy", sentence="messages are sent over it")


async def why_conversation(stores: DoctorStores, conversation_id: UUID) -> Diagnosis | None:
    """Why the oldest unfinished execution of the conversation does not continue. None if the conversation has no
    executions. Raises StoreUnavailable."""
    search = ExecutionSearch(stores.reading)
    unfinished = ExecutionFilter(conversation_id=conversation_id, statuses=UNFINISHED)
    page = await search.search(unfinished, limit=50)
    subject = Subject(kind="conversation", id=str(conversation_id))
    if not page.items:
        latest = await search.search(ExecutionFilter(conversation_id=conversation_id), limit=1)
        if not latest.items:
            return None
        sentence = f"nothing waits in it; its last execution is {latest.items[0].id}: {latest.items[0].status}"
        return Diagnosis(subject=subject, status="idle", cause="finished", sentence=sentence)
    oldest = page.items[-1]
    answer = await why_execution(stores, oldest.id)
    if answer is None:
        return None
    count = "1 execution has" if len(page.items) == 1 else f"{len(page.items)} executions have"
    return Diagnosis(
        subject=subject,
        status=answer.status,
        cause=answer.cause,
        sentence=f"{count} not ended; the oldest is {oldest.id}: {answer.sentence}",
        stuck=answer.stuck,
        evidence={"executions": len(page.items), "oldest": str(oldest.id), **answer.evidence},
        remedy=answer.remedy,
        since=answer.since,
    )


async def why_job_id(stores: DoctorStores, job_id: str) -> Diagnosis | None:
    """None if no queue has the job. Raises StoreUnavailable."""
    for policy in policies.QUEUES:
        job = await stores.stats.job(policy, job_id)
        if job is not None:
            return await why_job.of_job(stores, policy, job, Subject(kind="job", id=job_id), job.state)
    return None


async def why_any(stores: DoctorStores, name: str) -> Diagnosis | None:
    """The answer for an id whose kind is not known: an id of a row, of a job, or of a channel."""
    try:
        row_id = UUID(name)
    except ValueError:
        return await why_job_id(stores, name) or await why_channel(stores, name)
    for ask in (why_execution, why_event, why_notification, why_conversation, _why_contact):
        answer = await ask(stores, row_id)
        if answer is not None:
            return answer
    return await why_job_id(stores, name)


async def _why_contact(stores: DoctorStores, contact_id: UUID) -> Diagnosis | None:
    contact = await ContactRepository(stores.reading).get(contact_id)
    for conversation in contact.conversations if contact is not None else ():
        answer = await why_conversation(stores, conversation.id)
        if answer is not None:
            return answer
    return None


def _failed(
    subject: Subject,
    status: str,
    error: ErrorDetail | None,
    since: datetime | None,
    command: str | None,
    *,
    cause: str = "the cause",
) -> Diagnosis:
    place = f" at the node {error.node_id}" if error is not None and error.node_id else ""
    reason = f": {error.kind}: {error.message}" if error is not None else ""
    verb = "timed out" if status == "timed-out" else "failed"
    remedy = f"correct {cause}" + (f", then `{command}`" if command else ", then send it again")
    return Diagnosis(
        subject=subject,
        status=status,
        cause="failed",
        sentence=f"it {verb}{place}{reason}",
        evidence={} if error is None else {"kind": error.kind, "node": error.node_id},
        remedy=remedy,
        since=since,
    )


def _time(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
