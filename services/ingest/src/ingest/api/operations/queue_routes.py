"""The routes of queues: counts of jobs, lists of jobs, and the commands of an operator."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from filas.contract import policies
from filas.contract.policies import QueuePolicy
from filas.models.dead_letters import JobState
from filas.queue.operations.job_control import ControlOutcome, JobControl
from filas.queue.operations.queue_stats import JobInfo, QueueCounts
from filas.queue.worker_presence import read_load
from ingest.api.routing.problems import conflict, not_found
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route

ACTIVE_SHOWN = 20
"""The largest number of active jobs that the statistics of a queue show."""


class ActiveJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job that runs now. `processedOn` is the start of its attempt in Unix ms."""

    id: str
    name: str
    attempts_made: int
    processed_on: int | None
    data: Any


class QueueView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The counts of jobs of one queue by state, and its first active jobs."""

    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    active_jobs: list[ActiveJob]


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The counts of jobs of all queues together."""

    total_waiting: int
    total_active: int
    total_completed: int
    total_failed: int
    total_delayed: int


class StatsView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The statistics of all queues. `queues` has them by short name."""

    queues: dict[str, QueueView]
    summary: Summary
    timestamp: str


class QueueState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A queue with its jobs and its workers.

    `oldestWaitingMs` is how long the oldest waiting job has been due. `pausedSince` is null if it is not paused.
    `workers` processes reported within the last six seconds; together they have `slots`, of which `running` run a job.
    `finished` jobs ended in the last `finishedMs`. The counts `retries`, `deadLetters` and `lostLeases` are since Redis
    last lost its data.
    """

    name: str
    short: str
    priority: int
    counts: QueueCounts
    paused_since: datetime | None
    workers: int
    slots: int
    running: int
    finished: int
    finished_ms: int


class PauseView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a queue is paused. `changed` is false if it was so before."""

    queue: str
    paused: bool
    changed: bool


class JobsQuery(PageQuery, frozen=True, kw_only=True):
    """`state` selects the jobs of the queue."""

    state: JobState = "waiting"


def _addressed_policy(call: Call[Any, Any]) -> QueuePolicy:
    policy = policies.find(call.path["queue"])
    if policy is None:
        raise not_found("queue", call.path["queue"])
    return policy


async def queue_stats(call: Call[None, Query]) -> Answer:
    """Counts the jobs of every queue."""
    views = await asyncio.gather(*(_view(call, policy) for policy in policies.QUEUES))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Answer(
        StatsView(
            queues={policy.short: view for policy, view in zip(policies.QUEUES, views, strict=True)},
            summary=Summary(
                total_waiting=sum(view.waiting for view in views),
                total_active=sum(view.active for view in views),
                total_completed=sum(view.completed for view in views),
                total_failed=sum(view.failed for view in views),
                total_delayed=sum(view.delayed for view in views),
            ),
            timestamp=now,
        )
    )


async def _view(call: Call[None, Query], policy: QueuePolicy) -> QueueView:
    counts = await call.context.stats.snapshot(policy)
    # Most of the time no job is active: this saves a call to Redis.
    active = await call.context.stats.active_jobs(policy, ACTIVE_SHOWN) if counts.active else []
    return QueueView(
        waiting=counts.waiting,
        active=counts.active,
        completed=counts.completed,
        failed=counts.failed,
        delayed=counts.delayed,
        active_jobs=[
            ActiveJob(
                id=job.id,
                name=job.name,
                attempts_made=job.attempts_made,
                processed_on=job.processed_on,
                data=job.data,
            )
            for job in active
        ],
    )


async def list_queues(call: Call[None, Query]) -> Answer:
    """Returns the state of every queue and of its workers."""
    paused = await call.context.history.pauses.since()
    return Answer([await _state(call, policy, paused.get(policy.name)) for policy in policies.QUEUES])


async def _state(call: Call[None, Query], policy: QueuePolicy, paused_since: datetime | None) -> QueueState:
    counts, load = await asyncio.gather(call.context.stats.snapshot(policy), read_load(call.context.redis, policy))
    return QueueState(
        name=policy.name,
        short=policy.short,
        priority=policy.priority,
        counts=counts,
        paused_since=paused_since,
        workers=load.workers,
        slots=load.slots,
        running=load.running,
        finished=load.finished,
        finished_ms=load.finished_ms,
    )


async def pause_queue(call: Call[None, Query]) -> Answer:
    """Pauses a queue: its workers claim no job. Running jobs finish."""
    policy = _addressed_policy(call)
    changed = await _change_pause(call, policy, call.context.pauses.pause, paused=True)
    return Answer(PauseView(queue=policy.name, paused=True, changed=changed))


async def resume_queue(call: Call[None, Query]) -> Answer:
    """Resumes a paused queue."""
    policy = _addressed_policy(call)
    changed = await _change_pause(call, policy, call.context.pauses.resume, paused=False)
    return Answer(PauseView(queue=policy.name, paused=False, changed=changed))


async def _change_pause(
    call: Call[None, Query], policy: QueuePolicy, change: Callable[[str], Awaitable[bool]], *, paused: bool
) -> bool:
    call.audit.subject = f"queue/{policy.short}"

    async def before() -> dict[str, bool]:
        return {"paused": policy.name in await call.context.pauses.all()}

    call.audit.after = {"paused": paused}
    return await call.audit.change(lambda: change(policy.name), before=before)


async def list_jobs(call: Call[None, JobsQuery]) -> Answer:
    """Lists the jobs of a queue in one state."""
    query = call.query
    page = await call.context.stats.jobs(_addressed_policy(call), query.state, query.limit, query.cursor)
    return Answer(page.items, page.next_cursor)


async def get_job(call: Call[None, Query]) -> Answer:
    """Returns one job with its job message."""
    _, job = await _job(call)
    return Answer(job)


async def _job(call: Call[None, Query]) -> tuple[QueuePolicy, JobInfo]:
    """Returns the job of the path with its queue. Raises the 404 if no queue has it.

    Our job ids start with the name of the queue. The ids of an arq producer may be any text.
    """
    job_id = call.path["id"]
    named = [policy for policy in policies.QUEUES if job_id.startswith(policy.job_id(""))]
    for policy in named or policies.QUEUES:
        job = await call.context.stats.job(policy, job_id)
        if job is not None:
            return policy, job
    raise not_found("job", job_id)


class JobCommandResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a command: `done`, or `running` if a running job is being cancelled.

    A job that runs is interrupted within a second. If it ends before, or runs in a batch, it ends as it would have, but
    is not tried again.
    """

    id: str
    outcome: Literal["done", "running"]


