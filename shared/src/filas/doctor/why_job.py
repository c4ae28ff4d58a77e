"""Answers why a job does not run: its queue, its workers, the jobs of its group before it, and its own retries."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from filas.contract.policies import QueuePolicy
from filas.doctor.queue_checks import WORKERS
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
    sentence = f"its job is not in {policy.name}; the relay of {WORKERS[policy.name]} enqueues it within half a minute"
    load = await read_load(stores.redis, policy)
    if not load.workers:
        sentence = f"its job is not in {policy.name}, and no {WORKERS[policy.name]} is running"
    return Diagnosis(
        subject=subject,
        status=status,
        cause="not-on-queue",
        sentence=sentence,
        stuck=not load.workers,
        remedy=f"start a {WORKERS[policy.name]}" if not load.workers else "`filas doctor --repair` enqueues it now",
        evidence={"job": job_id, "queue": policy.short},
    )


async def of_job(stores: DoctorStores, policy: QueuePolicy, job: JobInfo, subject: Subject, status: str) -> Diagnosis:
    """Why this job does not run. Raises StoreUnavailable."""
    answer = _at_rest(policy, job)
    if answer is None:
        load = await read_load(stores.redis, policy)
        answer = await _blocked(stores, policy, load) or await _behind(stores, policy, job) or _next(policy, job, load)
    return Diagnosis(
        subject=subject,
        status=status,
        cause=answer.cause,
        sentence=answer.sentence,
        stuck=answer.stuck,
        remedy=answer.remedy,
        evidence={"job": job.id, "queue": policy.short, "attempts": job.attempts_made, **answer.evidence},
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    cause: str
    sentence: str
    stuck: bool = False
    remedy: str | None = None
    evidence: dict[str, object] = field(default_factory=dict)


def _at_rest(policy: QueuePolicy, job: JobInfo) -> _Answer | None:
    """The answer for a job that runs or has ended."""
    if job.state in ("completed", "failed"):
        return _Answer("finished", f"the job has ended: {job.state}")
    if job.state == "active":
        began = _clock(job.processed_on)
        return _Answer("running", f"a {WORKERS[policy.name]} works on it since {began} (attempt {job.attempts_made})")
    return None


async def _blocked(stores: DoctorStores, policy: QueuePolicy, load: QueueLoad) -> _Answer | None:
    """The answer if no job of the queue runs."""
    if policy.name in await PauseRepository(stores.reading).all():
        remedy = f"`filas queues resume {policy.short}`"
        return _Answer("queue-paused", f"the queue {policy.name} is paused", stuck=True, remedy=remedy)
    worker = WORKERS[policy.name]
    if not load.workers:
        return _Answer("no-worker", f"no {worker} is running", stuck=True, remedy=f"start a {worker}")
    return None


async def _behind(stores: DoctorStores, policy: QueuePolicy, job: JobInfo) -> _Answer | None:
    """The answer if other jobs of the job's group come first."""
    if job.group is None:
        return None
    position = await QueueDiagnosis(stores.redis, policy).position(job.id, job.group)
    if position.head is None or position.head == job.id:
        return None
    head = await stores.stats.job(policy, position.head)
    count = "1 job" if position.ahead == 1 else f"{position.ahead} jobs"
    count += " of its conversation " + ("comes" if position.ahead == 1 else "come")
    evidence: dict[str, object] = {"ahead": position.ahead, "head": position.head}
    if head is None:
        remedy = "`filas doctor --repair` makes the next one available"
        return _Answer("group-without-head", f"{count} first, and the first is gone", True, remedy, evidence)
    return _Answer("behind-others", f"{count} first; the first {_state(head)}", evidence=evidence)


def _next(policy: QueuePolicy, job: JobInfo, load: QueueLoad) -> _Answer:
    """The answer for a job that runs as soon as it is due and a worker is free."""
    if job.state == "delayed":
        reason = f" after {job.error}" if job.error else ""
        verb = "is tried again" if job.attempts_made else "is due"
        return _Answer("delayed", f"it {verb} at {_clock(job.due_on)}{reason}", remedy="nothing: it runs by itself")
    share = 100 * load.running / max(load.slots, 1)
    worker = WORKERS[policy.name]
    running = "1 is running" if load.workers == 1 else f"{load.workers} are running"
    return _Answer("waiting", f"it waits for a free {worker}; {running}, {share:.0f} % busy")


def _state(head: JobInfo) -> str:
    if head.state == "active":
        return f"is running since {_clock(head.processed_on)}"
    if head.state == "delayed" and head.attempts_made:
        reason = f" ({head.error})" if head.error else ""
        return f"is retrying{reason}, at {_clock(head.due_on)}"
    return f"is due at {_clock(head.due_on)}" if head.state == "delayed" else "waits for a worker"


def _clock(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "an unknown time"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
