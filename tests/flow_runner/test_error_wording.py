"""The failure of a node states the field, what was found and what was expected, in the words of an author."""

from typing import Any

import pytest

from tests.flow_runner.harness import Harness, Response, flow, node
from tests.shared.flows.test_error_wording import LIBRARY_WORDING

BODY: dict[str, Any] = {
    "name": "Ana", "total": "12 reais", "date": "05/11/2026", "list": [1], "object": {"a": 1}, "none": None, "n": 5,
    "many": list(range(20)), "far": "2030-01-01", "long": "x" * 500,
}  # fmt: skip
VARIABLES = [
    {"name": "n", "type": "number"},
    {"name": "text", "type": "string"},
    {"name": "on", "type": "boolean"},
    {"name": "list", "type": "list"},
    {"name": "object", "type": "object"},
]


def _set(variable: str, value: Any) -> dict[str, Any]:
    return node(
        "x", "set-variable", assignments=[{"variable": "n", "value": 1}, {"variable": variable, "value": value}]
    )


def _api(**data: Any) -> dict[str, Any]:
    return node("x", "api", **({"url": "https://a.example"} | data))


CASES: list[tuple[dict[str, Any], str]] = [
    (_set("n", "{{ webhook.body.name }}"), 'assignments[1].value: variable n: expected a number, found "Ana"'),
    (
        _set("text", "{{ webhook.body.list }}"),
        "assignments[1].value: variable text: expected a text, found the list [1]",
    ),
    (_set("on", "sim"), 'assignments[1].value: variable on: expected a boolean, found "sim"'),
    (_set("list", "{{ webhook.body.object }}"), 'variable list: expected a list, found the object {"a":1}'),
    (_set("object", "{{ webhook.body.long }}"), f'variable object: expected an object, found "{"x" * 80}…"'),
    (
        _set("n", "{{ webhook.body.nope }}"),
        "assignments[1].value: webhook.body.nope is undefined (in {{ webhook.body.nope",
    ),
    (
        _set("n", "{{ webhook.body.total | money: 'BRL' }}"),
        'assignments[1].value: money: expected a number without thousands separators, such as 1234.5, found "12 reais"',
    ),
    (
        node("x", "condition", expression="webhook.body.total > 5"),
        'to a text and a whole number (webhook.body.total is "12 reais") (in webhook.body.total > 5)',
    ),
    (
        node("x", "switch", cases=[{"id": "a", "expression": "webhook.body.list.startsWith('a')"}]),
        "cases[0].expression: cannot be evaluated: cannot apply startsWith to a list and a text (webhook.body.list is",
    ),
    (
        node(
            "x",
            "condition",
            rules=[{"variable": "{{ webhook.body.name }}", "operator": "matches", "value": "{{ '(' }}"}],
        ),
        'rules[0]: matches: invalid RE2 pattern: missing ): ( (the variable is "Ana", the value "(")',
    ),
    (
        node("x", "loop", items="{{ webhook.body.name }}"),
        'items: expected a list, found "Ana" (in {{ webhook.body.name }})',
    ),
    (node("x", "loop", items="{{ webhook.body.none }}"), "items: expected a list, found null"),
    (
        node("x", "loop", items="{{ webhook.body.many }}", maxIterations=10),
        "items: has 20 entries, and maxIterations is 10: raise it, or select fewer items",
    ),
    (node("x", "delay", until="{{ webhook.body.date }}"), 'until: "05/11/2026" is a date whose day and month may be'),
    (node("x", "delay", until="{{ webhook.body.name }}"), 'until: "Ana" is not an ISO 8601 time such as'),
    (node("x", "delay", until="{{ webhook.body.list }}"), "until: the list [1] is not an ISO 8601 time"),
    (node("x", "delay", until="{{ webhook.body.far }}"), "until: 2030-01-01T00:00:00+00:00 is more than 30 days away"),
    (
        _api(responseMapping=[{"variable": "n", "path": "body.a"}]),
        'responseMapping[0]: variable n: expected a number, found "b" (in body.a)',
    ),
    (
        _api(responseMapping=[{"variable": "n", "path": "abs(body.a)"}]),
        "responseMapping[0]: abs() expected a number, got a text (in abs(body.a))",
    ),
    (_api(body={"at": "{{ webhook.body.date | date: '%F' }}"}), 'body.at: date: "05/11/2026" is a date whose day and'),
    (
        _api(headers={"X": "{{ webhook.body.object | push: 1 }}"}),
        'headers.X: push: expected a list, found the object {"a":1}',
    ),
    (node("x", "end", output="{{ webhook.body.name | divided_by: webhook.body.none }}"), "output: divided_by: can"),
    (node("x", "end", output="{% for i in webhook.body.nope %}{% endfor %}"), "output: webhook.body.nope is undefined"),
]


@pytest.mark.parametrize(("failing", "message"), CASES)
async def test_the_failure_of_a_node_states_field_found_and_expected(failing: dict[str, Any], message: str) -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=b'{"a":"b"}', headers={"Content-Type": "application/json"})
    row = await harness.run(
        flow(failing, edges="start>x", variables=VARIABLES),
        webhook={"body": BODY, "headers": {}, "queryParams": {}},
    )
    assert row.status == "failed"
    assert row.error is not None
    assert row.error.node_id == "x"
    assert message in row.error.message
    assert not LIBRARY_WORDING.search(row.error.message)
