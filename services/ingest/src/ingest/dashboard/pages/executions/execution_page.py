"""The page of one execution: the graph with the path taken, its steps, messages and timeline, and why it waits."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from filas.models.executions import FINAL_EXECUTION_STATUSES, ExecutionWithSteps
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard import assets
from ingest.dashboard.page_types import Download, Html, PageAnswer, PageCall, Part
from ingest.dashboard.pages.executions.execution_picture import (
    MAX_SHOWN,
    PictureOrder,
    ShownFlow,
    node_names,
    picture_of,
    type_word,
)
from ingest.dashboard.pages.executions.live_regions import live_regions
from ingest.dashboard.pages.executions.relative_links import query_links
from ingest.dashboard.pages.executions.step_rows import node_of, rows_around, selected_step
from ingest.dashboard.presentation.payload_text import document_text
from ingest.dashboard.presentation.timeline_rows import TimelineRow, timeline_rows

SHOWN_CHARACTERS: Final = 3000
"""What the page shows of the input and of the output of a step. The rest is in the download."""

MESSAGES: Final = 20
TIMELINE: Final = 40
REPLAYS: Final = 5
SECTIONS: Final = ("steps", "messages", "timeline")
ALL_NODES: Final = 1000
LIVE_AFTER_END: Final = timedelta(minutes=10)

ICONS: Final = "vendor/icons.svg"


async def show_execution(call: PageCall) -> Html:
    """Shows an execution. `step` or `node` selects what the panel beside the graph shows."""
    execution = await get_execution(call, call.path["id"])
    is_final = execution.status in FINAL_EXECUTION_STATUSES
    query = {"execution": str(execution.id)}
    cause = await call.api.part("doctor", query=query) if execution.status != "succeeded" else None
    replays = await call.api.part("listExecutions", query={"replayOf": str(execution.id), "limit": str(REPLAYS)})
    flow = await flow_of(call, execution)
    definition = flow.data.definition if flow.ok else None
    node = call.query.get("node")
    step = selected_step(execution, call.query.get("step"), node)
    section = call.query.get("show") if call.query.get("show") in SECTIONS else SECTIONS[0]
    timeline = await call.api.part("getExecutionTimeline", path=call.path) if section == "timeline" else None
    return call.render(
        "executions/execution.html",
        execution=execution,
        is_final=is_final,
        **live_regions(call, is_live(call, execution)),
        cause=cause,
        replays=replays,
        flow=flow,
        picture=await _picture(call, execution, flow, step.seq if step else None, None if step else node),
        names=node_names(definition or {}),
        type_word=type_word,
        step=step,
        node=node_of(definition, node) if step is None else None,
        rows=rows_around(execution.steps, step),
        section=section,
        shown_sections=SECTIONS,
        messages=execution.messages[-MESSAGES:],
        timeline=timeline,
        rows_of_timeline=_timeline_rows(call, timeline),
        timeline_most=TIMELINE,
        query_of=query_links(call),
        shown_characters=SHOWN_CHARACTERS,
        node_query=urlencode({"node": step.node_id}) if step else "",
    )


def _timeline_rows(call: PageCall, timeline: Part | None) -> list[TimelineRow]:
    if timeline is None or not timeline.ok:
        return []
    return timeline_rows(call.reader, timeline.data.entries, datetime.now(UTC))[-TIMELINE:]


async def get_execution(call: PageCall, execution_id: str) -> ExecutionWithSteps:
    """The execution with its steps and messages. Raises ApiProblem."""
    answer = await call.api.call("getExecution", path={"id": execution_id})
    execution: ExecutionWithSteps = answer.data
    return execution


async def flow_of(call: PageCall, execution: ExecutionWithSteps) -> Part:
    """The version of the flow in which the execution runs. It may be deleted."""
    return await call.api.part("getFlow", path={"id": execution.flow_id}, query={"version": str(execution.version)})


def is_live(call: PageCall, execution: ExecutionWithSteps) -> bool:
    """Whether the page is kept up to date. Delivery receipts and replays still come after the end."""
    ended = execution.ended_at
    return not shows_all(call) and (ended is None or datetime.now(UTC) - ended < LIVE_AFTER_END)


def shows_all(call: PageCall) -> bool:
    """Whether all nodes are drawn. A large flow is not drawn again every few seconds, so the page is not live."""
    return call.query.get("graph") == "all"


async def _picture(
    call: PageCall, execution: ExecutionWithSteps, flow: Part, selected: int | None, node: str | None
) -> ShownFlow | None:
    if not flow.ok:
        return None
    order = PictureOrder(
        definition=flow.data.definition,
        created_at=flow.data.created_at,
        execution=execution,
        selected=selected,
        node=node,
        most=ALL_NODES if shows_all(call) else MAX_SHOWN,
        icons=icons(),
    )
    return await picture_of(call, order)


def icons() -> str | None:
    """The address of the sprite, None if it is not installed."""
    return assets.address_of(ICONS) if assets.is_present(ICONS) else None


async def download_step(call: PageCall) -> PageAnswer:
    """The whole input or output of a step, as a file."""
    execution = await get_execution(call, call.path["id"])
    part, number = call.path["part"], call.path["seq"]
    step = selected_step(execution, number, None)
    if step is None or part not in ("input", "output"):
        raise ApiProblem(404, "Not found", f"the execution has no {part[:20]} of step {number[:20]}")
    value: Any = step.input if part == "input" else step.output
    return Download(document_text(value).encode(), f"{execution.id}-{step.seq}-{part}.json")


async def cancel_execution(call: PageCall) -> PageAnswer:
    """Cancels the execution."""
    await call.api.call("cancelExecution", path={"id": call.path["id"]})
    return call.done("executions.cancel-requested")
