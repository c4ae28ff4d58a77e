"""Test runs of flows: the flow-runner runs them, as a job whose result is waited for here. Nothing is stored."""

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.contract.job_factories import flow_test_job
from filas.contract.jobs import FlowTestJob, GivenAnswer, flow_test_key
from filas.contract.policies import FLOWS
from filas.flows import publishing_checks, value_limits
from filas.flows.definition import flow_definition, older_builder_import
from filas.flows.definition.flow_definition import FlowDefinition
from filas.flows.definition.variables import convert
from filas.models.executions import StepRecord
from filas.models.flow_tests import FlowTestCall, FlowTestResult, FlowTestStatus
from filas.models.record import ErrorDetail, Record
from filas.queue.operations.job_results import JobResult, JobResults
from ingest.api.routing.identifiers import known, to_store
from ingest.api.routing.problems import FieldError, absent, invalid, invalid_field, row_id
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route
from ingest.event.conversation import ConversationReader

POLLS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2)

Text = Annotated[str, msgspec.Meta(max_length=65_536)]


class TriggerGiven(Body, frozen=True, kw_only=True):
    """The webhook that starts the flow."""

    body: Any = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query_params: dict[str, str | list[str]] = msgspec.field(default_factory=dict)


class ConversationGiven(Body, frozen=True, kw_only=True):
    """Who writes, over which channel, and what."""

    contact: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "test"
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = "test"
    text: Text | None = None


class FlowTestBody(Body, frozen=True, kw_only=True):
    """What a test run is given. `{}` runs the published version on an empty webhook."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    definition: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="A flow that is not stored, in place of a version.")
    ] = None
    node_id: Annotated[str | None, msgspec.Meta(description="Where to begin, if not where the flow does.")] = None
    webhook: TriggerGiven = TriggerGiven()
    webhook_id: Annotated[
        str | None, msgspec.Meta(description="Find the conversation in `webhook` as this webhook would.")
    ] = None
    conversation: Annotated[
        ConversationGiven | None, msgspec.Meta(description="null: the flow runs outside of any conversation.")
    ] = ConversationGiven()
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: Annotated[dict[str, Any], msgspec.Meta(description="Outputs of nodes before `nodeId`.")] = msgspec.field(
        default_factory=dict
    )
    replies: Annotated[
        list[Text | None],
        msgspec.Meta(max_length=1000, description="What the contact answers; null: nothing, until the wait is over."),
    ] = msgspec.field(default_factory=list)
    answers: Annotated[
        dict[str, GivenAnswer | list[GivenAnswer]],
        msgspec.Meta(description="By node, what its calls are answered, the last one for all that follow."),
    ] = msgspec.field(default_factory=dict)
    timeout_ms: Annotated[
        int, msgspec.Meta(ge=0, le=60_000, description="How long to wait for the result before answering 202.")
    ] = 5_000


class FlowTestView(Record, frozen=True, kw_only=True):
    """A test run: `running`, or its result."""

    id: str
    status: Literal[FlowTestStatus, "running"]
    flow_id: str
    version: int | None = None
    steps: list[StepRecord] = msgspec.field(default_factory=list)
    calls: list[FlowTestCall] = msgspec.field(default_factory=list)
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    output: Any = None
    error: ErrorDetail | None = None
    error_flow_id: str | None = None
    unused_replies: int = 0
    left_out: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    took_ms: float = 0.0


async def test_flow(call: Call[FlowTestBody, Query]) -> Answer:
    """Run a flow as a test and answer with its trace; 202 with the run's id where that takes longer."""
    flow_id = to_store(call.path["id"])
    body = call.body
    version, raw, checked = await _flow(call, flow_id)
    _check_given(body, checked)
    channel, contact, message = await _conversation(call)
    run_id = new_id()
    job = FlowTestJob(
        run_id=run_id,
        flow_id=flow_id,
        version=version,
        definition=raw,
        node_id=body.node_id,
        trigger={"method": "POST", "webhookId": body.webhook_id, **_scope(body.webhook)},
        message=message,
        channel=channel,
        contact=contact,
        vars=_converted(body, checked),
        outputs=body.outputs,
        replies=body.replies,
        answers={name: given if isinstance(given, list) else [given] for name, given in body.answers.items()},
    )
    await call.context.producer.enqueue(flow_test_job(job))
    deadline = time.monotonic() + body.timeout_ms / 1000
    polls = iter(POLLS_S)
    while (view := await _view(call, run_id, flow_id)) is None or view.status == "running":
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        await asyncio.sleep(min(next(polls, POLLS_S[-1]), left_s))
    view = view or _running(run_id, flow_id)
    return Answer(view, done=view.status != "running")


async def get_flow_test(call: Call[None, Query]) -> Answer:
    """Show a test run of the last minutes."""
    flow_id = known("flow", call.path["id"])
    run_id = row_id("test run", call.path["runId"])
    view = await _view(call, run_id, flow_id)
    if view is None or view.flow_id != flow_id:
        raise absent("test run", run_id)
    return Answer(view, done=view.status != "running")


