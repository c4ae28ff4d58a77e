"""Each node type: its handles and its errors."""

from datetime import timedelta
from typing import Any

import pytest

from filas.flows.definition.node_types import NODE_TYPES
from filas.flows.publishing_checks import check
from flow_runner.nodes.node_runners import RUNNERS
from tests.flow_runner.harness import Harness, chain, flow, node, path, step
from tests.flow_runner.memory import START

BODY = {"text": "oi", "from": "55119", "tags": ["a", "b"], "n": 3}
WEBHOOK = {"body": BODY, "headers": {"authorization": "Bearer x"}, "queryParams": {"q": "1"}, "method": "POST"}


async def _run(*nodes: dict[str, Any], harness: Harness | None = None, **more: Any) -> Any:
    return await (harness or Harness()).run(chain(*nodes, **more), webhook=WEBHOOK)


def test_every_type_of_the_definition_can_be_run() -> None:
    assert set(RUNNERS) == set(NODE_TYPES)


# ---- message ---------------------------------------------------------------------------------------

MESSAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"text": "n={{ webhook.body.n }}"}, {"type": "text", "text": "n=3"}),
    ({"text": "{{ webhook.body.tags }}"}, {"type": "text", "text": '["a","b"]'}),
    (
        {"media": {"kind": "image", "url": "https://a/{{ webhook.body.n }}.png", "caption": "c"}},
        {"type": "media", "kind": "image", "url": "https://a/3.png", "caption": "c"},
    ),
    (
        {"text": "?", "buttons": [{"id": "{{ webhook.body.n }}", "title": "Yes"}]},
        {"type": "buttons", "text": "?", "buttons": [{"id": "3", "title": "Yes"}]},
    ),
    (
        {
            "template": {
                "name": "hi",
                "parameters": ["{{ webhook.body.tags }}", "{{ true }}", "Oi\n\n{{ webhook.body.n }}"],
            }
        },
        {"type": "template", "name": "hi", "language": "en", "parameters": ['["a","b"]', "true", "Oi 3"]},
    ),
    (
        {"template": {"name": "hi", "language": "pt_BR", "parameters": ["{{ webhook.body.n }}"]}},
        {"type": "template", "name": "hi", "language": "pt_BR", "parameters": ["3"]},
    ),
]


@pytest.mark.parametrize(("data", "payload"), MESSAGES, ids=[str(sorted(data)) for data, _ in MESSAGES])
async def test_a_message_has_a_channel_neutral_content(data: dict[str, Any], payload: dict[str, Any]) -> None:
    harness = Harness()
    await _run(node("m", "message", **data), harness=harness)
    [notification] = harness.rows.notifications.values()
    assert notification.payload == payload
    assert (notification.channel_id, notification.recipient) == ("demo", "55119")
    assert notification.conversation_id is not None


async def test_a_message_may_have_another_channel_and_recipient() -> None:
    """It is then not a message of this conversation."""
    harness = Harness()
    await _run(node("m", "message", text="x", channel="ops", to="{{ webhook.body.from }}"), harness=harness)
    [notification] = harness.rows.notifications.values()
    assert (notification.channel_id, notification.recipient) == ("ops", "55119")
    assert notification.conversation_id is None


@pytest.mark.parametrize(
    ("data", "kind"), [({"text": "{{ webhook.body.nope }}"}, "template"), ({"text": "{{ vars.space }}"}, "message")]
)
async def test_a_message_that_cannot_be_rendered_leaves_by_error(data: dict[str, Any], kind: str) -> None:
    harness = Harness()
    nodes = node("m", "message", **data, onError="branch"), node("sorry", "message", text="sorry")
    definition = flow(*nodes, edges="start>m m.error>sorry", variables=[{"name": "space", "default": " "}])
    row = await harness.run(definition, webhook=WEBHOOK)
    error = step(row, "m").error
    assert error is not None
    assert (error.kind, path(row), row.status) == (kind, ["start", "m", "sorry"], "succeeded")


async def test_a_null_parameter_of_a_template_fails_the_message_and_is_named() -> None:
    parameters = {"nome": "Ana", "total": "{{ webhook.body.none }}"}
    message = node("m", "message", template={"name": "hi", "parameters": parameters})
    row = await Harness().run(chain(message), webhook={"body": {"none": None}, "headers": {}, "queryParams": {}})
    assert row.error is not None
    assert (row.status, row.error.kind) == ("failed", "message")
    assert "`template.parameters.total` is null" in row.error.message


def test_a_null_parameter_of_a_template_is_refused_at_publication() -> None:
    message = node("m", "message", template={"name": "hi", "parameters": ["{{ vars.x }}", None]})
    _, problems = check(chain(message, variables=[{"name": "x"}]))
    assert [(one.node_id, one.field) for one in problems] == [("m", "template.parameters[1]")]


async def test_a_message_without_a_conversation_needs_a_channel() -> None:
    row = await Harness().run(chain(node("m", "message", text="x")), channel=None, contact=None)
    assert row.error is not None
    assert (row.status, row.error.kind) == ("failed", "message")


