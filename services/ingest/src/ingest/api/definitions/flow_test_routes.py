"""The routes of test runs. The flow-runner runs a test as a job; the route waits for its result. Nothing is stored."""

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.contract.job_factories import flow_test_job
from filas.contract.jobs import FlowTestJob, GivenAnswer, flow_test_key, replies_version
from filas.contract.policies import FLOWS
from filas.flows import value_limits
from filas.flows.definition import flow_definition
from filas.flows.definition.flow_definition import FlowDefinition
from filas.flows.definition.variables import convert
from filas.models.event_kinds import ContentKind
from filas.models.executions import StepRecord
from filas.models.flow_tests import ANY_CHANNEL, FlowTestCall, FlowTestChatLine, FlowTestResult, FlowTestStatus
from filas.models.record import ErrorDetail, Record
from filas.queue.operations.job_results import JobResult, JobResults
from ingest.api.definitions.flow_checks import field_errors, imported_and_checked
from ingest.api.routing.access import require
from ingest.api.routing.identifiers import definition_id, existing_id
from ingest.api.routing.problems import FieldError, invalid, invalid_field, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route
from ingest.event.conversation import ConversationReader

POLLS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2)

MAX_REPLIES: Final = 1000

Text = Annotated[str, msgspec.Meta(max_length=65_536)]


class TestTrigger(Body, frozen=True, kw_only=True):
    """The event that starts the flow."""

    body: Any = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query_params: dict[str, str | list[str]] = msgspec.field(default_factory=dict)


class TestConversation(Body, frozen=True, kw_only=True):
    """The contact, the channel and the first message."""

    contact: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "test"
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = ANY_CHANNEL
    text: Text | None = None


class TestMessage(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A message that is not only a text: a medium, a place, a form, or a pressed button."""

    kind: ContentKind
    text: Text | None = None
    data: dict[str, Any] | None = None
    media: dict[str, Any] | None = None


class FlowTestBody(Body, frozen=True, kw_only=True):
    """The input of a test run. `{}` runs the published version with an empty event."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    definition: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="A definition that is not stored, instead of a version.")
    ] = None
    node_id: Annotated[str | None, msgspec.Meta(description="The first node, instead of the trigger.")] = None
    webhook: TestTrigger = TestTrigger()
    webhook_id: Annotated[
        str | None, msgspec.Meta(description="Find the conversation in `webhook` as this stored webhook does.")
    ] = None
    conversation: Annotated[
        TestConversation | None, msgspec.Meta(description="null: the flow runs without a conversation.")
    ] = TestConversation()
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: Annotated[dict[str, Any], msgspec.Meta(description="Outputs of nodes before `nodeId`.")] = msgspec.field(
        default_factory=dict
    )
    replies: Annotated[
        Annotated[list[Text | TestMessage | list[Text | TestMessage] | None], msgspec.Meta(max_length=MAX_REPLIES)]
        | None,
        msgspec.Meta(
            description="Replies of the contact: texts, messages, or lists of both, which arrive as a burst; "
            "null: no reply until the wait times out. Null instead of the list: the contact never replies.",
        ),
    ] = msgspec.field(default_factory=list)
    answers: Annotated[
        dict[str, GivenAnswer | list[GivenAnswer]],
        msgspec.Meta(description="By node, the responses to its calls or messages. The last one is repeated."),
    ] = msgspec.field(default_factory=dict)
    real_secrets: Annotated[
        bool,
        msgspec.Meta(description="Use the real secrets instead of `secret:NAME`. Needs the role admin."),
    ] = False
    timeout_ms: Annotated[
        int, msgspec.Meta(ge=0, le=60_000, description="How long to wait for the result before the answer 202.")
    ] = 5_000


class FlowTestView(Record, frozen=True, kw_only=True):
    """A test run: `running`, or its result."""

    id: str
    status: Literal[FlowTestStatus, "running"]
    flow_id: str
    version: int | None = None
    steps: list[StepRecord] = msgspec.field(default_factory=list)
    calls: list[FlowTestCall] = msgspec.field(default_factory=list)
    chat: list[FlowTestChatLine] = msgspec.field(default_factory=list)
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    output: Any = None
    error: ErrorDetail | None = None
    error_flow_id: str | None = None
    undelivered: int = 0
    undelivered_flow_id: str | None = None
    unused_replies: int = 0
    left_out: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    took_ms: float = 0.0


async def test_flow(call: Call[FlowTestBody, Query]) -> Answer:
    """Runs a flow as a test and answers with its trace, or with 202 and the id of the run if it takes longer."""
    flow_id = definition_id(call.path["id"])
    body = call.body
    if body.real_secrets:
        require("admin", call.client.role)
    else:
        call.audit.nothing_changed()
    version, raw, checked = await _flow(call, flow_id)
    _check_nodes(body, checked)
    channel, contact, message = await _conversation(call)
    run_id = new_id()
    call.audit.after = {"runId": str(run_id), "realSecrets": body.real_secrets}
    replies = [None] * MAX_REPLIES if body.replies is None else msgspec.to_builtins(body.replies)
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
        replies=replies,
        schema_version=replies_version(replies),
        answers={name: given if isinstance(given, list) else [given] for name, given in body.answers.items()},
        real_secrets=body.real_secrets or msgspec.UNSET,
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
    """Returns a recent test run."""
    flow_id = existing_id("flow", call.path["id"])
    run_id = parse_row_id("test run", call.path["runId"])
    view = await _view(call, run_id, flow_id)
    if view is None or view.flow_id != flow_id:
        raise not_found("test run", run_id)
    return Answer(view, done=view.status != "running")


