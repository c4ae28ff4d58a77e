"""The routes of executions: search, show with every step, cancel, replay."""

from typing import Any, Final, cast, get_args
from uuid import UUID

import msgspec

from filas.contract.identity import conversation_id, derived_id, new_id
from filas.contract.job_factories import cancel_execution_job, flow_job
from filas.contract.jobs import WebhookJob
from filas.errors import Conflict, PermanentError, StoreUnavailable
from filas.models.executions import (
    FINAL_EXECUTION_STATUSES,
    DueExecution,
    Execution,
    ExecutionStatus,
    ExecutionWithSteps,
    ReplayStart,
    StepStatus,
)
from filas.models.failure_groups import FailureGroup
from filas.observability.logs import get_logger
from filas.repository.executions.execution_search import ExecutionFilter, StepFilter
from filas.tracing import spans
from ingest.api.history.edited_events import with_body_text
from ingest.api.history.execution_replays import ExecutionsReplayed, ReplayManyBody, ReplayOrder, replay_many
from ingest.api.history.replay_position import start_at
from ingest.api.routing.moments import Moment, searched_time
from ingest.api.routing.problems import conflict, invalid_field, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word
from ingest.event.event_jobs import message_of_stored
from ingest.process.processor import executions_of

log = get_logger(__name__)

COUNTED_S: Final = 24 * 3600.0


class ExecutionsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of executions. An execution must match all of them.

    `status` is one status, or several with commas between them. `error` is the kind of an error, or a fingerprint.
    `contact` is an address, however it is typed. `replayOf`: it replays this execution.
    `since` is inclusive and `until` exclusive; they are about `queuedAt`.

    `nodeId` finds executions with a step of this node, `stepStatus` those in which such a step has this status, and
    `handle` those in which it left by this handle. One page then examines 1,000 executions: it may be short, or empty,
    although `nextCursor` leads to more.
    """

    flow_id: Word | None = None
    node_id: Word | None = None
    step_status: StepStatus | None = None
    handle: Word | None = None
    event_id: UUID | None = None
    conversation_id: UUID | None = None
    status: Word | None = None
    error: Word | None = None
    contact: Word | None = None
    replay_of: UUID | None = None
    since: Moment | None = None
    until: Moment | None = None


async def list_executions(call: Call[None, ExecutionsQuery]) -> Answer:
    """Lists executions, newest first, without their steps."""
    query = call.query
    if query.node_id is None and (query.step_status is not None or query.handle is not None):
        raise invalid_field("nodeId", "`stepStatus` and `handle` are those of a step of this node: give `nodeId` too")
    wanted = ExecutionFilter(
        flow_id=query.flow_id,
        statuses=named_statuses(query.status),
        error=query.error,
        event_id=query.event_id,
        conversation_id=query.conversation_id,
        contact=query.contact,
        replay_of=query.replay_of,
        since=query.since,
        until=query.until,
        step=None
        if query.node_id is None
        else StepFilter(node_id=query.node_id, status=query.step_status, handle=query.handle),
    )
    page = await call.context.history.execution_search.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


def named_statuses(written: str | None) -> tuple[ExecutionStatus, ...]:
    """Returns the statuses in a list with commas. Raises the 422 that names an unknown one."""
    names = [] if written is None else [name.strip() for name in written.split(",")]
    known = get_args(ExecutionStatus)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise invalid_field("status", f"unknown status {unknown[0][:64]!r}; known are {', '.join(known)}")
    return tuple(cast("list[ExecutionStatus]", names))


class FailuresQuery(Query, frozen=True, kw_only=True):
    """The searched time, by default the last 24 hours, and a flow. `since` is inclusive, `until` is exclusive."""

    flow_id: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


class ExecutionCounts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The executions that failed and that timed out in the last 24 hours, at most 100,000 together."""

    failed: int
    timed_out: int