# ---- condition and set-variable --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logic", "operators", "way"),
    [
        ("and", ["is-set", "is-set"], "true"),
        ("and", ["is-set", "is-empty"], "false"),
        ("or", ["is-empty", "is-set"], "true"),
        ("or", ["is-empty", "is-empty"], "false"),
    ],
)
async def test_a_condition_has_two_handles(logic: str, operators: list[str], way: str) -> None:
    rules = [{"variable": "{{ webhook.body.text }}", "operator": operator} for operator in operators]
    condition = node("c", "condition", logic=logic, rules=rules)
    said = [node(name, "set-variable", assignments=[{"variable": "x", "value": 1}]) for name in ("yes", "no")]
    definition = flow(condition, *said, edges="start>c c.true>yes c.false>no", variables=[{"name": "x"}])
    row = await Harness().run(definition, webhook=WEBHOOK)
    assert (step(row, "c").handle, path(row)[-1]) == (way, "yes" if way == "true" else "no")


async def test_a_missing_operand_is_null() -> None:
    rule = {"variable": "{{ webhook.body.nope.deeper }}", "operator": "is-set"}
    row = await Harness().run(flow(node("c", "condition", rules=[rule]), edges="start>c"), webhook=WEBHOOK)
    assert (row.status, step(row, "c").handle) == ("succeeded", "false")


VARIABLES = [
    {"name": "any"},
    {"name": "n", "type": "number"},
    {"name": "s", "type": "string"},
    {"name": "b", "type": "boolean"},
    {"name": "l", "type": "list"},
]


@pytest.mark.parametrize(
    ("variable", "value", "stored"),
    [
        ("any", "{{ webhook.body }}", BODY),
        ("any", {"k": ["{{ webhook.body.n }}"]}, {"k": [3]}),
        ("n", "{{ webhook.body.from }}", 55119),
        ("n", "2.5", 2.5),
        ("s", "{{ webhook.body.n }}", "3"),
        ("b", "true", True),
        ("l", "{{ webhook.body.tags }}", ["a", "b"]),
        ("n", None, None),
    ],
)
async def test_a_variable_accepts_values_of_its_type(variable: str, value: Any, stored: Any) -> None:
    assignment = {"variable": variable, "value": value}
    row = await _run(node("s", "set-variable", assignments=[assignment]), variables=VARIABLES)
    assert (row.status, step(row, "s").output) == ("succeeded", {variable: stored})


@pytest.mark.parametrize(
    ("variable", "value"), [("n", "many"), ("l", "{{ webhook.body }}"), ("b", "yes"), ("n", "1e999")]
)
async def test_a_variable_rejects_values_of_another_type(variable: str, value: Any) -> None:
    assignment = {"variable": variable, "value": value}
    row = await _run(node("s", "set-variable", assignments=[assignment]), variables=VARIABLES)
    assert row.error is not None
    assert (row.status, row.error.kind, row.error.node_id) == ("failed", "variable", "s")


async def test_a_later_assignment_sees_an_earlier_one() -> None:
    assignments = [{"variable": "n", "value": 1}, {"variable": "s", "value": "{{ vars.n | plus: 1 }}"}]
    row = await _run(node("s", "set-variable", assignments=assignments), variables=VARIABLES)
    assert step(row, "s").output == {"n": 1, "s": "2"}


# ---- delay -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        ({"ms": 1500}, 1.5),
        ({"ms": 0}, 0),
        ({"every": {"minutes": 90}}, 5400),
        ({"every": {"seconds": 45}}, 45),
        ({"every": {"hours": 13}}, 13 * 3600),
        ({"every": {"days": 2}, "timezone": "America/Sao_Paulo"}, 48 * 3600),
        ({"every": {"days": 6}}, 6 * 24 * 3600),
        ({"until": "2026-11-22T12:00:30Z"}, 30),
        ({"until": "2026-11-22T09:01:00-03:00"}, 60),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
        ({"until": "{{ webhook.body.at }}"}, 10),
        ({"cron": "30 12 * * *"}, 1800),
        ({"cron": "30 9 * * *", "timezone": "America/Sao_Paulo"}, 1800),
        ({"cron": "0 9 * * MON", "timezone": "America/Sao_Paulo"}, 24 * 3600),
    ],
    ids=str,
)
async def test_a_delay_ends_at_its_time(data: dict[str, Any], seconds: float) -> None:
    harness = Harness()
    webhook = {"body": {"at": "2026-11-22T12:00:10+00:00"}, "headers": {}, "queryParams": {}}
    row = await harness.run(chain(node("d", "delay", **data)), webhook=webhook)
    assert (row.status, harness.clock.now() - START) == ("succeeded", timedelta(seconds=seconds))


@pytest.mark.parametrize("data", [{"until": "{{ webhook.body.text }}"}, {"until": "2026-12-25T00:00:00Z"}])
async def test_a_delay_with_an_invalid_end_fails(data: dict[str, Any]) -> None:
    """The end is not a time, or is more than 30 days away."""
    row = await _run(node("d", "delay", **data))
    assert row.error is not None
    assert (row.status, row.error.kind) == ("failed", "delay")


# ---- webhook and end -------------------------------------------------------------------------------


async def test_a_trigger_shows_the_request_without_credentials() -> None:
    row = await _run(node("e", "end", output="{{ nodes.start.output.queryParams.q }}"))
    assert step(row, "start").output == WEBHOOK | {"headers": {"authorization": "[redacted]"}}
    assert row.output == "1"


@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_an_end_has_a_status_and_an_output(status: str) -> None:
    row = await _run(node("e", "end", status=status, output={"n": "{{ webhook.body.n }}"}))
    assert (row.status, row.output, step(row, "e").output) == (status, {"n": 3}, {"n": 3})
