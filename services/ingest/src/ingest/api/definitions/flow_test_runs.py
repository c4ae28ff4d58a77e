"""Test runs of flows: the job of a run, and its result. The flow-runner runs it; nothing is stored."""

import asyncio
import time
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.contract.job_factories import flow_test_job
from filas.contract.jobs import FlowTestJob, flow_test_key, replies_version
from filas.contract.policies import FLOWS
from filas.flows import value_limits
from filas.flows.definition.flow_definition import FlowDefinition
from filas.flows.definition.variables import convert
from filas.models.executions import StepRecord
from filas.models.flow_tests import FlowTestCall, FlowTestChatLine, FlowTestResult, FlowTestStatus
from filas.models.record import ErrorDetail, Record
from filas.queue.operations.job_results import JobResult, JobResults
from ingest.api.definitions.flow_test_input import MAX_REPLIES, TestInput, TestTrigger
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import FieldError, invalid, invalid_field
from ingest.event.conversation import ConversationReader

POLLS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2)


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


class TestedFlow(NamedTuple):
    """The flow of a test run: its version (None: it is not stored), its JSON, and its decoded definition."""

    flow_id: str
    version: int | None
    raw: dict[str, Any]
    definition: FlowDefinition


async def start(context: ApiContext, flow: TestedFlow, body: TestInput, *, real_secrets: bool = False) -> UUID:
    """Enqueues a test run and returns its id. Raises the 422 for an input that does not fit the flow, and
    StoreUnavailable."""
    _check_nodes(body, flow.definition)
    channel, contact, message = await _conversation(context, body)
    run_id = new_id()
    replies = [None] * MAX_REPLIES if body.replies is None else msgspec.to_builtins(body.replies)
    job = FlowTestJob(
        run_id=run_id,
        flow_id=flow.flow_id,
        version=flow.version,
        definition=flow.raw,
        node_id=body.node_id,
        trigger={"method": "POST", "webhookId": body.webhook_id, **_scope(body.webhook)},
        message=message,
        channel=channel,
        contact=contact,
        vars=_converted(body, flow.definition),
        outputs=body.outputs,
        replies=replies,
        schema_version=replies_version(replies),
        answers={name: given if isinstance(given, list) else [given] for name, given in body.answers.items()},
        real_secrets=real_secrets or msgspec.UNSET,
    )
    await context.producer.enqueue(flow_test_job(job))
    return run_id


async def ended(context: ApiContext, run_id: UUID, flow_id: str, deadline: float) -> FlowTestView:
    """Waits for the end of a run until `deadline` (of the monotonic clock), and returns it; it may still be
    `running`. Raises StoreUnavailable."""
    polls = iter(POLLS_S)
    while (view := await view_of(context, run_id, flow_id)) is None or view.status == "running":
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        await asyncio.sleep(min(next(polls, POLLS_S[-1]), left_s))
    return view or _running(run_id, flow_id)


async def view_of(context: ApiContext, run_id: UUID, flow_id: str) -> FlowTestView | None:
    """Returns the run, or None if there is none."""
    results, key = JobResults(context.redis), flow_test_key(run_id)
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


def _check_nodes(body: TestInput, checked: FlowDefinition) -> None:
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


def _converted(body: TestInput, checked: FlowDefinition) -> dict[str, Any]:
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


async def _conversation(context: ApiContext, body: TestInput) -> tuple[str | None, str | None, dict[str, Any] | None]:
    """Returns the channel, the contact and the first message."""
    given = body.conversation
    if body.webhook_id is not None:
        webhook = await context.webhooks.get(body.webhook_id)
        if webhook is None:
            raise invalid_field("webhookId", "unknown webhook")
        reader = ConversationReader(str(webhook.auth.get("type", "none")), webhook.conversation)
        found = reader.starts(_scope(body.webhook), "test")
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