async def count_failures(call: Call[None, Query]) -> Answer:
    """Counts the executions that failed or timed out in the last 24 hours."""
    failed, timed_out = await call.context.history.failures.count_failed(COUNTED_S)
    return Answer(ExecutionCounts(failed=failed, timed_out=timed_out))


async def list_failures(call: Call[None, FailuresQuery]) -> Answer:
    """Counts the failed and timed out executions by flow and fingerprint, the largest groups first."""
    since, until = searched_time(call.query.since, call.query.until)
    return Answer(await call.context.history.failures.executions(since, until, call.query.flow_id))


async def get_execution(call: Call[None, Query]) -> Answer:
    """Returns an execution with every step and message."""
    execution_id = parse_row_id("execution", call.path["id"])
    execution = await call.context.history.executions.get(execution_id)
    if execution is None:
        raise not_found("execution", execution_id)
    return Answer(execution)


class CancelCommand(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that carries the command to the flow-runner."""

    id: str
    job_id: str


async def cancel_execution(call: Call[None, Query]) -> Answer:
    """Stores the cancel of an execution, then enqueues the command for the flow-runner.

    The flow-runner ends a waiting execution at once, and a running one before its next node, as soon as it has seen the
    cancel, which it looks for when it renews its leases. Only the flow-runner writes executions. The job is in no
    group, because it must not wait for the job that it ends.
    """
    execution_id = parse_row_id("execution", call.path["id"])
    execution = await call.context.executions.get(execution_id)
    if execution is None:
        raise not_found("execution", execution_id)
    if execution.status in FINAL_EXECUTION_STATUSES:
        raise conflict(f"the execution has ended: {execution.status}")
    traceparent = spans.root_traceparent(execution.event_id or execution_id)
    job = cancel_execution_job(execution_id, execution.flow_id, traceparent)
    cancels = call.context.cancels
    call.audit.before = {"status": execution.status}
    call.audit.after = {"status": execution.status, "cancel": "requested"}
    await call.audit.change(lambda: cancels.request_execution(execution_id))
    try:
        await call.context.producer.enqueue(job)
    except StoreUnavailable as error:
        # The relay of the flow-runner enqueues the command of the stored cancel.
        log.warning("cancel.left_to_relay", execution_id=str(execution_id), store=error.store, reason=error.reason)
    return Answer(CancelCommand(id=str(execution_id), job_id=job.job_id))


class ExecutionReplayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The new execution, and the one that it replays."""

    id: str
    replay_of: str


async def replay_execution(call: Call[ReplayOrder, Query]) -> Answer:
    """Replays an ended execution as a new execution in the same conversation.

    Writes the row of the new execution, then enqueues its job. A repeated call with the same `requestId` has the same
    answer and changes nothing.
    """
    execution_id = parse_row_id("execution", call.path["id"])
    execution = await call.context.executions.get(execution_id)
    if execution is None:
        raise not_found("execution", execution_id)
    order = call.body
    trigger = await _edited_trigger(call, execution, order)
    replay_id = new_id() if order.request_id is None else derived_id("replay", str(execution_id), str(order.request_id))

    async def create() -> DueExecution | None:
        return await call.context.executions.replay(
            execution_id,
            replay_id,
            from_failure=order.begin == "failed-step" and order.node is None,
            newest=order.version == "newest",
            version=order.version if isinstance(order.version, int) else None,
            trigger=trigger,
            start=None if order.node is None else await _position(call, execution, order.node),
        )

    call.audit.after = ExecutionReplayed(id=str(replay_id), replay_of=str(execution_id))
    try:
        due = await call.audit.change(create)
    except Conflict as error:
        raise conflict(str(error)) from None
    if due is None:
        return Answer(call.audit.after)
    try:
        await call.context.producer.enqueue(flow_job(due, "start", spans.root_traceparent(due.event_id or due.id)))
    except StoreUnavailable as error:
        # The relay of the flow-runner enqueues the job of the stored row. An error here would lead to a second replay.
        log.warning("replay.left_to_relay", execution_id=str(due.id), store=error.store, reason=error.reason)
    return Answer(call.audit.after)


async def replay_executions(call: Call[ReplayManyBody, Query]) -> Answer:
    """Replays all executions that match and have not been replayed, the oldest first."""
    return Answer(await replay_many(call.context, call.body, named_statuses(call.body.status)))


async def _position(call: Call[ReplayOrder, Query], execution: ExecutionWithSteps, node_id: str) -> ReplayStart:
    """Where a replay from the node starts, in the version in which it runs. Raises Conflict."""
    source = await call.context.executions.replay_source(execution.id)
    if source is None:
        raise not_found("execution", execution.id)
    named = {"own": source.version, "newest": source.published_version}
    order = call.body.version
    version = order if isinstance(order, int) else named[order]
    found = None if version is None else await call.context.flows.get(execution.flow_id, version)
    if found is None:
        raise Conflict("its flow has no such version")
    return start_at(node_id, found.definition, source, execution.steps)


async def _edited_trigger(call: Call[ReplayOrder, Query], execution: Execution, order: ReplayOrder) -> str | None:
    """Returns the trigger that the execution's event would have with the body of the order, read by the event's
    webhook; None if the order has no body."""
    if order.body is msgspec.UNSET and order.body_text is None:
        return None
    event = None if execution.event_id is None else await call.context.events.get_accepted(execution.event_id)
    if event is None:
        raise conflict("the event of the execution is deleted, so there is no body to replace")
    field = "body" if order.body_text is None else "bodyText"
    if order.body_text is not None:
        message = message_of_stored(with_body_text(event, order.body_text))
    else:
        message = _with_body(message_of_stored(event), order.body)
    try:
        found, reason = executions_of(message)
    except PermanentError as error:
        raise invalid_field(field, str(error)) from None
    if not found:
        raise invalid_field(field, f"no part of the body starts a flow ({reason})")
    same = [one for one in found if execution.conversation_id == _conversation(one.channel, one.contact)]
    return (same or found)[0].trigger


def _with_body(job: WebhookJob, body: Any) -> WebhookJob:
    return msgspec.structs.replace(job, body=body, body_kind="json")


def _conversation(channel: str | None, contact: str | None) -> UUID | None:
    return conversation_id(channel, contact) if channel is not None and contact is not None else None


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/executions",
        handler=list_executions,
        role="viewer",
        summary="Executions, newest first, without their steps.",
        answer=list[Execution],
        query=ExecutionsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/executions/counts",
        handler=count_failures,
        role="viewer",
        summary="How many executions failed and timed out in the last 24 hours.",
        answer=ExecutionCounts,
        query=Query,
    ),
    Route(
        method="GET",
        path="/executions/groups",
        handler=list_failures,
        role="viewer",
        summary="Failed and timed out executions, counted by flow and error.",
        answer=list[FailureGroup],
        query=FailuresQuery,
    ),
    Route(
        method="POST",
        path="/executions/replay",
        handler=replay_executions,
        role="operator",
        summary="Replay the failed and timed out executions that match a filter.",
        answer=ExecutionsReplayed,
        query=Query,
        body=ReplayManyBody,
    ),
    Route(
        method="GET",
        path="/executions/{id}",
        handler=get_execution,
        role="viewer",
        summary="One execution with every step and message.",
        answer=ExecutionWithSteps,
        query=Query,
    ),
    Route(
        method="POST",
        path="/executions/{id}/cancel",
        handler=cancel_execution,
        role="operator",
        summary="Cancel an execution.",
        answer=CancelCommand,
        query=Query,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/executions/{id}/replay",
        handler=replay_execution,
        role="operator",
        summary="Replay an ended execution as a new one.",
        answer=ExecutionReplayed,
        query=Query,
        body=ReplayOrder,
        problems=(409,),
    ),
)
