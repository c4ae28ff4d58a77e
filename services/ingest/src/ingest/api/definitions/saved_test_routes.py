"""The routes of saved tests: the input of a test run, and what is expected of it."""

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from filas.contract.storable_text import json_bytes
from filas.flows.definition import flow_definition
from filas.flows.expected_results import Expectation
from filas.models.configuration import FlowTestCase
from ingest.api.definitions.flow_checks import field_errors, imported_and_checked
from ingest.api.definitions.flow_test_input import TestInput
from ingest.api.definitions.flow_test_runs import TestedFlow
from ingest.api.definitions.saved_test_runs import SavedTestResult, run_tests
from ingest.api.routing.identifiers import Deleted, definition_id, existing_id
from ingest.api.routing.problems import conflict, invalid, invalid_field, not_found
from ingest.api.routing.route_types import Answer, Body, Call, Query, Route

MAX_TESTS: Final = 50
MAX_BYTES: Final = 64 * 1024

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/]{1,100}")


class SavedTestBody(Body, frozen=True, kw_only=True):
    """A saved test, as its file has it."""

    request: TestInput = TestInput()
    expect: Expectation = Expectation()


class SavedTestView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A saved test, and who saved it."""

    name: str
    request: dict[str, Any]
    expect: dict[str, Any]
    saved_by: str
    saved_at: datetime


class RunTestsBody(Body, frozen=True, kw_only=True):
    """Which tests are run, and with which definition: by default all, with the published version."""

    definition: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="A definition that is not stored, instead of a version.")
    ] = None
    names: Annotated[list[str], msgspec.Meta(max_length=MAX_TESTS)] | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 20_000


async def list_flow_tests(call: Call[None, Query]) -> Answer:
    """Lists the saved tests of a flow by name."""
    flow_id = existing_id("flow", call.path["id"])
    return Answer([_shown(case) for case in await call.context.flow_tests.list(flow_id)])


async def get_saved_test(call: Call[None, Query]) -> Answer:
    """Returns a saved test."""
    return Answer(_shown(await _stored(call)))


async def put_saved_test(call: Call[SavedTestBody, Query]) -> Answer:
    """Saves a test of a flow, which need not be stored yet."""
    flow_id, name = definition_id(call.path["id"]), call.path["name"]
    if not _NAME.fullmatch(name) or name.strip(". ") != name:
        raise invalid_field("name", "a name has 1 to 100 characters, no `/`, and no space or `.` at its ends")
    request, expect = _without_defaults(call.body.request), msgspec.to_builtins(call.body.expect)
    size = len(json_bytes([request, expect]))
    if size > MAX_BYTES:
        raise invalid_field("request", f"the test has {size:,} bytes; the limit is {MAX_BYTES:,}")
    tests = call.context.flow_tests

    async def store() -> FlowTestCase:
        saved = await tests.save(flow_id, name, request, expect, saved_by=call.audit.who, limit=MAX_TESTS)
        if saved is None:
            raise conflict(f"the flow has {MAX_TESTS} tests, which is the limit: delete one first")
        return saved

    return Answer(_shown(await call.audit.change(store, before=lambda: _before(call), after=_shown)))


async def delete_saved_test(call: Call[None, Query]) -> Answer:
    """Deletes a saved test."""
    flow_id, name = existing_id("flow", call.path["id"]), call.path["name"]
    if not await call.audit.change(lambda: call.context.flow_tests.delete(flow_id, name), before=lambda: _before(call)):
        raise not_found("test", name)
    return Answer(Deleted(id=name))


async def run_saved_tests(call: Call[RunTestsBody, Query]) -> Answer:
    """Runs the saved tests of a flow, and answers how each ended."""
    flow_id, body = definition_id(call.path["id"]), call.body
    cases = await call.context.flow_tests.list(flow_id)
    if body.names is not None:
        known = {case.name for case in cases}
        for name in body.names:
            if name not in known:
                raise invalid_field("names", f"no test {name[:100]!r}")
        cases = [case for case in cases if case.name in body.names]
    flow = await _flow(call, flow_id)
    return Answer(await run_tests(call.context, flow, cases, body.timeout_ms / 1000))


def _without_defaults(request: TestInput) -> dict[str, Any]:
    """The input with the fields that were written: the file of a test is read by people."""
    defaults = msgspec.to_builtins(TestInput())
    return {name: value for name, value in msgspec.to_builtins(request).items() if value != defaults[name]}


async def _flow(call: Call[RunTestsBody, Query], flow_id: str) -> TestedFlow:
    given = call.body.definition
    if given is not None:
        raw, checked, problems = await asyncio.to_thread(imported_and_checked, given)
        if checked is None:
            raise invalid(field_errors(problems, "error"))
        return TestedFlow(flow_id, None, raw, checked)
    stored = await call.context.flows.get(flow_id)
    if stored is None:
        raise not_found("flow", flow_id)
    return TestedFlow(flow_id, stored.version, stored.definition, flow_definition.load(stored.definition))


async def _stored(call: Call[Any, Query]) -> FlowTestCase:
    found = await call.context.flow_tests.get(existing_id("flow", call.path["id"]), call.path["name"])
    if found is None:
        raise not_found("test", call.path["name"])
    return found


async def _before(call: Call[Any, Query]) -> SavedTestView | None:
    found = await call.context.flow_tests.get(call.path["id"], call.path["name"])
    return None if found is None else _shown(found)


def _shown(case: FlowTestCase) -> SavedTestView:
    return SavedTestView(
        name=case.name, request=case.request, expect=case.expect, saved_by=case.saved_by, saved_at=case.saved_at
    )


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/flows/{id}/tests",
        handler=list_flow_tests,
        role="viewer",
        summary="The saved tests of a flow, by name.",
        answer=list[SavedTestView],
        query=Query,
        large=True,
    ),
    # Before `/flows/{id}/tests/{name}`: the router uses the first route that matches.
    Route(
        method="POST",
        path="/flows/{id}/tests/run",
        handler=run_saved_tests,
        role="operator",
        summary="Run the saved tests of a flow, with the published version or with a definition that is not stored.",
        answer=list[SavedTestResult],
        body=RunTestsBody,
        query=Query,
        unaudited="A test run changes nothing.",
    ),
    Route(
        method="GET",
        path="/flows/{id}/tests/{name}",
        handler=get_saved_test,
        role="viewer",
        summary="A saved test of a flow.",
        answer=SavedTestView,
        query=Query,
    ),
    Route(
        method="PUT",
        path="/flows/{id}/tests/{name}",
        handler=put_saved_test,
        role="operator",
        summary="Save a test of a flow. From then on, a version that fails it is not published.",
        answer=SavedTestView,
        body=SavedTestBody,
        query=Query,
        problems=(409,),
    ),
    Route(
        method="DELETE",
        path="/flows/{id}/tests/{name}",
        handler=delete_saved_test,
        role="operator",
        summary="Delete a saved test of a flow.",
        answer=Deleted,
        query=Query,
    ),
)
