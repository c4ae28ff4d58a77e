"""Repairs findings of the doctor. Each repair does what a worker would do itself, so it is safe at any time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from filas.contract import policies
from filas.contract.job_factories import flow_job, notification_job
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.models.findings import Finding
from filas.observability.logs import get_logger
from filas.queue.operations.queue_diagnosis import QueueDiagnosis
from filas.queue.producer import EnqueueOutcome
from filas.tracing import spans
from ingest.api.routing.api_context import ApiContext
from ingest.event.event_jobs import job_of_event

log = get_logger(__name__)

MAX_ROWS: Final = 5000
PAGE: Final = 500


class Repair(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was done about one finding; `count` is how many jobs or groups it concerned."""

    code: str
    subject: str
    action: str
    count: int


async def repair_all(context: ApiContext, findings: Sequence[Finding], *, dry_run: bool) -> list[Repair]:
    """Repairs the findings in their order. Raises StoreUnavailable; a second call does the rest."""
    done: list[Repair] = []
    for finding in findings:
        action, apply = _REPAIRS[finding.code]
        count = 0 if dry_run else await apply(context, finding)
        done.append(Repair(code=finding.code, subject=finding.subject.id, action=action, count=count))
        if not dry_run:
            log.info("doctor.repaired", code=finding.code, subject=finding.subject.id, count=count)
    return done


async def _promote_groups(context: ApiContext, finding: Finding) -> int:
    policy = policies.BY_SHORT[finding.subject.id]
    diagnosis = QueueDiagnosis(context.redis, policy)
    return await diagnosis.promote_groups(await diagnosis.headless_groups())


async def _enqueue_events(context: ApiContext, _finding: Finding) -> int:
    count, last = 0, None
    while count < MAX_ROWS:
        events = await context.events.unfinished(context.doctor.unfinished_s, PAGE, last)
        if not events:
            break
        count += await _enqueue(context, [job_of_event(event) for event in events])
        last = events[-1].id
    return count


async def _enqueue_executions(context: ApiContext, _finding: Finding) -> int:
    count, last = 0, None
    while count < MAX_ROWS:
        due = await context.executions.unfinished(context.doctor.unfinished_s, PAGE, last)
        if not due:
            break
        jobs = [flow_job(one, "start", spans.root_traceparent(one.event_id or one.id)) for one in due]
        count += await _enqueue(context, jobs)
        last = due[-1].id
    return count


async def _enqueue_messages(context: ApiContext, _finding: Finding) -> int:
    count, last = 0, None
    while count < MAX_ROWS:
        due = await context.notifications.unfinished(context.doctor.unfinished_s, PAGE, last)
        if not due:
            break
        jobs = [
            notification_job(one.id, one.channel_id, one.recipient, spans.root_traceparent(one.origin_id or one.id))
            for one in due
        ]
        count += await _enqueue(context, jobs)
        last = due[-1].id
    return count


async def _enqueue(context: ApiContext, jobs: Sequence[NewJob]) -> int:
    outcomes = await context.producer.enqueue_many(jobs)
    return list(outcomes).count(EnqueueOutcome.ENQUEUED)


_REPAIRS: Final[dict[str, tuple[str, Callable[[ApiContext, Finding], Awaitable[int]]]]] = {
    "groups-without-head": ("made the next job of each conversation available", _promote_groups),
    "events-on-no-queue": (f"enqueued the events on {WEBHOOKS.name}", _enqueue_events),
    "executions-on-no-queue": (f"enqueued the executions on {FLOWS.name}", _enqueue_executions),
    "messages-on-no-queue": (f"enqueued the messages on {NOTIFICATIONS.name}", _enqueue_messages),
}