async def _flow(call: Call[FlowTestBody, Query], flow_id: str) -> tuple[int | None, dict[str, Any], FlowDefinition]:
    """The flow to be run: the version's number (None: it is not stored), as it was written, and decoded."""
    body = call.body
    if body.definition is not None:
        if body.version is not None:
            raise invalid_field("version", "is given with a definition: one of the two is to be run")
        raw = older_builder_import.converted(body.definition)
        checked, problems = await asyncio.to_thread(publishing_checks.check, raw)
        if checked is None:
            raise invalid([FieldError(node_id=one.node_id, field=one.field, message=one.message) for one in problems])
        return None, raw, checked
    stored = await call.context.flows.get(known("flow", flow_id), body.version)
    if stored is None:
        raise absent("flow", flow_id if body.version is None else f"{flow_id}, version {body.version}")
    return stored.version, stored.definition, flow_definition.load(stored.definition)


def _check_given(body: FlowTestBody, checked: FlowDefinition) -> None:
    """422 for every name that the flow doesn't know."""
    nodes = {node.id for node in checked.nodes}
    named = [("nodeId", name) for name in (body.node_id,) if name is not None]
    named += [(f"outputs.{name}", name) for name in body.outputs] + [(f"answers.{name}", name) for name in body.answers]
    errors = [
        FieldError(field=field[: value_limits.MAX_ID_CHARS], message=f"the flow has no node {name[:64]!r}")
        for field, name in named
        if name not in nodes
    ]
    errors += [
        FieldError(field=f"answers.{name}", message="is empty") for name, given in body.answers.items() if given == []
    ]
    if errors:
        raise invalid(errors)


def _converted(body: FlowTestBody, checked: FlowDefinition) -> dict[str, Any]:
    """The given variables as their types; 422 for one that the flow doesn't have, or that doesn't fit."""
    declared = {variable.name: variable for variable in checked.variables}
    values: dict[str, Any] = {}
    for name, value in body.vars.items():
        field = f"vars.{name[:64]}"
        if name not in declared:
            raise invalid_field(field, "the flow has no such variable")
        try:
            values[name] = convert(declared[name], value)
        except ValueError as error:
            raise invalid_field(field, str(error)) from None
    return values


async def _conversation(call: Call[FlowTestBody, Query]) -> tuple[str | None, str | None, dict[str, Any] | None]:
    """Channel, contact and first message."""
    given = call.body.conversation
    if call.body.webhook_id is not None:
        webhook = await call.context.webhooks.get(call.body.webhook_id)
        if webhook is None:
            raise invalid_field("webhookId", "there is no such webhook")
        reader = ConversationReader(str(webhook.auth.get("type", "none")), webhook.conversation)
        starts = reader.starts(_scope(call.body.webhook), "test")
        if not starts:
            raise invalid_field("webhook", "nothing in it starts a flow")
        start = starts[0]
        return start.channel, start.contact, None if start.message is None else msgspec.to_builtins(start.message)
    if given is None:
        return None, None, None
    message = {"id": "test", "kind": "text", "text": given.text, "contact": given.contact}
    return given.channel, given.contact, message


def _scope(given: TriggerGiven) -> dict[str, Any]:
    """The webhook as templates see one: its headers have lower-case names."""
    headers = {name.lower(): value for name, value in given.headers.items()}
    return {"body": given.body, "headers": headers, "queryParams": given.query_params}


async def _view(call: Call[Any, Query], run_id: UUID, flow_id: str) -> FlowTestView | None:
    """The run as it is; None: there is none."""
    results, key = JobResults(call.context.redis), flow_test_key(run_id)
    found = await results.get(FLOWS, key)
    if found is None:
        if await results.is_pending(FLOWS, key):
            return _running(run_id, flow_id)
        # It may have ended between the two looks.
        found = await results.get(FLOWS, key)
    return None if found is None else _ended(run_id, flow_id, found)


def _running(run_id: UUID, flow_id: str) -> FlowTestView:
    return FlowTestView(id=str(run_id), status="running", flow_id=flow_id)


def _ended(run_id: UUID, flow_id: str, found: JobResult) -> FlowTestView:
    if not found.success:
        error = ErrorDetail(kind="job", message="the job of the test run failed; its dead letter says why")
        return FlowTestView(id=str(run_id), status="failed", flow_id=flow_id, error=error)
    result = msgspec.convert(found.value, FlowTestResult)
    return FlowTestView(id=str(run_id), **msgspec.structs.asdict(result))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/flows/{id}/test",
        handler=test_flow,
        role="operator",
        summary="Run a flow, stored or not, as a test: nothing goes outside, waits take no time. Answers its trace.",
        answer=FlowTestView,
        body=FlowTestBody,
        query=Query,
        may_go_on=True,
    ),
    Route(
        method="GET",
        path="/flows/{id}/test/{runId}",
        handler=get_flow_test,
        role="viewer",
        summary="A test run of the last 15 minutes.",
        answer=FlowTestView,
        query=Query,
        may_go_on=True,
    ),
)
