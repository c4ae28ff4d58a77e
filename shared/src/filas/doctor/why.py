"""Answers why one object does not continue: one sentence, with its evidence and its remedy."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from filas.contract import policies
from filas.contract.job_factories import flow_job, notification_job
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.doctor import why_job
from filas.doctor.channel_checks import check_channels
from filas.doctor.replay_advice import is_of_webhook
from filas.doctor.sentences import (
    NOTHING,
    Sentence,
    cause_of,
    diagnosis,
    plain,
    remedy_of,
    sentence,
    sentence_of,
    sentences_of,
)
from filas.doctor.stores import DoctorStores
from filas.models.executions import FAILED_EXECUTION_STATUSES, ExecutionStatus, ExecutionWithSteps, StepRecord
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
WAITING: Final = frozenset(UNFINISHED) - {"queued", "running"}


async def why_execution(stores: DoctorStores, execution_id: UUID) -> Diagnosis | None:
    """None if there is no such execution. Raises StoreUnavailable."""
    found = await ExecutionRepository(stores.reading).get(execution_id)
    if found is None:
        return None
    subject = Subject(kind="execution", id=str(execution_id))
    if found.resumed_id is not None:
        said = sentence("why.resumed-another", execution=found.resumed_id)
        return diagnosis(subject, found.status, "resumed-another", said)
    if found.ended_at is not None:
        return _ended(subject, found)
    return await _unfinished_execution(stores, subject, found)


def _ended(subject: Subject, found: ExecutionWithSteps) -> Diagnosis:
    """The answer for an execution that ended by itself."""
    if found.status in FAILED_EXECUTION_STATUSES:
        if found.event_id is not None and is_of_webhook(found.error):
            again = f"filas events replay {found.event_id}"
            return _failed(subject, found.status, found.error, found.ended_at, again, of_webhook=True)
        return _failed(subject, found.status, found.error, found.ended_at, f"filas executions replay {found.id}")
    if found.undelivered:
        return _undelivered(subject, found)
    said = sentence("why.ended", time=_time(found.ended_at), status=found.status)
    return diagnosis(subject, found.status, "finished", said, since=found.ended_at)


def _undelivered(subject: Subject, found: ExecutionWithSteps) -> Diagnosis:
    """The answer for an execution that ended, although messages of it were not delivered."""
    failed = next((one for one in found.messages if one.status == "failed"), None)
    said = sentence(
        "why.undelivered",
        time=_time(found.ended_at),
        status=found.status,
        count=found.undelivered,
        cause=cause_of(None if failed is None else failed.error),
    )
    remedy = sentence("why.correct-the-cause") if failed is None else sentence("why.undelivered-remedy", id=failed.id)
    evidence = {"undelivered": found.undelivered, "channel": None if failed is None else failed.channel_id}
    return diagnosis(subject, found.status, "undelivered", said, evidence=evidence, remedy=remedy, since=found.ended_at)


async def _unfinished_execution(stores: DoctorStores, subject: Subject, found: ExecutionWithSteps) -> Diagnosis:
    if await FlowRepository(stores.database).get(found.flow_id, found.version) is None:
        said = sentence("why.flow-gone", version=found.version, flow=found.flow_id)
        remedy = sentence("why.cancel-it", id=found.id)
        return diagnosis(subject, found.status, "flow-gone", said, stuck=True, remedy=remedy)
    due = await stores.rows.due_execution(found.id)
    if due is None:
        return diagnosis(subject, found.status, "finished", sentence("why.just-ended"))
    channel = due.channel if found.status == "waiting-input" else None
    if channel is not None and await ChannelRepository(stores.database).get(channel) is None:
        return _without_channel(subject, found, channel)
    waits = await _for_message(stores, subject, found) or _wait(subject, found)
    if waits is not None:
        return waits
    job = await why_job.of_row(stores, FLOWS, flow_job(due, "start", None).job_id, subject, found.status)
    if found.status in WAITING and job.cause == "not-on-queue":
        return _overdue(subject, found, is_stuck=job.stuck or _is_over(found, stores.settings.overdue_s))
    return job


def _without_channel(subject: Subject, found: ExecutionWithSteps, channel: str) -> Diagnosis:
    return diagnosis(
        subject,
        found.status,
        "channel-unknown",
        sentence("why.reply-cannot-come", channel=channel),
        stuck=True,
        remedy=sentence("why.store-channel-or-cancel", channel=channel, id=found.id),
        evidence={"channel": channel},
    )


async def _for_message(stores: DoctorStores, subject: Subject, found: ExecutionWithSteps) -> Diagnosis | None:
    """The answer for an execution that waits for the outcome of its message: why the message has none."""
    if found.status != "waiting-callback" or _is_over(found):
        return None
    message = await stores.rows.awaited_message(found.id)
    answer = None if message is None else await why_notification(stores, message)
    if answer is None:
        return None
    step, place = _waiting_step(found)
    return diagnosis(
        subject,
        found.status,
        "waits-for-message",
        sentence("why.waits-for-message", place=place, message=message, sentence=sentence_of(answer)),
        stuck=answer.stuck,
        remedy=remedy_of(answer),
        evidence={"message": str(message), **_evidence(found)},
        since=step.started_at if step is not None else found.started_at,
    )


def _wait(subject: Subject, found: ExecutionWithSteps) -> Diagnosis | None:
    """The answer for an execution that waits, unless its wait is over."""
    if _is_over(found):
        return None
    step, place = _waiting_step(found)
    since = step.started_at if step is not None else found.started_at
    until = found.wake_at
    ends = NOTHING if until is None else sentence("why.until-latest", time=_time(until))
    if found.status == "waiting-input":
        cause, said = "waits-for-reply", sentence("why.waits-for-reply", place=place, since=_time(since), ends=ends)
    elif found.status == "waiting-timer":
        cause, said = "waits-for-time", sentence("why.waits-for-time", place=place, time=_time(until))
    elif found.status == "waiting-callback":
        cause, said = "waits-for-call", sentence("why.waits-for-call", place=place, since=_time(since), ends=ends)
    elif found.status == "retrying":
        node = "" if step is None else f" {step.node_id}"
        reason = cause_of(None if step is None else step.error, 200)
        cause, said = "retries", sentence("why.retries", node=node, time=_time(until), cause=reason)
    else:
        return None
    remedy = sentence("why.continues-by-itself") if found.status in ("waiting-timer", "retrying") else None
    return diagnosis(subject, found.status, cause, said, remedy=remedy, evidence=_evidence(found), since=since)


def _overdue(subject: Subject, found: ExecutionWithSteps, *, is_stuck: bool) -> Diagnosis:
    """The answer for an execution whose wait is over, and which has no job yet: a flow-runner enqueues it soon."""
    _, place = _waiting_step(found)
    return diagnosis(
        subject,
        found.status,
        "timer-overdue",
        sentence("why.timer-overdue", place=place, time=_time(found.wake_at)),
        stuck=is_stuck,
        remedy=sentence("why.timer-overdue-remedy" if is_stuck else "why.continues-by-itself"),
        evidence=_evidence(found),
        since=found.wake_at,
    )


def _is_over(found: ExecutionWithSteps, by_s: float = 0.0) -> bool:
    """Whether the wait of an execution ended at least `by_s` seconds ago."""
    return found.wake_at is not None and found.wake_at + timedelta(seconds=by_s) <= datetime.now(UTC)


def _waiting_step(found: ExecutionWithSteps) -> tuple[StepRecord | None, Sentence]:
    """The step that waits, and the words for its node."""
    step = next((one for one in reversed(found.steps) if one.status in ("waiting", "retrying")), None)
    return step, NOTHING if step is None else sentence("why.at-node", node=step.node_id)


def _evidence(found: ExecutionWithSteps) -> dict[str, str | None]:
    step, _ = _waiting_step(found)
    until = None if found.wake_at is None else found.wake_at.isoformat()
    return {"node": None if step is None else step.node_id, "until": until}


async def why_event(stores: DoctorStores, event_id: UUID) -> Diagnosis | None:
    """None if there is no such event. Raises StoreUnavailable."""
    event = await EventRepository(stores.reading).get(event_id)
    if event is None:
        return None
    subject = Subject(kind="event", id=str(event_id))
    if event.status == "failed":
        return _failed(subject, event.status, event.error, event.processed_at, f"filas events replay {event_id}")
    if event.status == "ignored":
        said = sentence("why.ignored", reason=event.reason or sentence("why.ignored-body"))
        remedy = sentence("why.ignored-remedy")
        return diagnosis(subject, event.status, "ignored", said, remedy=remedy, evidence={"reason": event.reason})
    if event.status == "processed":
        page = await ExecutionSearch(stores.reading).search(ExecutionFilter(event_id=event_id), limit=1)
        if page.items:
            answer = await why_execution(stores, page.items[0].id)
            if answer is not None:
                return diagnosis(
                    subject,
                    event.status,
                    answer.cause,
                    sentence("why.of-execution", execution=answer.subject.id, sentence=sentence_of(answer)),
                    stuck=answer.stuck,
                    evidence={"execution": answer.subject.id, **answer.evidence},
                    remedy=remedy_of(answer),
                    since=answer.since,
                )
        return diagnosis(subject, event.status, "finished", sentence("why.processed"))
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
        said = sentence("why.message-since", status=found.status, time=_time(found.updated_at))
        return diagnosis(subject, found.status, "finished", said)
    channel = await why_channel(stores, found.channel_id)
    if channel is None or channel.stuck:
        if channel is None:
            cause, remedy = "channel-unknown", sentence("why.store-channel", channel=found.channel_id)
            said = sentence("why.not-sent", sentence=sentence("why.no-channel", channel=found.channel_id))
            evidence = {"channel": found.channel_id}
            return diagnosis(subject, found.status, cause, said, stuck=True, evidence=evidence, remedy=remedy)
        return diagnosis(
            subject,
            found.status,
            channel.cause,
            sentence("why.not-sent", sentence=sentence_of(channel)),
            stuck=True,
            evidence=channel.evidence,
            remedy=remedy_of(channel),
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
            said, remedy = sentences_of(finding)
            return diagnosis(
                subject,
                circuit.state,
                finding.code,
                said,
                stuck=finding.code in ("channel-paused", "channel-failing"),
                evidence=finding.evidence,
                remedy=remedy,
                since=finding.since,
            )
    return diagnosis(subject, circuit.state, "healthy", sentence("why.channel-healthy"))


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
        said = sentence("why.idle", execution=latest.items[0].id, status=latest.items[0].status)
        return diagnosis(subject, "idle", "finished", said)
    oldest = page.items[-1]
    answer = await why_execution(stores, oldest.id)
    if answer is None:
        return None
    return diagnosis(
        subject,
        answer.status,
        answer.cause,
        sentence("why.of-conversation", count=len(page.items), execution=oldest.id, sentence=sentence_of(answer)),
        stuck=answer.stuck,
        evidence={"executions": len(page.items), "oldest": str(oldest.id), **answer.evidence},
        remedy=remedy_of(answer),
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
    of_webhook: bool = False,
) -> Diagnosis:
    place = NOTHING
    if error is not None and error.node_id:
        place = sentence("why.at-node", node=error.node_id)
    verb = "why.timed-out" if status == "timed-out" else "why.failed"
    if command is None:
        remedy = sentence("why.correct-and-send")
    else:
        remedy = sentence("why.correct-webhook-and-run" if of_webhook else "why.correct-and-run", command=command)
    evidence = {} if error is None else {"kind": error.kind, "node": error.node_id}
    said = sentence(verb, place=place, cause=cause_of(error))
    return diagnosis(subject, status, "failed", said, evidence=evidence, remedy=remedy, since=since)


def _time(moment: datetime | None) -> Sentence:
    if moment is None:
        return sentence("why.unknown-time")
    return plain(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
