"""Runs the saved tests of a flow, before it is published or on request."""

import time
from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from filas.flows.expected_results import Expectation, ResultDifference, result_differences
from filas.models.configuration import FlowTestCase
from ingest.api.definitions import flow_test_runs
from ingest.api.definitions.flow_test_input import TestInput
from ingest.api.definitions.flow_test_runs import TestedFlow
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.problems import FieldError, InvalidFields, invalid

WAIT_S: Final = 20.0
"""How long all tests of a flow may take together before it is published."""


class SavedTestResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a saved test ended. `not-run`: no flow-runner ended it in time. `reason`: why it could not be run, or did not
    end. `differences`: what is not as expected."""

    name: str
    status: Literal["passed", "failed", "not-run"]
    differences: list[ResultDifference] = msgspec.field(default_factory=list)
    reason: str = ""


async def run_tests(
    context: ApiContext, flow: TestedFlow, cases: Sequence[FlowTestCase], wait_s: float | None = None
) -> list[SavedTestResult]:
    """Runs the tests at the same time and returns how each ended, in their order, after at most `wait_s` (by
    default WAIT_S). Raises StoreUnavailable."""
    deadline = time.monotonic() + (WAIT_S if wait_s is None else wait_s)
    started: list[UUID | SavedTestResult] = [await _start(context, flow, case) for case in cases]
    results: list[SavedTestResult] = []
    for case, run in zip(cases, started, strict=True):
        results.append(run if isinstance(run, SavedTestResult) else await _ended(context, flow, case, run, deadline))
    return results


def refuse_failed(results: Sequence[SavedTestResult]) -> None:
    """Raises the 422 that lists every test which did not pass, with `tests` for their results."""
    errors = [
        FieldError(field=f"tests.{one.name}", message=_words(one), code=f"test-{one.status}")
        for one in results
        if one.status != "passed"
    ]
    if errors:
        problem = invalid(errors)
        problem.extra["tests"] = msgspec.to_builtins(list(results))
        raise problem


async def _start(context: ApiContext, flow: TestedFlow, case: FlowTestCase) -> UUID | SavedTestResult:
    try:
        return await flow_test_runs.start(context, flow, msgspec.convert(case.request, TestInput))
    except InvalidFields as problem:  # the flow has changed: a node or a variable of the test is gone
        return SavedTestResult(name=case.name, status="failed", reason=problem.detail)
    except msgspec.ValidationError as error:
        return SavedTestResult(name=case.name, status="failed", reason=f"the test cannot be read: {error}")


async def _ended(
    context: ApiContext, flow: TestedFlow, case: FlowTestCase, run_id: UUID, deadline: float
) -> SavedTestResult:
    view = await flow_test_runs.ended(context, run_id, flow.flow_id, deadline)
    if view.status == "running":
        reason = "no flow-runner has ended it in time: is one running?"
        return SavedTestResult(name=case.name, status="not-run", reason=reason)
    if view.error is not None and view.error.kind == "job":  # it has no result: nothing can be compared
        return SavedTestResult(name=case.name, status="not-run", reason=view.error.message)
    run: dict[str, Any] = msgspec.to_builtins(view)
    found = result_differences(msgspec.convert(case.expect, Expectation), run)
    return SavedTestResult(name=case.name, status="failed" if found else "passed", differences=found)


def _words(result: SavedTestResult) -> str:
    if result.reason:
        return result.reason
    first = result.differences[0]
    more = f" (and {len(result.differences) - 1} more)" if len(result.differences) > 1 else ""
    return f"{first.field}: expected {_text(first.expected)}, found {_text(first.found)}{more}"


def _text(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else text[:119] + "…"
