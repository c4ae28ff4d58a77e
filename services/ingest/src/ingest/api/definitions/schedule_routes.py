"""The routes of schedules. The flow-runner runs their ticks."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import msgspec

from filas.flows.timing import cron_meaning
from filas.flows.timing.schedule_ticks import first_tick, next_runs, ticks
from filas.models.schedules import Schedule, ScheduleWithRuns
from ingest.api.definitions.schedule_checks import schedule_errors
from ingest.api.definitions.schedule_fields import ScheduleBody, read_schedule
from ingest.api.routing.identifiers import Deleted, definition_id, existing_id
from ingest.api.routing.problems import FieldError, invalid, not_found
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route

PREVIEW = 5


class PreviewQuery(Query, frozen=True, kw_only=True):
    """`preview` is the number of future ticks in the answer."""

    preview: Annotated[int, msgspec.Meta(ge=0, le=100, description="The number of the next ticks to show.")] = PREVIEW


class StoredSchedule(ScheduleWithRuns, frozen=True, kw_only=True):
    """A schedule that was stored. `warnings`: the errors that `force` has accepted, and a cron expression that perhaps
    does not mean what it seems to mean."""

    warnings: list[FieldError] = msgspec.field(default_factory=list)


class SchedulePreview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ticks that a schedule would have if it was stored now, enabled or not. `warnings` as in a stored schedule."""

    next_runs: list[datetime]
    warnings: list[FieldError]


class CountQuery(Query, frozen=True, kw_only=True):
    """How many ticks to show."""

    preview: Annotated[int, msgspec.Meta(ge=1, le=100, description="The number of ticks to show.")] = 10


class PutQuery(Query, frozen=True, kw_only=True):
    """`force=true` stores a schedule whose flow or channel does not exist. The answer then has `warnings`."""

    force: bool = False


async def put_schedule(call: Call[ScheduleBody, PutQuery]) -> Answer:
    """Creates or replaces a schedule."""
    schedule_id = definition_id(call.path["id"], call.body.id)
    schedule = _schedule(schedule_id, call.body)
    context, warnings = call.context, list[FieldError]()
    schedules = context.schedules

    async def store() -> Schedule:
        stored = await schedules.store(schedule, first_tick)  # from here on, no flow and no channel is deleted
        doubtful = await schedule_errors(schedule, context.flows, context.channels)
        if doubtful and not call.query.force:
            raise invalid(doubtful)
        warnings[:] = doubtful
        return stored

    stored = await call.audit.change(store, before=lambda: schedules.get(schedule_id), after=lambda new: new)
    warnings += _doubts(schedule, datetime.now(UTC))
    return Answer(StoredSchedule(**msgspec.structs.asdict(_shown(stored, PREVIEW)), warnings=warnings))


async def preview_schedule(call: Call[ScheduleBody, CountQuery]) -> Answer:
    """Returns the next ticks of a schedule that is not stored. Nothing is stored."""
    now = datetime.now(UTC)
    schedule = _schedule("preview", call.body)
    found = list(islice(ticks(schedule, now), call.query.preview))
    return Answer(SchedulePreview(next_runs=found, warnings=_doubts(schedule, now)))


async def get_schedule(call: Call[None, PreviewQuery]) -> Answer:
    """Returns a schedule with its next ticks and the result of the last one."""
    schedule_id = existing_id("schedule", call.path["id"])
    schedule = await call.context.schedules.get(schedule_id)
    if schedule is None:
        raise not_found("schedule", schedule_id)
    return Answer(_shown(schedule, call.query.preview))


async def delete_schedule(call: Call[None, Query]) -> Answer:
    """Deletes a schedule. Its executions continue."""
    schedule_id = existing_id("schedule", call.path["id"])
    schedules = call.context.schedules
    if not await call.audit.change(lambda: schedules.delete(schedule_id), before=lambda: schedules.get(schedule_id)):
        raise not_found("schedule", schedule_id)
    return Answer(Deleted(id=schedule_id))


async def list_schedules(call: Call[None, PageQuery]) -> Answer:
    """Lists schedules by id."""
    page = await call.context.schedules.list(call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


def _schedule(schedule_id: str, body: ScheduleBody) -> Schedule:
    return Schedule(
        id=schedule_id,
        flow_id=body.flow_id,
        version=body.version,
        cron=body.cron,
        every=body.every,
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


def _doubts(schedule: Schedule, now: datetime) -> list[FieldError]:
    """A cron expression that perhaps does not mean what it seems to mean."""
    found = () if schedule.cron is None else cron_meaning.findings(schedule.cron, schedule.timezone, now)
    return [FieldError(field="cron", message=message, code="cron-meaning") for _, message in found]


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
        method="POST",
        path="/schedules/preview",
        handler=preview_schedule,
        role="viewer",
        summary="The next ticks of a schedule that is not stored.",
        answer=SchedulePreview,
        body=ScheduleBody,
        decode=read_schedule,
        query=CountQuery,
        unaudited="It stores nothing.",
    ),
    Route(
        method="PUT",
        path="/schedules/{id}",
        handler=put_schedule,
        role="admin",
        summary="Create or replace a schedule. A due tick is kept unless the times change.",
        answer=StoredSchedule,
        body=ScheduleBody,
        decode=read_schedule,
        query=PutQuery,
    ),
    Route(
        method="GET",
        path="/schedules/{id}",
        handler=get_schedule,
        role="viewer",
        summary="One schedule with its next ticks and the result of the last one.",
        answer=ScheduleWithRuns,
        query=PreviewQuery,
    ),
    Route(
        method="DELETE",
        path="/schedules/{id}",
        handler=delete_schedule,
        role="admin",
        summary="Delete a schedule. Its executions continue.",
        answer=Deleted,
        query=Query,
    ),
)
