"""Builds a timeline from the rows of an event or an execution."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from filas.models.dead_letters import JobState
from filas.models.record import ErrorDetail
from filas.models.timelines import (
    NotStored,
    Timeline,
    TimelineEntry,
    TimelineEvent,
    TimelineExecution,
    TimelineLetter,
    TimelineRows,
    TimelineStep,
)
from filas.queue.operations.queue_stats import JobInfo
from ingest.api.history.timeline_messages import message_entries

WAITING_NODES: Final = {"delay": "for a time", "input": "for a reply", "webhook": "for a call"}
"""The node types that wait. The first visit of a webhook node in an execution is its trigger and does not wait."""

SHOWN_GAP: Final = timedelta(milliseconds=100)
"""The shortest time between two steps that is an entry."""

MAX_ENTRIES: Final = 2000


def build(rows: TimelineRows, jobs: Sequence[JobInfo] | None) -> Timeline:
    """Returns the timeline. `jobs` are those that the queues still have; None if Redis is unavailable."""
    steps: defaultdict[UUID, list[TimelineStep]] = defaultdict(list)
    for step in rows.steps:
        steps[step.execution_id].append(step)
    entries = [
        *_received(rows.event),
        *(entry for execution in rows.executions for entry in _execution(execution, steps[execution.id])),
        *_replies(rows),
        *message_entries(rows),
        *(entry for letter in rows.letters for entry in _letter(letter)),
        *_jobs(rows, jobs or ()),
        *_pauses(rows),
    ]
    resumed = {one.id: one.from_reply for one in rows.executions if one.from_reply is not None}
    entries = [one for one in entries if one.execution_id not in resumed or one.at >= resumed[one.execution_id]]
    entries.sort(key=lambda entry: entry.at)
    return Timeline(
        entries=entries[:MAX_ENTRIES],
        truncated=rows.truncated or len(entries) > MAX_ENTRIES,
        not_stored=_not_stored(rows, jobs),
    )


def _received(event: TimelineEvent | None) -> Iterator[TimelineEntry]:
    if event is None:
        return
    what = f"the webhook {event.webhook_id} received {event.method}, {event.size} bytes"
    yield TimelineEntry(at=event.received_at, kind="received", what=what, event_id=event.id)
    if event.first_duplicate_at is not None:
        yield TimelineEntry(
            at=event.first_duplicate_at,
            kind="duplicates",
            what=f"{event.duplicates} duplicates of it were received and dropped",
            until=event.last_duplicate_at,
            count=event.duplicates,
            event_id=event.id,
        )
    if event.processed_at is None:
        return
    words = {
        "processed": "it was processed: its executions exist",
        "ignored": f"it was ignored: {event.reason or 'nothing in its body starts a flow'}",
        "failed": "its job failed for good",
    }
    yield TimelineEntry(
        at=event.processed_at,
        kind="processed",
        what=words.get(event.status, "it was processed"),
        status=event.status,
        error=event.error,
        event_id=event.id,
    )


def _execution(execution: TimelineExecution, steps: Sequence[TimelineStep]) -> Iterator[TimelineEntry]:
    common: dict[str, Any] = {
        "execution_id": execution.id,
        "event_id": execution.event_id,
        "flow_id": execution.flow_id,
    }
    again = "" if execution.replay_of is None else f", a replay of {execution.replay_of},"
    begun = execution.started_at
    yield TimelineEntry(
        at=execution.queued_at,
        kind="execution-wait",
        what=f"the execution of {execution.flow_id} version {execution.version}{again} waited for a flow-runner",
        until=begun,
        open=begun is None and execution.ended_at is None,
        **common,
    )
    before = None
    for step in steps:
        if before is not None and step.started_at - before >= SHOWN_GAP:
            what = "it waited for a flow-runner to continue it"
            yield TimelineEntry(at=before, kind="turn-wait", what=what, until=step.started_at, **common)
        yield _step(execution, step, common)
        before = step.ended_at
    if execution.ended_at is not None:
        yield TimelineEntry(
            at=execution.ended_at,
            kind="execution-end",
            what=f"the execution ended: {execution.status}",
            status=execution.status,
            error=execution.error,
            **common,
        )


def _step(execution: TimelineExecution, step: TimelineStep, common: dict[str, Any]) -> TimelineEntry:
    waits = step.type in WAITING_NODES and not (step.type == "webhook" and step.seq == 1)
    kind_of_wait = WAITING_NODES.get(step.type, "for the outcome of its message")
    if waits or step.status == "waiting":
        what = f"the node {step.node_id} waited {kind_of_wait}"
    else:
        what = f"the node {step.node_id} ({step.type}) ran"
    if step.handle is not None and step.ended_at is not None:
        what += f" and continued at {step.handle}"
    is_open = step.ended_at is None and execution.ended_at is None
    return TimelineEntry(
        at=step.started_at,
        kind="wait" if waits or step.status == "waiting" else "step",
        what=what,
        until=execution.wake_at if is_open else step.ended_at,
        open=is_open,
        status=step.status,
        attempt=step.attempt,
        error=step.error,
        seq=step.seq,
        node_id=step.node_id,
        node_type=step.type,
        **common,
    )


def _replies(rows: TimelineRows) -> Iterator[TimelineEntry]:
    for one in rows.replies:
        is_call = one.event_id is None
        yield TimelineEntry(
            at=one.at,
            kind="call" if is_call else "reply",
            what="its address was called" if is_call else "the contact replied",
            execution_id=one.execution_id,
            event_id=one.event_id,
        )


def _letter(letter: TimelineLetter) -> Iterator[TimelineEntry]:
    since = letter.enqueued_at
    for tried in letter.history:
        started, failed = _moment(tried.get("startedAt")), _moment(tried.get("failedAt"))
        if started is None or failed is None:
            continue
        if since is not None:
            yield _job_wait(letter.queue, letter.job_id, since, started)
        yield TimelineEntry(
            at=started,
            kind="job-run",
            what=f"the job on {letter.queue} failed in attempt {tried.get('attempt')}",
            until=failed,
            status="failed",
            attempt=tried.get("attempt"),
            error=_error(tried.get("error")),
            job_id=letter.job_id,
        )
        since = failed
    again = "" if letter.replayed_at is None else ", and was replayed"
    yield TimelineEntry(
        at=letter.failed_at,
        kind="dead-letter",
        what=f"the job on {letter.queue} became a dead letter after {letter.attempts} attempts{again}",
        until=letter.replayed_at,
        error=letter.error,
        dead_letter_id=letter.id,
        job_id=letter.job_id,
    )


def _jobs(rows: TimelineRows, jobs: Sequence[JobInfo]) -> Iterator[TimelineEntry]:
    known = {letter.job_id for letter in rows.letters}
    for job in jobs:
        if job.id in known:
            continue
        queue = job.id.partition("}")[0].lstrip("{")
        enqueued, claimed, ended = (_moment(one) for one in (job.enqueued_on, job.processed_on, job.finished_on))
        if enqueued is not None:
            state: JobState = job.state
            is_open = claimed is None and state in ("waiting", "delayed")
            until = _moment(job.due_on) if is_open else claimed
            yield _job_wait(queue, job.id, enqueued, until, is_open=is_open)
        if claimed is not None:
            yield TimelineEntry(
                at=claimed,
                kind="job-run",
                what=f"the job on {queue} ran, attempt {job.attempts_made}",
                until=ended,
                open=job.state == "active",
                status=job.state,
                attempt=job.attempts_made,
                error=_error(job.error),
                job_id=job.id,
            )


def _job_wait(
    queue: str, job_id: str, since: datetime, until: datetime | None, *, is_open: bool = False
) -> TimelineEntry:
    verb = "waits" if is_open else "waited"
    what = f"the job {verb} on {queue}"
    return TimelineEntry(at=since, kind="job-wait", what=what, until=until, open=is_open, job_id=job_id)


def _pauses(rows: TimelineRows) -> Iterator[TimelineEntry]:
    for one in rows.pauses:
        yield TimelineEntry(
            at=one.since,
            kind="channel-pause",
            what=f"the channel {one.channel_id} was paused",
            until=one.until,
            open=one.until is None,
            channel_id=one.channel_id,
        )


def _not_stored(rows: TimelineRows, jobs: Sequence[JobInfo] | None) -> list[NotStored]:
    found: list[NotStored] = []
    if jobs is None or not jobs:
        found.append("jobs")
    if any(step.attempt > 1 for step in rows.steps):
        found.append("step-attempts")
    if any(one.status == "read" and one.delivered_at is None for one in rows.messages):
        found.append("receipt-times")
    if rows.event is not None and (rows.event.duplicates or 0) > 2:
        found.append("duplicate-times")
    if rows.messages:
        found.append("short-pauses")
    return found


def _error(value: Any) -> ErrorDetail | None:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return None
    return ErrorDetail(kind=value["kind"], message=str(value.get("message", "")), node_id=value.get("nodeId"))


def _moment(unix_ms: Any) -> datetime | None:
    """The time of a number of ms since 1970; None for anything else."""
    if not isinstance(unix_ms, int) or not 0 < unix_ms < 10**14:
        return None
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def job_ids(rows: TimelineRows) -> Iterable[tuple[str, str]]:
    """The short queue names and keys of the jobs that the queues may still have."""
    if rows.event is not None:
        replay = f":replay-{rows.event.replay}" if rows.event.replay else ""
        yield "webhook", f"{rows.event.id}{replay}"
    for one in rows.executions:
        yield "flow", f"{one.id}:{one.turn}"
    for message in rows.messages:
        if message.status in ("queued", "sending", "retrying"):
            yield "notification", str(message.id)