async def retry_job(call: Call[None, Query]) -> Answer:
    """Makes a job that waits for its next attempt due now. A job that has failed is replayed as a dead letter."""
    policy, job_id = await _unfinished_job(call)
    return _command_answer(job_id, await _control(call).retry(policy, job_id))


async def promote_job(call: Call[None, Query]) -> Answer:
    """Makes a delayed job due now."""
    policy, job_id = await _unfinished_job(call)
    return _command_answer(job_id, await _control(call).promote(policy, job_id))


async def cancel_job(call: Call[None, Query]) -> Answer:
    """Ends a job as a dead letter of the kind `cancelled`. A running job is interrupted.

    The cancel is stored first, so that it holds also if Redis is emptied or the queue stays paused.
    """
    policy, job_id = await _unfinished_job(call)
    raw_id = job_id.encode("utf-8", "backslashreplace")
    await call.context.cancels.request_job(policy.name, raw_id)
    outcome = await _control(call).cancel(policy, job_id)
    if outcome == "absent":
        await call.context.cancels.delete_jobs(policy.name, [raw_id])
    if outcome == "running":
        return Answer(JobCommandResult(id=job_id, outcome="running"))
    return _command_answer(job_id, outcome)


def _control(call: Call[None, Query]) -> JobControl:
    return JobControl(call.context.redis, call.context.producer)


async def _unfinished_job(call: Call[None, Query]) -> tuple[QueuePolicy, str]:
    policy, job = await _job(call)
    if job.state == "completed":
        raise conflict("the job is completed")
    return policy, job.id


def _command_answer(job_id: str, outcome: ControlOutcome) -> Answer:
    if outcome == "done":
        return Answer(JobCommandResult(id=job_id, outcome="done"))
    if outcome == "running":
        raise conflict("the job is running")
    if outcome == "waiting":
        raise conflict("the job waits for earlier jobs of its group, whose order is kept")
    raise conflict("the job is no longer in a queue; a failed job is replayed from /api/dead-letters")


def _job_route(action: str, handler: Callable[[Call[None, Query]], Awaitable[Answer]], summary: str) -> Route[Any, Any]:
    return Route(
        method="POST",
        path=f"/jobs/{{id}}/{action}",
        handler=handler,
        role="operator",
        summary=summary,
        answer=JobCommandResult,
        query=Query,
        problems=(409,),
    )


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/queue/stats",
        handler=queue_stats,
        role="viewer",
        summary="The counts of jobs by state, in each queue and in total.",
        answer=StatsView,
        query=Query,
        large=True,
    ),
    Route(
        method="GET",
        path="/queues",
        handler=list_queues,
        role="viewer",
        summary="The state of each queue: its jobs, its oldest waiting job, its workers, and whether it is paused.",
        answer=list[QueueState],
        query=Query,
    ),
    Route(
        method="POST",
        path="/queue/{queue}/pause",
        handler=pause_queue,
        role="operator",
        summary="Pause a queue: its workers claim no job.",
        answer=PauseView,
        query=Query,
    ),
    Route(
        method="POST",
        path="/queue/{queue}/resume",
        handler=resume_queue,
        role="operator",
        summary="Resume a paused queue.",
        answer=PauseView,
        query=Query,
    ),
    Route(
        method="GET",
        path="/queue/{queue}/jobs",
        handler=list_jobs,
        role="viewer",
        summary="The jobs of a queue in one state.",
        answer=list[JobInfo],
        query=JobsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/jobs/{id}",
        handler=get_job,
        role="viewer",
        summary="One job with its job message.",
        answer=JobInfo,
        query=Query,
    ),
    _job_route("retry", retry_job, "Make a job that waits for its next attempt due now."),
    _job_route("promote", promote_job, "Make a delayed job due now."),
    _job_route("cancel", cancel_job, "End a job. A running job is interrupted."),
)
