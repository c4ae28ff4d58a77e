"""The pages of schedules: the list, one schedule with its next ticks, and its form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from filas.models.schedules import Schedule
from ingest.api.routing.problems import ApiProblem, invalid_field
from ingest.dashboard.definition_forms.definition_form import FormView
from ingest.dashboard.page_types import Html, PageAnswer, PageCall, PageRoute, Part, Redirect
from ingest.dashboard.pages.schedules.schedule_form import ADDED_BY_ANSWERS, schedule_form

LIST: Final = "/dashboard/schedules"
SHOWN_TICKS: Final = 10
MOST_NAMES: Final = 200
TIMES: Final = ("cron", "every", "at", "timezone", "startsAt", "endsAt")
"""The fields on which the ticks depend."""


async def show_list(call: PageCall) -> Html:
    """Shows the schedules with their next tick and the result of the last one."""
    schedules = await call.api.part("listSchedules", query=call.filters("cursor"))
    return call.render("schedules/list.html", schedules=schedules, state_of=state_of)


async def show_new(call: PageCall) -> Html:
    """Shows the form for another schedule."""
    call.api.require("putSchedule")
    preset = {"timezone": call.reader.zone_name, **call.filters("flowId")}
    return await _form_page(call, (await _form(call, is_new=True)).show(call.reader, preset))


async def show_schedule(call: PageCall) -> Html:
    """Shows one schedule, with the form that changes it."""
    schedule = await _stored(call)
    view = (await _form(call, is_new=False)).show(call.reader, schedule)
    return await _form_page(call, view, schedule)


async def create(call: PageCall) -> PageAnswer:
    """Stores a new schedule. One that exists is not replaced."""
    call.api.require("putSchedule")
    view = (await _form(call, is_new=True)).read(call.reader, call.form)
    return await _save(call, view, None)


async def change(call: PageCall) -> PageAnswer:
    """Replaces a schedule."""
    call.api.require("putSchedule")
    schedule = await _stored(call)
    view = (await _form(call, is_new=False)).read(call.reader, call.form, schedule)
    return await _save(call, view, schedule)


async def show_ticks(call: PageCall) -> Html:
    """Returns the next ticks of what the form has, as a part of the page, for its script."""
    call.api.require("putSchedule")
    form = await _form(call, is_new="id" in call.form)
    return call.render("schedules/ticks.html", **await _ticks(call, form.read(call.reader, call.form)))


async def delete(call: PageCall) -> Redirect:
    """Deletes a schedule."""
    schedule_id = call.path["id"]
    await call.api.call("deleteSchedule", path={"id": schedule_id})
    return call.done("schedules.deleted", LIST, id=schedule_id)


async def _save(call: PageCall, view: FormView, schedule: Schedule | None) -> PageAnswer:
    if not view.is_complete or view.pressed("ticks"):
        return await _form_page(call, view, schedule, status=view.status)
    body = {name: value for name, value in view.body.items() if name not in ADDED_BY_ANSWERS}
    schedule_id = schedule.id if schedule is not None else str(view.body.get("id", ""))
    try:
        if schedule is None:
            await _check_new(call, schedule_id)
        query = {"force": True} if view.pressed("force") else {}
        await call.api.call("putSchedule", path={"id": schedule_id}, query=query, body=body)
    except ApiProblem as problem:
        if problem.status in (403, 404):
            raise
        return await _form_page(call, view.with_problem(problem), schedule, status=problem.status)
    return call.done("schedules.saved", f"{LIST}/{quote(schedule_id, safe='')}", id=schedule_id)


async def _check_new(call: PageCall, schedule_id: str) -> None:
    """Raises the problem of an id that is missing or exists."""
    if not schedule_id:
        raise invalid_field("id", call.reader.text("schedules.id-missing"))
    if await call.api.exists("getSchedule", schedule_id):
        raise invalid_field("id", call.reader.text("schedules.id-exists"))


async def _form_page(call: PageCall, view: FormView, schedule: Schedule | None = None, *, status: int = 200) -> Html:
    return call.render(
        "schedules/schedule.html",
        status=status,
        form=view,
        schedule=schedule,
        state="" if schedule is None else state_of(schedule, datetime.now(UTC)),
        **await _ticks(call, view),
    )


async def _ticks(call: PageCall, view: FormView) -> dict[str, Any]:
    """Returns the ticks and warnings of what the form shows, or why there are none."""
    body = view.body or view.stored
    asked = {name: body[name] for name in TIMES if body.get(name) is not None}
    if not asked.keys() & {"cron", "every", "at"}:
        return {"ticks": None, "warnings": (), "tick_problem": ""}
    asked["flowId"] = "none"  # the ticks do not depend on it
    try:
        found = await call.api.call("previewSchedule", query={"preview": SHOWN_TICKS}, body=asked)
    except ApiProblem as problem:
        return {"ticks": None, "warnings": (), "tick_problem": _reason(problem)}
    return {"ticks": found.data.next_runs, "warnings": found.data.warnings, "tick_problem": ""}


def _reason(problem: ApiProblem) -> str:
    errors: list[Mapping[str, Any]] = problem.extra.get("errors") or []
    return "; ".join(f"{one.get('field')}: {one.get('message')}" for one in errors) or problem.detail


async def _form(call: PageCall, *, is_new: bool) -> Any:
    flows = await call.api.part("listFlows", query={"limit": MOST_NAMES})
    channels = await call.api.part("listChannels", query={"limit": MOST_NAMES})
    return schedule_form(_names(flows), _names(channels), call.reader.zone_name, is_new=is_new)


def _names(part: Part) -> tuple[str, ...]:
    return tuple(str(msgspec.to_builtins(one)["id"]) for one in part.data or ())


async def _stored(call: PageCall) -> Schedule:
    schedule: Schedule = (await call.api.call("getSchedule", path={"id": call.path["id"]})).data
    return schedule


def state_of(schedule: Schedule, now: datetime) -> str:
    """`disabled`, `finished` (no tick is to come), `late` (a tick is missed, or about to start) or `active`."""
    if not schedule.enabled:
        return "disabled"
    if schedule.next_run_at is None:
        return "finished"
    return "late" if (now - schedule.next_run_at).total_seconds() * 1000 > schedule.misfire_grace_ms else "active"


ROUTES: Final = (
    PageRoute("GET", "/schedules", show_list),
    PageRoute("POST", "/schedules", create),
    PageRoute("GET", "/schedules/new", show_new),
    PageRoute("POST", "/schedules/ticks", show_ticks),
    PageRoute("GET", "/schedules/{id}", show_schedule),
    PageRoute("POST", "/schedules/{id}", change),
    PageRoute("POST", "/schedules/{id}/delete", delete),
)
