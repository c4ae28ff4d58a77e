"""One step of a replay run: replays the next rows that match. One function for each kind of row."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from filas.contract.identity import derived_id
from filas.contract.job_factories import flow_job
from filas.contract.new_job import NewJob
from filas.errors import Conflict, StoreUnavailable
from filas.models.dead_letters import DeadLetter
from filas.models.replay_runs import (
    ClaimedReplayRun,
    RefusedRow,
    ReplayDefinition,
    ReplayKind,
    ReplayProgress,
    ReplayRun,
)
from filas.observability.logs import get_logger
from filas.queue.producer import EnqueueOutcome
from filas.repository.event_filter import EventFilter
from filas.repository.executions.execution_search import ExecutionFilter
from filas.tracing import spans
from ingest.api.history.event_replays import at_present, enqueue_replay
from ingest.api.history.redrive import JOB_REFUSED, NotReplayable, WebhooksReadOnce, enqueue_replays, replay_job
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import ApiProblem

log = get_logger(__name__)

Step = Callable[[ApiContext, ClaimedReplayRun, int], Awaitable[ReplayProgress | None]]
"""Replays up to so many rows. None if no further row matches. Raises StoreUnavailable."""


async def count_matching(context: ApiContext, definition: ReplayDefinition) -> int:
    """Returns how many rows match, up to the limit. Raises StoreUnavailable."""
    if definition.kind == "dead-letters":
        return await context.history.dead_letters.count_replayable(
            queue=definition.queue,
            fingerprint=definition.fingerprint,
            since=definition.since,
            until=definition.until,
            limit=definition.limit,
        )
    if definition.kind == "executions":
        return await context.history.execution_search.count_replayable(executions_of(definition), definition.limit)
    return await context.history.events.count_replayable(events_of(definition), definition.limit)


def executions_of(definition: ReplayDefinition) -> ExecutionFilter:
    """The executions that a definition selects."""
    return ExecutionFilter(
        flow_id=definition.flow_id,
        error=definition.error,
        contact=definition.contact,
        since=definition.since,
        until=definition.until,
    )


def events_of(definition: ReplayDefinition) -> EventFilter:
    """The events that a definition selects."""
    return EventFilter(
        webhook_id=definition.webhook_id,
        status=definition.status,
        reason=definition.reason,
        words=(definition.text or "").split(),
        contact=definition.contact,
        since=definition.since,
        until=definition.until,
        first_run_only=definition.status == "processed" and not definition.again,
    )


def _of_its_start(run: ReplayRun) -> ReplayDefinition:
    """The definition without rows that are younger than the run. What it replays and fails again is such a row, and
    would otherwise be replayed again and again, up to the limit."""
    until = run.definition.until
    return structs.replace(run.definition, until=run.started_at if until is None else min(until, run.started_at))


async def _dead_letters(context: ApiContext, claimed: ClaimedReplayRun, limit: int) -> ReplayProgress | None:
    definition, webhooks = _of_its_start(claimed.run), WebhooksReadOnce(context.webhooks)
    page = await context.dead_letters.replayable(
        queue=definition.queue,
        fingerprint=definition.fingerprint,
        since=definition.since,
        until=definition.until,
        position=_position(claimed),
        limit=limit,
    )
    if not page:
        return None
    replays: list[tuple[DeadLetter, NewJob]] = []
    refused: list[RefusedRow] = []
    for letter in page:
        try:
            replays.append((letter, await replay_job(letter, webhooks)))
        except NotReplayable as error:
            refused.append(RefusedRow(id=letter.id, reason=str(error)))
    outcomes = await enqueue_replays(context, replays, claimed.run.id) if replays else []
    for (letter, _), outcome in zip(replays, outcomes, strict=True):
        if outcome is EnqueueOutcome.REFUSED:
            refused.append(RefusedRow(id=letter.id, reason=JOB_REFUSED))
    return ReplayProgress(
        handled=len(page),
        replayed=len(page) - len(refused),
        refused=refused,
        position_at=page[-1].failed_at,
        position_id=page[-1].id,
    )


async def _executions(context: ApiContext, claimed: ClaimedReplayRun, limit: int) -> ReplayProgress | None:
    definition = _of_its_start(claimed.run)
    page = await context.history.execution_search.replayable(
        executions_of(definition), limit=limit, position=_position(claimed)
    )
    if not page:
        return None
    jobs: list[NewJob] = []
    refused: list[RefusedRow] = []
    for execution in page:
        try:
            due = await context.executions.replay(
                execution.id,
                derived_id("replay-of-many", str(execution.id)),
                from_failure=definition.begin == "failed-step",
                newest=definition.version == "newest",
                run=claimed.run.id,
            )
        except Conflict as error:
            refused.append(RefusedRow(id=execution.id, reason=str(error)))
            continue
        if due is not None:
            jobs.append(flow_job(due, "start", spans.root_traceparent(due.event_id or due.id)))
    try:
        await context.producer.enqueue_many(jobs)
    except StoreUnavailable as error:
        # The relay of the flow-runner enqueues the jobs of the stored rows.
        log.warning("replay.left_to_relay", executions=len(jobs), store=error.store, reason=error.reason)
    return ReplayProgress(
        handled=len(page),
        replayed=len(jobs),
        refused=refused,
        position_at=page[-1].queued_at,
        position_id=page[-1].id,
    )


async def _events(context: ApiContext, claimed: ClaimedReplayRun, limit: int) -> ReplayProgress | None:
    webhooks = WebhooksReadOnce(context.webhooks)
    page = await context.events.replayable(events_of(claimed.run.definition), None, limit, position=_position(claimed))
    if not page:
        return None
    replayed, refused = 0, list[RefusedRow]()
    for event in page:
        reopened = await context.events.reopen(await at_present(event, webhooks), claimed.run.id)
        if reopened is None:
            continue
        try:
            await enqueue_replay(context, reopened, run=claimed.run.id)
            replayed += 1
        except ApiProblem as problem:
            refused.append(RefusedRow(id=event.id, reason=problem.detail))
    return ReplayProgress(
        handled=len(page),
        replayed=replayed,
        refused=refused,
        position_at=page[-1].received_at,
        position_id=page[-1].id,
    )


def _position(claimed: ClaimedReplayRun) -> tuple[datetime, UUID] | None:
    if claimed.position_at is None or claimed.position_id is None:
        return None
    return claimed.position_at, claimed.position_id


STEPS: Final[dict[ReplayKind, Step]] = {"dead-letters": _dead_letters, "executions": _executions, "events": _events}
