"""`switch` and `condition` with rules and with CEL: the handle, and what the trace shows."""

from typing import Any

import pytest

from filas.flows.publishing_checks import check
from tests.flow_runner.harness import Harness, chain, flow, node, path, step

RULE = {"variable": "{{ webhook.body.choice }}", "operator": "equals", "value": "1"}
CASES: list[dict[str, Any]] = [
    {"id": "sales", "rules": [RULE]},
    {"id": "help", "expression": 'webhook.body.choice in ["2", "help"] && webhook.body.open'},
    {
        "id": "any",
        "logic": "or",
        "rules": [
            {"variable": "{{ webhook.body.choice }}", "operator": "starts-with", "value": "x"},
            {"variable": "{{ webhook.body.vip }}", "operator": "equals", "value": True},
        ],
    },
]
WAYS = ("sales", "help", "any", "default")
SWITCH = flow(
    node("which", "switch", cases=CASES),
    *(node(f"to-{way}", "end", output=way) for way in WAYS),
    edges="start>which " + " ".join(f"which.{way}>to-{way}" for way in WAYS),
)


def _body(**fields: Any) -> dict[str, Any]:
    return {"body": fields, "headers": {}, "queryParams": {}}


@pytest.mark.parametrize(
    ("body", "way", "looked_at"),
    [
        ({"choice": "1", "vip": True}, "sales", 1),
        ({"choice": 1}, "sales", 1),
        ({"choice": "2", "open": True}, "help", 2),
        ({"choice": "help", "open": True}, "help", 2),
        ({"choice": "2", "open": False, "vip": True}, "any", 3),
        ({"choice": "2"}, "default", 3),
        ({"choice": "xyz"}, "any", 3),
        ({}, "default", 3),
    ],
)
async def test_the_first_case_that_holds_is_the_handle(body: dict[str, Any], way: str, looked_at: int) -> None:
    """The cases after it are not evaluated."""
    row = await Harness().run(SWITCH, webhook=_body(**body))
    which = step(row, "which")
    assert (row.output, which.handle, which.output) == (way, way, {"case": way})
    assert [case["id"] for case in which.input["cases"]] == ["sales", "help", "any"][:looked_at]


async def test_a_handle_without_an_edge_ends_the_path() -> None:
    row = await Harness().run(
        flow(node("which", "switch", cases=CASES), edges="start>which"), webhook=_body(choice="1")
    )
    assert (row.status, path(row)) == ("succeeded", ["start", "which"])


@pytest.mark.parametrize(("n", "way"), [(5, "false"), (6, "true"), (None, "false")])
async def test_a_condition_may_be_an_expression(n: Any, way: str) -> None:
    row = await Harness().run(chain_condition("webhook.body.n > 5"), webhook=_body(n=n))
    taken = step(row, "is")
    assert (taken.handle, taken.input) == (way, {"expression": "webhook.body.n > 5"})


@pytest.mark.parametrize("kind", ["condition", "switch"])
async def test_an_expression_without_a_boolean_fails_its_node(kind: str) -> None:
    """The error names the expression and the reason."""
    expression = "webhook.body.n > 5"
    data: dict[str, Any] = {"expression": expression}
    data = data if kind == "condition" else {"cases": [{"id": "a", **data}]}
    row = await Harness().run(flow(node("is", kind, **data), edges="start>is"), webhook=_body(n="six"))
    assert row.error is not None
    assert (row.error.kind, row.error.node_id) == ("expression", "is")
    assert "cannot apply > to a text and a whole number" in row.error.message
    assert expression in str(step(row, "is").input)


async def test_an_expression_reads_outputs_loops_and_secrets_like_a_template() -> None:
    """An output that only an expression reads is kept over a wait. A secret is in no trace."""
    harness = Harness()
    harness.secrets.values = {"pin": "hunter22"}
    definition = flow(
        node("ask", "api", url="https://a.example"),
        node("wait", "delay", ms=1000),
        node("each", "loop", items="{{ webhook.body.items }}"),
        node("is", "condition", expression="loop.item == secrets.pin && nodes.ask.output.status == 200"),
        node("end", "end", output={"at": "{{ loop.index }}"}),
        edges="start>ask ask>wait wait>each each.loop>is is.true>end",
    )
    row = await harness.run(definition, webhook=_body(items=["a", "hunter22", "b"]))
    assert row.output == {"at": 1}
    assert "hunter22" not in str([row.steps[seq] for seq in row.steps if seq > 1])


def chain_condition(expression: str) -> dict[str, Any]:
    return flow(node("is", "condition", expression=expression), edges="start>is")


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({}, "cases", "required"),
        ({"cases": []}, "cases", "is empty"),
        ({"cases": [{"rules": [RULE]}]}, "cases[0].id", "required"),
        ({"cases": [{"id": "", "expression": "true"}]}, "cases[0].id", "at least 1 character"),
        ({"cases": [{"id": "default", "expression": "true"}]}, "cases[0].id", "`default` is the handle"),
        ({"cases": [{"id": "a", "expression": "true"}] * 2}, "cases[1].id", "2 cases have the id 'a'"),
        ({"cases": [{"id": "a"}]}, "cases[0].rules", "needs at least one rule, or an expression"),
        ({"cases": [{"id": "a", "expression": "vars.no == 1"}]}, "cases[0].expression", "unknown variable 'no'"),
        ({"cases": [{"id": "a", "expression": "1 +"}]}, "cases[0].expression", "line 1:"),
        (
            {"cases": [{"id": "a", "rules": [{"variable": "x", "operator": "equals"}]}]},
            "cases[0].rules[0].variable",
            "names no variable",
        ),
        (
            {"cases": [{"id": "a", "rules": [{"variable": "{{ vars.no }}", "operator": "is-set"}]}]},
            "cases[0].rules[0].variable",
            "unknown variable 'no'",
        ),
    ],
)
def test_publishing_reports_the_errors_of_a_switch(data: dict[str, Any], field: str, message: str) -> None:
    problems = check(chain(node("which", "switch", **data)))[1]
    found = [(one.node_id, one.field, one.message) for one in problems]
    assert any((one[0], one[1]) == ("which", field) and message in one[2] for one in found), found


def test_an_unknown_case_is_not_a_handle() -> None:
    problems = check(flow(node("which", "switch", cases=CASES), node("x", "end"), edges="start>which which.no>x"))[1]
    assert "the handles are sales, help, any, default" in problems[0].message
