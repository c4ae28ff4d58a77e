"""Replays executions that failed or timed out: how one is replayed, and all that match a filter, at a rate."""

from collections import Counter
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from filas.contract.identity import derived_id
from filas.contract.job_factories import flow_job
from filas.contract.new_job import NewJob
from filas.errors import Conflict, StoreUnavailable
from filas.models.executions import Execution, ExecutionStatus
from filas.observability.logs import get_logger
from filas.repository.executions.execution_search import ExecutionFilter
from filas.tracing import spans
from ingest.api.history.redrive import delay_ms
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.moments import Moment
from ingest.api.routing.route_types import Body, Word

log = get_logger(__name__)

PAGE: Final = 100
MAX_REFUSED_SHOWN: Final = 100
"""The largest number of refused executions that an answer lists."""


FlowVersionNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class ReplayOrder(Body, frozen=True, kw_only=True):
    """How an execution is replayed."""

    begin: Annotated[
        Literal["start", "failed-step"],
        msgspec.Meta(description="From its start, or from the failed step with the variables of that moment."),
    ] = msgspec.field(name="from", default="start")
    node: Annotated[
        Word | None, msgspec.Meta(description="From this node instead, with what the nodes before it have left.")
    ] = None
    version: Annotated[
        Literal["own", "newest"] | FlowVersionNumber,
        msgspec.Meta(description="The version of the execution, the published one, or the version of this number."),
    ] = "own"
    body: Annotated[Any, msgspec.Meta(description="Replaces the body of the event.")] = msgspec.UNSET
    body_text: Annotated[
        str | None,
        msgspec.Meta(description="Replaces the body of the event by this text, which is read like a received body."),
    ] = None
    request_id: Annotated[
        UUID | None, msgspec.Meta(description="A repeated call with the same id does not replay again.")
    ] = None


class ReplayManyBody(Body, frozen=True, kw_only=True):
    """Selects executions that failed or timed out and that nothing has replayed, and states how they are replayed.

    An execution must match all filters, as in the list of executions.
    """

    flow_id: Word | None = None
    status: Word | None = None
    error: Word | None = None
    contact: Word | None = None
    since: Moment | None = None
    until: Moment | None = None
    begin: Annotated[
        Literal["start", "failed-step"], msgspec.Meta(description="As in the replay of one execution.")
    ] = msgspec.field(name="from", default="start")
    version: Annotated[Literal["own", "newest"], msgspec.Meta(description="As in the replay of one execution.")] = "own"
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="The largest number of executions to replay.")] = (
        1000
    )
    rate: (
        Annotated[
            float,
            msgspec.Meta(gt=0, le=10_000, description="Executions per second: the due times of the jobs are spread."),
        ]
        | None
    ) = None
    dry_run: Annotated[bool, msgspec.Meta(description="Only report what would be replayed.")] = False


class RefusedExecution(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An execution that matches and cannot be replayed, and why."""

    id: str
    reason: str


class ExecutionsReplayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a replay of many, or with `dryRun` the result that it would have.

    | field | meaning |
    |---|---|
    | `matched` | executions that match, up to `limit` |
    | `replayed` | new executions |
    | `refusedCount`, `refused` | executions that cannot be replayed, and up to 100 of them with the reason |
    | `flows`, `errors` | the number of matches by flow and by fingerprint |
    | `more` | more executions match than `limit` |
    | `takesS` | the seconds until the last one is due |
    """

    dry_run: bool
    matched: int
    replayed: int
    refused_count: int
    refused: list[RefusedExecution]
    flows: dict[str, int]
    errors: dict[str, int]
    more: bool
    takes_s: float


@dataclass(slots=True)
class _Tally:
    """Counts the result page by page."""

    matched: int = 0
    replayed: int = 0
    more: bool = False
    flows: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedExecution] = field(default_factory=list)

    def result(self, body: ReplayManyBody) -> ExecutionsReplayed:
        """Returns the answer."""
        return ExecutionsReplayed(
            dry_run=body.dry_run,
            matched=self.matched,
            replayed=self.replayed,
            refused_count=len(self.refused),
            refused=self.refused[:MAX_REFUSED_SHOWN],
            flows=dict(self.flows),
            errors=dict(self.errors),
            more=self.more,
            takes_s=round(max(self.replayed - 1, 0) / body.rate, 3) if body.rate else 0.0,
        )


async def replay_many(
    context: ApiContext, body: ReplayManyBody, statuses: tuple[ExecutionStatus, ...]
) -> ExecutionsReplayed:
    """Replays the executions that `body` selects, oldest first, page by page.

    The id of each new execution derives from the replayed one, so two calls at the same time replay none twice. If
    Postgres becomes unavailable, the finished part is replayed, and a second call does the rest.
    """
    start_s, tally = monotonic(), _Tally()
    wanted = ExecutionFilter(
        flow_id=body.flow_id,
        statuses=statuses,
        error=body.error,
        contact=body.contact,
        since=body.since,
        until=body.until,
    )
    last: Execution | None = None
    while page := await context.history.execution_search.replayable(wanted, last, PAGE):
        jobs: list[NewJob] = []
        for execution in page[: body.limit - tally.matched]:
            tally.flows[execution.flow_id] += 1
            tally.errors[execution.fingerprint or "-"] += 1
            delay = delay_ms(start_s, tally.replayed, body.rate)
            job = None if body.dry_run else await _replayed(context, execution, body, tally, delay)
            if job is not None:
                jobs.append(job)
            tally.replayed += body.dry_run or job is not None
        await _enqueue(context, jobs)
        tally.more = tally.matched + len(page) > body.limit
        tally.matched = min(tally.matched + len(page), body.limit)
        if tally.more:
            break
        last = page[-1]
    return tally.result(body)


async def _replayed(
    context: ApiContext, execution: Execution, body: ReplayManyBody, tally: _Tally, delay: int | None
) -> NewJob | None:
    """Creates the new execution and returns its job. None if it exists already or is refused."""
    try:
        due = await context.executions.replay(
            execution.id,
            derived_id("replay-of-many", str(execution.id)),
            from_failure=body.begin == "failed-step",
            newest=body.version == "newest",
        )
    except Conflict as error:
        tally.refused.append(RefusedExecution(id=str(execution.id), reason=str(error)))
        return None
    if due is None:
        return None
    job = flow_job(due, "start", spans.root_traceparent(due.event_id or due.id))
    return replace(job, delay_ms=delay)


async def _enqueue(context: ApiContext, jobs: list[NewJob]) -> None:
    if not jobs:
        return
    try:
        await context.producer.enqueue_many(jobs)
    except StoreUnavailable as error:
        # The relay of the flow-runner enqueues the jobs of the stored rows.
        log.warning("replay.left_to_relay", executions=len(jobs), store=error.store, reason=error.reason)
