"""Every handle of every node type is taken, in one table. A new handle needs a row here."""

from typing import Any, NamedTuple

import pytest

from filas.contract.jobs import GivenAnswer
from filas.flows.definition.flow_definition import load
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.publishing_checks import check
from tests.flow_runner.harness import flow, node
from tests.flow_runner.test_flow_test import path, run_of

VARIABLES = [{"name": "n", "type": "number", "default": 1}]


class Case(NamedTuple):
    """A node, the handle by which it is left, and what the test defines for that."""

    kind: str
    way: str
    data: dict[str, Any]
    given: dict[str, Any] | None = None


CHOICE = {"prompt": "?", "kind": "choice", "choices": [{"id": "a", "title": "A"}], "maxRetries": 0}
BROKEN = {"answers": {"x": [GivenAnswer(error="communication")]}}
UNSENT = {"answers": {"x": [GivenAnswer(error="undelivered")]}}
FAILING = {"onError": "branch"}
WAYS = [
    Case("message", "out", {"text": "oi"}),
    Case("message", "error", {"text": "{{ webhook.body.nothing }}", **FAILING}),
    Case("message", "error", {"text": "oi", **FAILING}, UNSENT),
    Case("condition", "true", {"rules": [{"variable": "{{ vars.n }}", "operator": "is-set"}]}),
    Case("condition", "false", {"expression": "vars.n > 1"}),
    Case("switch", "a", {"cases": [{"id": "a", "expression": "vars.n == 1"}]}),
    Case("switch", "default", {"cases": [{"id": "a", "expression": "vars.n == 2"}]}),
    Case("api", "out", {"url": "https://a.example"}),
    Case("api", "error", {"url": "https://a.example", **FAILING}, BROKEN),
    Case("delay", "out", {"ms": 1000}),
    Case("webhook", "out", {"mode": "send", "url": "https://a.example"}),
    Case("webhook", "error", {"mode": "send", "url": "https://a.example", **FAILING}, BROKEN),
    Case("input", "out", {"prompt": "?"}, {"replies": ["Ana"]}),
    Case("input", "a", CHOICE, {"replies": ["1"]}),
    Case("input", "other", CHOICE, {"replies": ["z"]}),
    Case("input", "error", {"prompt": "?", **FAILING}, UNSENT),
    Case("input", "invalid", CHOICE, {"replies": ["z"]}),
    Case("input", "timeout", {"prompt": "?", "timeoutMs": 1000}, {"replies": [None]}),
    Case("set-variable", "out", {"assignments": [{"variable": "n", "value": 2}]}),
    Case("loop", "loop", {"items": "{{ 'a' | split: ',' }}"}),
    Case("loop", "done", {"items": "{{ '' | split: ',' }}"}),
    Case("notify", "out", {"channel": "mail", "to": "a@b.example", "text": "oi"}),
    Case("notify", "error", {"channel": "mail", "to": "a@b.example", "text": "{{ vars.n | remove: '1' }}", **FAILING}),
    Case("subflow", "error", {"flowId": "nowhere", **FAILING}),
]
ELSEWHERE = {
    ("webhook", "timeout"): "test_waits.py",
    ("subflow", "out"): "test_subflows.py",
    ("end", None): "test_nodes.py",
}
"""Handles that need a test of their own."""


@pytest.mark.parametrize("case", WAYS, ids=[f"{case.kind} {case.way}" for case in WAYS])
async def test_a_handle_is_taken(case: Case) -> None:
    there = node("there", "end", output=case.way)
    definition = flow(
        node("x", case.kind, **case.data), there, edges=f"start>x x.{case.way}>there", variables=VARIABLES
    )
    result = await run_of(definition, **(case.given or {}))
    assert (result.status, path(result)[-1], result.output) == ("succeeded", "there", case.way)


def test_the_table_has_every_handle() -> None:
    """Of the nodes in the table, which has every type."""
    taken = {(case.kind, case.way) for case in WAYS} | set(ELSEWHERE)
    assert {kind for kind, _ in taken} == set(NODE_TYPES)
    for case in WAYS:
        definition = flow(node("x", case.kind, **case.data), edges="start>x", variables=VARIABLES)
        _, problems = check(definition)
        checked = load(definition)
        assert {one.code for one in problems if one.severity == "error"} <= {"error-edge-missing"}
        assert {(case.kind, way) for way in checked.nodes[1].data.handles()} <= taken
