"""The routes of timelines: what happened to an event or an execution, and what it waited for."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from filas.contract import policies
from filas.errors import StoreUnavailable
from filas.models.timelines import Timeline, TimelineRows
from filas.queue.operations.queue_stats import JobInfo, QueueStats
from ingest.api.history import timeline_entries
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, Query, Route

MAX_JOBS: Final = 50
"""How many jobs are looked up in the queues."""


async def get_event_timeline(call: Call[None, Query]) -> Answer:
    """Returns what happened to an event, its executions and their messages, in order of time."""
    event_id = parse_row_id("event", call.path["id"])
    rows = await call.context.history.timelines.of_event(event_id)
    if rows is None:
        raise not_found("event", event_id)
    return Answer(timeline_entries.build(rows, await _jobs(call.context.stats, rows)))


async def get_execution_timeline(call: Call[None, Query]) -> Answer:
    """Returns what happened to an execution and its messages, in order of time, from the receipt of its event."""
    execution_id = parse_row_id("execution", call.path["id"])
    rows = await call.context.history.timelines.of_execution(execution_id)
    if rows is None:
        raise not_found("execution", execution_id)
    return Answer(timeline_entries.build(rows, await _jobs(call.context.stats, rows)))


async def _jobs(stats: QueueStats, rows: TimelineRows) -> Sequence[JobInfo] | None:
    """The jobs that the queues still have. None if Redis is unavailable."""
    wanted: dict[str, list[str]] = {}
    for short, key in islice(timeline_entries.job_ids(rows), MAX_JOBS):
        wanted.setdefault(short, []).append(policies.BY_SHORT[short].job_id(key))
    try:
        found = [await stats.some_jobs(policies.BY_SHORT[short], ids) for short, ids in wanted.items()]
    except StoreUnavailable:
        return None
    return [job for jobs in found for job in jobs]


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/events/{id}/timeline",
        handler=get_event_timeline,
        role="viewer",
        summary="What happened to an event, from its receipt to the delivery receipts of its messages.",
        answer=Timeline,
        query=Query,
    ),
    Route(
        method="GET",
        path="/executions/{id}/timeline",
        handler=get_execution_timeline,
        role="viewer",
        summary="What happened to an execution, from the receipt of its event to its delivery receipts.",
        answer=Timeline,
        query=Query,
    ),
)