async def _flow(call: Call[FlowTestBody, Query], flow_id: str) -> tuple[int | None, dict[str, Any], FlowDefinition]:
    """Returns the flow of the test run: its version (None: not stored), its JSON, and its decoded definition."""
    body = call.body
    if body.definition is not None:
        if body.version is not None:
            raise invalid_field("version", "give either `version` or `definition`")
        raw, checked, problems = await asyncio.to_thread(imported_and_checked, body.definition)
        if checked is None:
            raise invalid(field_errors(problems, "error"))
        return None, raw, checked
    stored = await call.context.flows.get(existing_id("flow", flow_id), body.version)
    if stored is None:
        raise not_found("flow", flow_id if body.version is None else f"{flow_id}, version {body.version}")
    return stored.version, stored.definition, flow_definition.load(stored.definition)


def _check_nodes(body: FlowTestBody, checked: FlowDefinition) -> None:
    """Raises the 422 that lists every node that the flow does not have."""
    nodes = {node.id for node in checked.nodes}
    named = [("nodeId", name) for name in (body.node_id,) if name is not None]
    named += [(f"outputs.{name}", name) for name in body.outputs] + [(f"answers.{name}", name) for name in body.answers]
    errors = [
        FieldError(field=field[: value_limits.MAX_ID_CHARS], message=f"unknown node {name[:64]!r}")
        for field, name in named
        if name not in nodes
    ]
    errors += [
        FieldError(field=f"answers.{name}", message="empty list") for name, given in body.answers.items() if given == []
    ]
    if errors:
        raise invalid(errors)


def _converted(body: FlowTestBody, checked: FlowDefinition) -> dict[str, Any]:
    """Returns the given variables converted to their types. Raises the 422 for an unknown name and a wrong value."""
    declared = {variable.name: variable for variable in checked.variables}
    values: dict[str, Any] = {}
    for name, value in body.vars.items():
        field = f"vars.{name[:64]}"
        if name not in declared:
            raise invalid_field(field, "unknown variable")
        try:
            values[name] = convert(declared[name], value)
        except ValueError as error:
            raise invalid_field(field, str(error)) from None
    return values


async def _conversation(call: Call[FlowTestBody, Query]) -> tuple[str | None, str | None, dict[str, Any] | None]:
    """Returns the channel, the contact and the first message."""
    given = call.body.conversation
    if call.body.webhook_id is not None:
        webhook = await call.context.webhooks.get(call.body.webhook_id)
        if webhook is None:
            raise invalid_field("webhookId", "unknown webhook")
        reader = ConversationReader(str(webhook.auth.get("type", "none")), webhook.conversation)
        found = reader.starts(_scope(call.body.webhook), "test")
        if not found.starts:
            raise invalid_field("webhook", f"no part of it starts a flow ({found.reason})")
        start = found.starts[0]
        if start.lacking is not None:
            raise invalid_field("webhook", start.lacking.detail)
        return start.channel, start.contact, None if start.message is None else msgspec.to_builtins(start.message)
    if given is None:
        return None, None, None
    for name, text in (("contact", given.contact), ("channel", given.channel)):
        if "{{" in text or "{%" in text:
            problem = f"is a template, {text[:80]!r}: write the {name} itself, or give `webhookId`"
            raise invalid_field(f"conversation.{name}", problem)
    message = {"id": "test", "kind": "text", "text": given.text, "contact": given.contact}
    return given.channel, given.contact, message


def _scope(given: TestTrigger) -> dict[str, Any]:
    """Returns the event as templates see it: header names are in lower case."""
    headers = {name.lower(): value for name, value in given.headers.items()}
    return {"body": given.body, "headers": headers, "queryParams": given.query_params}


async def _view(call: Call[Any, Query], run_id: UUID, flow_id: str) -> FlowTestView | None:
    """Returns the run, or None if there is none."""
    results, key = JobResults(call.context.redis), flow_test_key(run_id)
    found = await results.get(FLOWS, key)
    if found is None:
        if await results.is_pending(FLOWS, key):
            return _running(run_id, flow_id)
        # The run may have ended between the two reads.
        found = await results.get(FLOWS, key)
    return None if found is None else _ended(run_id, flow_id, found)


def _running(run_id: UUID, flow_id: str) -> FlowTestView:
    return FlowTestView(id=str(run_id), status="running", flow_id=flow_id)


def _ended(run_id: UUID, flow_id: str, found: JobResult) -> FlowTestView:
    if not found.success:
        error = ErrorDetail(kind="job", message="the job of the test run failed; the reason is in its dead letter")
        return FlowTestView(id=str(run_id), status="failed", flow_id=flow_id, error=error)
    result = msgspec.convert(found.value, FlowTestResult)
    return FlowTestView(id=str(run_id), **msgspec.structs.asdict(result))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/flows/{id}/test",
        handler=test_flow,
        role="operator",
        summary="Run a flow as a test, without outbound calls and without waiting. Answers with its trace.",
        answer=FlowTestView,
        body=FlowTestBody,
        query=Query,
        may_continue=True,
    ),
    Route(
        method="GET",
        path="/flows/{id}/test/{runId}",
        handler=get_flow_test,
        role="viewer",
        summary="A test run of the last 15 minutes.",
        answer=FlowTestView,
        query=Query,
        may_continue=True,
    ),
)
