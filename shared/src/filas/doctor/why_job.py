"""Answers why a job does not run: its queue, its workers, the jobs of its group before it, and its own retries."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from filas.contract.policies import QueuePolicy
from filas.doctor.queue_checks import WORKERS
from filas.doctor.sentences import NOTHING, Sentence, diagnosis, plain, sentence
from filas.doctor.stores import DoctorStores
from filas.models.findings import Diagnosis, Subject
from filas.queue.operations.queue_diagnosis import QueueDiagnosis
from filas.queue.operations.queue_stats import JobInfo
from filas.queue.worker_presence import QueueLoad, read_load
from filas.repository.pauses import PauseRepository

MAX_REPLAYS: Final = 3
"""How many replays of a job are looked up."""


async def of_row(stores: DoctorStores, policy: QueuePolicy, job_id: str, subject: Subject, status: str) -> Diagnosis:
    """Why a row that needs a job does not continue. Raises StoreUnavailable."""
    for key in (job_id, *(f"{job_id}:replay-{number}" for number in range(1, MAX_REPLAYS + 1))):
        job = await stores.stats.job(policy, key)
        if job is not None and job.state not in ("completed", "failed"):
            return await of_job(stores, policy, job, subject, status)
    worker = WORKERS[policy.name]
    load = await read_load(stores.redis, policy)
    if load.workers:
        said = sentence("why.relay-enqueues", queue=policy.name, worker=worker)
        remedy = sentence("why.relay-enqueues-remedy")
    else:
        said = sentence("why.no-relay", queue=policy.name, worker=worker)
        remedy = sentence("why.start-worker", worker=worker)
    evidence = {"job": job_id, "queue": policy.short}
    return diagnosis(subject, status, "not-on-queue", said, stuck=not load.workers, remedy=remedy, evidence=evidence)


async def of_job(stores: DoctorStores, policy: QueuePolicy, job: JobInfo, subject: Subject, status: str) -> Diagnosis:
    """Why this job does not run. Raises StoreUnavailable."""
    answer = _at_rest(policy, job)
    if answer is None:
        load = await read_load(stores.redis, policy)
        answer = await _blocked(stores, policy, load) or await _behind(stores, policy, job) or _next(policy, job, load)
    return diagnosis(
        subject,
        status,
        answer.cause,
        answer.said,
        stuck=answer.stuck,
        remedy=answer.remedy,
        evidence={"job": job.id, "queue": policy.short, "attempts": job.attempts_made, **answer.evidence},
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    cause: str
    said: Sentence
    stuck: bool = False
    remedy: Sentence | None = None
    evidence: dict[str, object] = field(default_factory=dict)


def _at_rest(policy: QueuePolicy, job: JobInfo) -> _Answer | None:
    """The answer for a job that runs or has ended."""
    if job.state in ("completed", "failed"):
        return _Answer("finished", sentence("why.job-ended", state=job.state))
    if job.state == "active":
        began = _clock(job.processed_on)
        worker = WORKERS[policy.name]
        return _Answer("running", sentence("why.job-running", worker=worker, time=began, attempt=job.attempts_made))
    return None


async def _blocked(stores: DoctorStores, policy: QueuePolicy, load: QueueLoad) -> _Answer | None:
    """The answer if no job of the queue runs."""
    if policy.name in await PauseRepository(stores.reading).all():
        remedy = sentence("why.queue-paused-remedy", short=policy.short)
        return _Answer("queue-paused", sentence("why.queue-paused", queue=policy.name), stuck=True, remedy=remedy)
    worker = WORKERS[policy.name]
    if not load.workers:
        remedy = sentence("why.start-worker", worker=worker)
        return _Answer("no-worker", sentence("why.no-worker", worker=worker), stuck=True, remedy=remedy)
    return None


async def _behind(stores: DoctorStores, policy: QueuePolicy, job: JobInfo) -> _Answer | None:
    """The answer if other jobs of the job's group come first."""
    if job.group is None:
        return None
    position = await QueueDiagnosis(stores.redis, policy).position(job.id, job.group)
    if position.head is None or position.head == job.id:
        return None
    head = await stores.stats.job(policy, position.head)
    evidence: dict[str, object] = {"ahead": position.ahead, "head": position.head}
    if head is None:
        said = sentence("why.head-gone", count=position.ahead)
        return _Answer("group-without-head", said, True, sentence("why.head-gone-remedy"), evidence)
    said = sentence("why.behind-others", count=position.ahead, state=_state(head))
    return _Answer("behind-others", said, evidence=evidence)


def _next(policy: QueuePolicy, job: JobInfo, load: QueueLoad) -> _Answer:
    """The answer for a job that runs as soon as it is due and a worker is free."""
    if job.state == "delayed":
        cause = sentence("why.after-error", reason=job.error) if job.error else NOTHING
        verb = "why.tried-again" if job.attempts_made else "why.due-at"
        said = sentence(verb, time=_clock(job.due_on), cause=cause)
        return _Answer("delayed", said, remedy=sentence("why.runs-by-itself"))
    share = 100 * load.running / max(load.slots, 1)
    worker = WORKERS[policy.name]
    return _Answer("waiting", sentence("why.waits-for-worker", worker=worker, count=load.workers, share=share))


def _state(head: JobInfo) -> Sentence:
    if head.state == "active":
        return sentence("why.head-running", time=_clock(head.processed_on))
    if head.state == "delayed" and head.attempts_made:
        cause = sentence("why.in-brackets", reason=head.error) if head.error else NOTHING
        return sentence("why.head-retrying", cause=cause, time=_clock(head.due_on))
    if head.state == "delayed":
        return sentence("why.head-delayed", time=_clock(head.due_on))
    return sentence("why.head-waiting")


def _clock(milliseconds: int | None) -> Sentence:
    if milliseconds is None:
        return sentence("why.unknown-time")
    return plain(f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC")
