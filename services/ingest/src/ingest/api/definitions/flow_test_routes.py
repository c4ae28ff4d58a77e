"""The routes of test runs. The flow-runner runs a test as a job; the route waits for its result. Nothing is stored."""

import asyncio
import time
from typing import Any

from filas.flows.definition import flow_definition
from ingest.api.definitions import flow_test_runs
from ingest.api.definitions.flow_checks import field_errors, imported_and_checked
from ingest.api.definitions.flow_test_input import FlowTestBody
from ingest.api.definitions.flow_test_runs import FlowTestView, TestedFlow
from ingest.api.routing.access import require
from ingest.api.routing.identifiers import definition_id, existing_id
from ingest.api.routing.problems import invalid, invalid_field, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, Query, Route


async def test_flow(call: Call[FlowTestBody, Query]) -> Answer:
    """Runs a flow as a test and answers with its trace, or with 202 and the id of the run if it takes longer."""
    flow_id = definition_id(call.path["id"])
    body = call.body
    if body.real_secrets:
        require("admin", call.client.role)
    else:
        call.audit.nothing_changed()
    run_id = await flow_test_runs.start(call.context, await _flow(call, flow_id), body, real_secrets=body.real_secrets)
    call.audit.after = {"runId": str(run_id), "realSecrets": body.real_secrets}
    deadline = time.monotonic() + body.timeout_ms / 1000
    view = await flow_test_runs.ended(call.context, run_id, flow_id, deadline)
    return Answer(view, done=view.status != "running")


async def get_flow_test(call: Call[None, Query]) -> Answer:
    """Returns a recent test run."""
    flow_id = existing_id("flow", call.path["id"])
    run_id = parse_row_id("test run", call.path["runId"])
    view = await flow_test_runs.view_of(call.context, run_id, flow_id)
    if view is None or view.flow_id != flow_id:
        raise not_found("test run", run_id)
    return Answer(view, done=view.status != "running")


async def _flow(call: Call[FlowTestBody, Query], flow_id: str) -> TestedFlow:
    """Returns the flow of the test run."""
    body = call.body
    if body.definition is not None:
        if body.version is not None:
            raise invalid_field("version", "give either `version` or `definition`")
        raw, checked, problems = await asyncio.to_thread(imported_and_checked, body.definition)
        if checked is None:
            raise invalid(field_errors(problems, "error"))
        return TestedFlow(flow_id, None, raw, checked)
    stored = await call.context.flows.get(existing_id("flow", flow_id), body.version)
    if stored is None:
        raise not_found("flow", flow_id if body.version is None else f"{flow_id}, version {body.version}")
    return TestedFlow(flow_id, stored.version, stored.definition, flow_definition.load(stored.definition))


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
