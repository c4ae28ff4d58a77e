"""Schedules: when flows begin by themselves. The flow-runners run their ticks."""

from typing import Annotated, Any

import msgspec

from filas.flows.timing.schedule_ticks import first_tick, next_runs
from filas.models.schedules import Schedule, ScheduleWithRuns
from ingest.api.definitions.schedule_fields import ScheduleBody, read_schedule
from ingest.api.routing.identifiers import Deleted, known, to_store
from ingest.api.routing.problems import absent
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route

PREVIEW = 5


class PreviewQuery(Query, frozen=True, kw_only=True):
    """How much of the future to show."""

    preview: Annotated[int, msgspec.Meta(ge=0, le=100, description="How many of the next ticks to show.")] = PREVIEW


async def put_schedule(call: Call[ScheduleBody, Query]) -> Answer:
    """Create or replace a schedule."""
    body = call.body
    schedule_id = to_store(call.path["id"], body.id)
    schedule = Schedule(
        id=schedule_id,
        flow_id=body.flow_id,
        version=body.version,
        cron=body.cron,
        timezone=body.timezone,
        at=sorted(set(body.at)) if body.at is not None else None,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        enabled=body.enabled,
        input=body.input,
        conversation=body.conversation,
        misfire=body.misfire,
        misfire_grace_ms=body.misfire_grace_ms,
        catch_up_limit=body.catch_up_limit,
    )
    return Answer(_shown(await call.context.schedules.store(schedule, first_tick), PREVIEW))


async def get_schedule(call: Call[None, PreviewQuery]) -> Answer:
    """Show a schedule with its next ticks and what became of the last."""
    schedule_id = known("schedule", call.path["id"])
    schedule = await call.context.schedules.get(schedule_id)
    if schedule is None:
        raise absent("schedule", schedule_id)
    return Answer(_shown(schedule, call.query.preview))


async def delete_schedule(call: Call[None, Query]) -> Answer:
    """Remove a schedule. What it has started goes on."""
    schedule_id = known("schedule", call.path["id"])
    if not await call.context.schedules.delete(schedule_id):
        raise absent("schedule", schedule_id)
    return Answer(Deleted(id=schedule_id))


async def list_schedules(call: Call[None, PageQuery]) -> Answer:
    """List schedules by id."""
    page = await call.context.schedules.list(call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


def _shown(schedule: Schedule, preview: int) -> ScheduleWithRuns:
    return ScheduleWithRuns(**msgspec.structs.asdict(schedule), next_runs=next_runs(schedule, preview))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/schedules",
        handler=list_schedules,
        role="viewer",
        summary="The schedules.",
        answer=list[Schedule],
        query=PageQuery,
        paged=True,
    ),
    Route(
        method="PUT",
        path="/schedules/{id}",
        handler=put_schedule,
        role="admin",
        summary="Create or replace a schedule. What doesn't change its times keeps a tick that is due.",
        answer=ScheduleWithRuns,
        body=ScheduleBody,
        decode=read_schedule,
        query=Query,
    ),
    Route(
        method="GET",
        path="/schedules/{id}",
        handler=get_schedule,
        role="viewer",
        summary="One schedule, its next ticks, and what became of the last.",
        answer=ScheduleWithRuns,
        query=PreviewQuery,
    ),
    Route(
        method="DELETE",
        path="/schedules/{id}",
        handler=delete_schedule,
        role="admin",
        summary="Remove a schedule. What it has started goes on.",
        answer=Deleted,
        query=Query,
    ),
)
