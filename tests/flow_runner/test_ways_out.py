"""Every way out of every node type is taken, in one table; nobody adds one without a row here."""

from typing import Any, NamedTuple

import pytest

from filas.contract.jobs import GivenAnswer
from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.publishing_checks import check
from tests.flow_runner.harness import flow, node
from tests.flow_runner.test_flow_test import path, run_of

VARIABLES = [{"name": "n", "type": "number", "default": 1}]


class Way(NamedTuple):
    """A node, the way by which it is left, and what is given for that."""

    kind: str
    way: str
    data: dict[str, Any]
    given: dict[str, Any] | None = None


CHOICE = {"prompt": "?", "kind": "choice", "choices": [{"id": "a", "title": "A"}], "maxRetries": 0}
BROKEN = {"answers": {"x": [GivenAnswer(error="communication")]}}
FAILING = {"onError": "branch"}
WAYS = [
    Way("message", "out", {"text": "oi"}),
    Way("message", "error", {"text": "{{ webhook.body.nothing }}", **FAILING}),
    Way("condition", "true", {"rules": [{"variable": "{{ vars.n }}", "operator": "is-set"}]}),
    Way("condition", "false", {"expression": "vars.n > 1"}),
    Way("switch", "a", {"cases": [{"id": "a", "expression": "vars.n == 1"}]}),
    Way("switch", "default", {"cases": [{"id": "a", "expression": "vars.n == 2"}]}),
    Way("api", "out", {"url": "https://a.example"}),
    Way("api", "error", {"url": "https://a.example", **FAILING}, BROKEN),
    Way("delay", "out", {"ms": 1000}),
    Way("webhook", "out", {"mode": "send", "url": "https://a.example"}),
    Way("webhook", "error", {"mode": "send", "url": "https://a.example", **FAILING}, BROKEN),
    Way("input", "out", {"prompt": "?"}, {"replies": ["Ana"]}),
    Way("input", "a", CHOICE, {"replies": ["1"]}),
    Way("input", "invalid", CHOICE, {"replies": ["z"]}),
    Way("input", "timeout", {"prompt": "?", "timeoutMs": 1000}, {"replies": [None]}),
    Way("set-variable", "out", {"assignments": [{"variable": "n", "value": 2}]}),
    Way("loop", "loop", {"items": "{{ 'a' | split: ',' }}"}),
    Way("loop", "done", {"items": "{{ '' | split: ',' }}"}),
    Way("notify", "out", {"channel": "mail", "to": "a@b.example", "text": "oi"}),
    Way("notify", "error", {"channel": "mail", "to": "a@b.example", "text": "{{ vars.n | remove: '1' }}", **FAILING}),
    Way("subflow", "error", {"flowId": "nowhere", **FAILING}),
]
ELSEWHERE = {
    ("webhook", "timeout"): "test_waits.py",
    ("subflow", "out"): "test_subflows.py",
    ("end", None): "test_nodes.py",
}
"""What needs more than a row."""


@pytest.mark.parametrize("case", WAYS, ids=[f"{case.kind} {case.way}" for case in WAYS])
async def test_a_way_out_is_taken(case: Way) -> None:
    there = node("there", "end", output=case.way)
    definition = flow(
        node("x", case.kind, **case.data), there, edges=f"start>x x.{case.way}>there", variables=VARIABLES
    )
    result = await run_of(definition, **(case.given or {}))
    assert (result.status, path(result)[-1], result.output) == ("succeeded", "there", case.way)


def test_no_way_out_is_left_out() -> None:
    """Of the nodes as they are in the table, which has every type."""
    taken = {(case.kind, case.way) for case in WAYS} | set(ELSEWHERE)
    assert {kind for kind, _ in taken} == set(NODE_TYPES)
    for case in WAYS:
        checked, problems = check(flow(node("x", case.kind, **case.data), edges="start>x", variables=VARIABLES))
        assert checked is not None, problems
        assert {(case.kind, way) for way in checked.nodes[1].data.ways_out()} <= taken
