"""The replay of one execution: where it starts, in which version, and with which body."""

from typing import Any, Final

from filas.contract.identity import new_id
from filas.models.executions import FINAL_EXECUTION_STATUSES, ExecutionWithSteps
from ingest.api.routing.problems import ApiProblem
from ingest.dashboard.page_types import Html, PageAnswer, PageCall, Part
from ingest.dashboard.pages.executions.execution_page import flow_of, get_execution
from ingest.dashboard.pages.executions.execution_picture import node_names

MAX_EDITED: Final = 12_000
"""The longest body that the form shows for editing, in characters."""


async def show_replay(call: PageCall) -> Html:
    """Shows the form. The query string may choose `from`, `node` and `version`."""
    return await _form(call, {name: call.query.get(name, "") for name in ("from", "node", "version")}, None)


async def replay_execution(call: PageCall) -> PageAnswer:
    """Replays the execution, and shows the new one. If the API refuses, the form is shown with what was entered."""
    order: dict[str, Any] = {
        "from": "start" if call.form.get("from") == "node" else call.form.get("from") or "start",
        "version": call.form.get("version") or "own",
        "requestId": call.form.get("request") or str(new_id()),
    }
    if call.form.get("from") == "node":
        order["node"] = call.form.get("node", "")
    try:
        if "body" in call.form and (edited := await _edited(call)) is not None:
            order["bodyText"] = edited
        answer = await call.api.call("replayExecution", path={"id": call.path["id"]}, body=order)
    except ApiProblem as problem:
        if problem.status not in (409, 422):
            raise
        return await _form(call, call.form, problem)
    return call.done("executions.replayed", f"/dashboard/executions/{answer.data.id}")


async def _edited(call: PageCall) -> str | None:
    """The body of the form, None if it is that of the event."""
    execution, edited = await get_execution(call, call.path["id"]), _lines(call.form["body"])
    event = await _event(call, execution)
    if event is not None and event.ok and edited == _lines(event.data.body):
        return None
    return edited


async def _form(call: PageCall, chosen: Any, problem: ApiProblem | None) -> Html:
    execution = await get_execution(call, call.path["id"])
    event = await _event(call, execution)
    flow = await flow_of(call, execution)
    newest = await call.api.part("getFlow", path={"id": execution.flow_id})
    body = event.data.body if event is not None and event.ok and event.data.body_encoding == "utf-8" else None
    return call.render(
        "executions/replay.html",
        status=200 if problem is None else problem.status,
        execution=execution,
        is_final=execution.status in FINAL_EXECUTION_STATUSES,
        flow=flow,
        newest=newest,
        names=node_names(flow.data.definition if flow.ok else {}),
        event=event,
        body=None if body is None else _lines(body),
        editable=body is not None and len(body) <= MAX_EDITED,
        edited=_lines(chosen.get("body", "")) if "body" in chosen else None,
        chosen=chosen,
        has_failed=any(step.status == "failed" for step in execution.steps),
        problem=problem,
        request=chosen.get("request") or str(new_id()),
    )


async def _event(call: PageCall, execution: ExecutionWithSteps) -> Part | None:
    if execution.event_id is None:
        return None
    return await call.api.part("getEvent", path={"id": str(execution.event_id)})


def _lines(text: str) -> str:
    """The text with the line ends of Unix: a form sends those of DOS."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
