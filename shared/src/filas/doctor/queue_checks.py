"""Checks a queue: its workers, its oldest job, its leases and its groups."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS, QueuePolicy
from filas.doctor.sentences import Sentence, finding, sentence
from filas.doctor.stores import Checked, DoctorStores
from filas.errors import StoreUnavailable
from filas.models.findings import Finding, Severity, Subject
from filas.queue.operations.newer_version_waiting import read_newer_version_waiting
from filas.queue.operations.queue_diagnosis import QueueDiagnosis
from filas.queue.operations.queue_stats import QueueCounts
from filas.queue.worker_presence import QueueLoad, read_load
from filas.repository.pauses import PauseRepository

WORKERS: Final = {WEBHOOKS.name: "ingest-worker", FLOWS.name: "flow-runner", NOTIFICATIONS.name: "notifier"}
"""The process that works on each queue."""

UNSAVED_LETTERS: Final = 1000
"""So many dead letters in Redis mean that nothing moves them to Postgres."""


async def check_queue(stores: DoctorStores, policy: QueuePolicy) -> Checked:
    """Raises StoreUnavailable."""
    counts = await stores.stats.snapshot(policy)
    load = await read_load(stores.redis, policy)
    diagnosis = QueueDiagnosis(stores.redis, policy)
    worker = WORKERS[policy.name]
    state, paused = await _pause(stores, policy)
    busy = f"{load.workers} {worker}, {100 * load.running / max(load.slots, 1):.0f} % busy"
    checked = Checked(f"{_waiting(counts)}; {state or busy}")
    if paused:
        checked.findings.append(_paused(policy, counts))
    elif not load.workers:
        checked.findings.append(_no_worker(policy, worker, counts))
    elif counts.oldest_waiting_ms / 1000 > stores.settings.oldest_waiting_s:
        checked.findings.append(_late(policy, worker, counts, load))
    checked.findings += await _leases(diagnosis, policy, stores.settings.expired_lease_s)
    checked.findings += await _groups(diagnosis, policy)
    checked.findings += await _newer(stores, policy)
    unsaved = await diagnosis.unsaved_dead_letters()
    if unsaved > UNSAVED_LETTERS:
        checked.findings.append(
            _finding(
                policy,
                "dead-letters-not-saved",
                "critical",
                sentence("doctor.dead-letters-not-saved", number=unsaved, queue=policy.name),
                sentence("doctor.dead-letters-not-saved-remedy", worker=worker),
                evidence={"deadLetters": unsaved},
            )
        )
    return checked


async def _pause(stores: DoctorStores, policy: QueuePolicy) -> tuple[str | None, bool]:
    """What is to be stated about the pause of the queue, and whether it is paused."""
    try:
        is_paused = policy.name in await PauseRepository(stores.reading).all()
    except StoreUnavailable as error:
        return f"whether it is paused is unknown while {error.store} is unavailable", False
    return ("paused" if is_paused else None), is_paused


def _waiting(counts: QueueCounts) -> Sentence:
    waiting = sentence("doctor.jobs-waiting", count=counts.waiting)
    if not counts.waiting:
        return waiting
    return sentence("doctor.waiting-since", jobs=waiting, age_s=counts.oldest_waiting_ms / 1000)


def _paused(policy: QueuePolicy, counts: QueueCounts) -> Finding:
    severity: Severity = "warning" if counts.waiting else "info"
    remedy = sentence("doctor.queue-paused-remedy", short=policy.short)
    evidence = {"waiting": counts.waiting, "oldestWaitingMs": counts.oldest_waiting_ms}
    message = sentence("doctor.queue-paused", queue=policy.name, waiting=_waiting(counts))
    return _finding(policy, "queue-paused", severity, message, remedy, since=_oldest(counts), evidence=evidence)


def _no_worker(policy: QueuePolicy, worker: str, counts: QueueCounts) -> Finding:
    severity: Severity = "critical" if counts.waiting else "warning"
    evidence = {"waiting": counts.waiting, "oldestWaitingMs": counts.oldest_waiting_ms}
    message = sentence("doctor.queue-without-worker", worker=worker, waiting=_waiting(counts), queue=policy.name)
    remedy = sentence("doctor.queue-without-worker-remedy", worker=worker)
    return _finding(policy, "queue-without-worker", severity, message, remedy, since=_oldest(counts), evidence=evidence)


def _late(policy: QueuePolicy, worker: str, counts: QueueCounts, load: QueueLoad) -> Finding:
    share = 100 * load.running / max(load.slots, 1)
    message = sentence(
        "doctor.queue-late",
        waiting=_waiting(counts),
        queue=policy.name,
        workers=load.workers,
        worker=worker,
        share=share,
        cause=sentence("doctor.too-few") if share >= 50 else sentence("doctor.not-busy"),
    )
    evidence = {
        "waiting": counts.waiting,
        "oldestWaitingMs": counts.oldest_waiting_ms,
        "workers": load.workers,
        "running": load.running,
        "slots": load.slots,
    }
    remedy = sentence("doctor.queue-late-remedy")
    return _finding(policy, "queue-late", "warning", message, remedy, since=_oldest(counts), evidence=evidence)


async def _leases(diagnosis: QueueDiagnosis, policy: QueuePolicy, older_than_s: float) -> list[Finding]:
    expired = await diagnosis.expired_leases(older_than_s)
    if not expired.jobs:
        return []
    since = datetime.now(UTC) - timedelta(seconds=expired.longest_s)
    message = sentence("doctor.jobs-without-lease", number=expired.jobs, queue=policy.name)
    remedy = sentence("doctor.jobs-without-lease-remedy", worker=WORKERS[policy.name])
    evidence = {"jobs": expired.jobs, "examples": expired.examples}
    return [_finding(policy, "jobs-without-lease", "critical", message, remedy, since=since, evidence=evidence)]


async def _groups(diagnosis: QueueDiagnosis, policy: QueuePolicy) -> list[Finding]:
    groups = await diagnosis.headless_groups()
    if not groups:
        return []
    message = sentence("doctor.groups-without-head", number=len(groups), queue=policy.name)
    remedy = sentence("doctor.groups-without-head-remedy")
    evidence = {"groups": len(groups), "examples": groups[:5]}
    return [_finding(policy, "groups-without-head", "critical", message, remedy, repairable=True, evidence=evidence)]


async def _newer(stores: DoctorStores, policy: QueuePolicy) -> list[Finding]:
    found = await read_newer_version_waiting(stores.redis, policy)
    if found is None:
        return []
    examples = ", ".join(found.examples)
    message = sentence("doctor.jobs-of-newer-version", number=found.jobs, queue=policy.name, examples=examples)
    remedy = sentence("doctor.jobs-of-newer-version-remedy", worker=WORKERS[policy.name])
    evidence = {"jobs": found.jobs, "examples": found.examples}
    since = datetime.now(UTC) - timedelta(seconds=found.longest_s)
    return [_finding(policy, "jobs-of-newer-version", "warning", message, remedy, since=since, evidence=evidence)]


def _oldest(counts: QueueCounts) -> datetime | None:
    return datetime.now(UTC) - timedelta(milliseconds=counts.oldest_waiting_ms) if counts.waiting else None


def _finding(
    policy: QueuePolicy,
    code: str,
    severity: Severity,
    message: Sentence,
    remedy: Sentence,
    *,
    since: datetime | None = None,
    repairable: bool = False,
    evidence: dict[str, Any],
) -> Finding:
    subject = Subject(kind="queue", id=policy.short)
    return finding(code, severity, subject, message, remedy, evidence=evidence, since=since, repairable=repairable)
