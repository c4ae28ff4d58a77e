"""Executions: what ran, step by step, and the wish that one should end."""

from typing import Any
from uuid import UUID

import msgspec

from filas.jobs import FlowJob
from filas.models import FINAL_EXECUTION_STATUSES, Execution, ExecutionStatus, ExecutionWithSteps
from ingest.api.refusals import absent, conflict, row_id
from ingest.api.table import Answer, Call, PageQuery, Query, Route, Word


class ExecutionsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of executions; all that are given must hold."""

    flow_id: Word | None = None
    event_id: UUID | None = None
    conversation_id: UUID | None = None
    status: ExecutionStatus | None = None


async def list_executions(call: Call[None, ExecutionsQuery]) -> Answer:
    """List executions, the newest first, without their steps."""
    query = call.query
    page = await call.context.executions.search(
        flow_id=query.flow_id,
        status=query.status,
        event_id=query.event_id,
        conversation_id=query.conversation_id,
        cursor=query.cursor,
        limit=query.limit,
    )
    return Answer(page.items, page.next_cursor)


async def get_execution(call: Call[None, Query]) -> Answer:
    """Show an execution with every step."""
    execution_id = row_id("execution", call.path["id"])
    execution = await call.context.executions.get(execution_id)
    if execution is None:
        raise absent("execution", execution_id)
    return Answer(execution)


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job that carries the wish to the flow-runner."""

    id: str
    job_id: str


async def cancel_execution(call: Call[None, Query]) -> Answer:
    """Ask that an execution be ended: at once where it waits, before its next effect where it runs.

    The wish goes as a job, because only the flow-runner writes executions. Its turn 0 is no turn of the
    execution's own, and it is in no group: it must not wait behind what it is to end.
    """
    execution_id = row_id("execution", call.path["id"])
    execution = await call.context.executions.get(execution_id)
    if execution is None:
        raise absent("execution", execution_id)
    if execution.status in FINAL_EXECUTION_STATUSES:
        raise conflict(f"it has ended already: {execution.status}")
    job = FlowJob(execution_id=execution_id, turn=0, flow_id=execution.flow_id, reason="cancel")
    put = await call.context.producer.add_flow_job(job)
    return Answer(CancelAsked(id=str(execution_id), job_id=put.job_id))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/executions",
        handler=list_executions,
        role="viewer",
        summary="Executions, the newest first, without their steps.",
        answer=list[Execution],
        query=ExecutionsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/executions/{id}",
        handler=get_execution,
        role="viewer",
        summary="One execution with every step.",
        answer=ExecutionWithSteps,
        query=Query,
    ),
    Route(
        method="POST",
        path="/executions/{id}/cancel",
        handler=cancel_execution,
        role="operator",
        summary="Ask that an execution be ended.",
        answer=CancelAsked,
        query=Query,
        refusals=(409,),
    ),
)
