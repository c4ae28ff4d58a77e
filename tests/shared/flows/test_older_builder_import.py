"""Import of the older builder's format: both formats of a flow give the same definition and the same run."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.definition.older_builder_import import to_current_format
from filas.flows.publishing_checks import check
from tests.flow_runner.harness import Harness, Response, compiled_flow, path
from tests.long_form import examples
from tests.shared.flows.test_checks import GOOD, JSON, PATHS, replaced

GALLERY = sorted((Path(__file__).parents[3] / "deploy" / "examples" / "flows").glob("*.json"))

OLDER: dict[str, Any] = {
    "name": "Boas-vindas",
    "variables": [{"name": "nome", "default": "?"}],
    "nodes": [
        {"id": "1", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"label": "Entrada", "webhookConfig": {}}},
        {
            "id": "2",
            "type": "condition",
            "data": {
                "label": "Disse oi?",
                "icon": "split",
                "conditionConfig": {
                    "rules": [{"variable": "{{$node.webhook.body.text}}", "operator": "contains", "value": "oi"}]
                },
            },
        },
        {
            "id": "crm",
            "type": "api",
            "data": {
                "label": "CRM",
                "onError": "continue",
                "apiConfig": {
                    "method": "POST",
                    "url": "https://crm.example/contacts/{{ $node.webhook.body.from }}",
                    "body": {"phone": "{{$node.webhook.body.from}}", "text": "said: {{$node.1.body.text}}"},
                },
            },
        },
        {
            "id": "set",
            "type": "set-variable",
            "data": {
                "setVariableConfig": {"assignments": [{"variable": "nome", "value": "{{$node.crm.body.name}}"}]},
            },
        },
        {
            "id": "hello",
            "type": "message",
            "data": {"messageConfig": {"text": 'Olá {{ vars.nome }}, {{ $node["crm"].status }}!'}},
        },
        {"id": "sorry", "type": "message", "data": {"messageConfig": {"text": "Só sei oi."}}},
    ],
    "edges": [
        {"id": "e1", "source": "1", "target": "2"},
        {"id": "e2", "source": "2", "sourceHandle": "true", "target": "crm"},
        {"id": "e3", "source": "2", "sourceHandle": False, "target": "sorry"},
        {"id": "e4", "source": "crm", "target": "set"},
        {"id": "e5", "source": "set", "target": "hello"},
    ],
}
NOW: dict[str, Any] = {
    "name": "Boas-vindas",
    "variables": [{"name": "nome", "default": "?"}],
    "nodes": [
        {
            "id": "1",
            "type": "webhook",
            "position": {"x": 0, "y": 0},
            "data": {"label": "Entrada", "mode": "trigger"},
        },
        {
            "id": "2",
            "type": "condition",
            "data": {
                "label": "Disse oi?",
                "rules": [{"variable": "{{webhook.body.text}}", "operator": "contains", "value": "oi"}],
            },
        },
        {
            "id": "crm",
            "type": "api",
            "data": {
                "label": "CRM",
                "onError": "continue",
                "method": "POST",
                "url": "https://crm.example/contacts/{{ webhook.body.from }}",
                "body": {"phone": "{{webhook.body.from}}", "text": "said: {{webhook.body.text}}"},
            },
        },
        {
            "id": "set",
            "type": "set-variable",
            "data": {"assignments": [{"variable": "nome", "value": "{{nodes.crm.output.body.name}}"}]},
        },
        {
            "id": "hello",
            "type": "message",
            "data": {"text": "Olá {{ vars.nome }}, {{ nodes.crm.output.status }}!"},
        },
        {"id": "sorry", "type": "message", "data": {"text": "Só sei oi."}},
    ],
    "edges": [
        {"id": "e1", "source": "1", "target": "2"},
        {"id": "e2", "source": "2", "sourceHandle": "true", "target": "crm"},
        {"id": "e3", "source": "2", "sourceHandle": "false", "target": "sorry"},
        {"id": "e4", "source": "crm", "target": "set"},
        {"id": "e5", "source": "set", "target": "hello"},
    ],
}


def test_the_older_format_is_converted() -> None:
    before = copy.deepcopy(OLDER)
    assert to_current_format(OLDER) == NOW
    assert before == OLDER, "what was given is left alone"
    assert check(NOW)[1] == []


@pytest.mark.parametrize("shape", [OLDER, NOW], ids=["older", "now"])
@pytest.mark.parametrize(("text", "visited"), [("oi!", ["1", "2", "crm", "set", "hello"]), ("?", ["1", "2", "sorry"])])
async def test_both_formats_run_the_same(shape: dict[str, Any], text: str, visited: list[str]) -> None:
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=b'{"name":"Ana"}')
    row = harness.rows.add(
        node_id="1", webhook={"body": {"text": text, "from": "55119"}, "headers": {}, "queryParams": {}}
    )
    await harness.finish(row, compiled_flow(to_current_format(shape)))
    assert (row.status, path(row)) == ("succeeded", visited)
    [said] = harness.rows.notifications.values()
    assert said.payload["text"] == ("Olá Ana, 200!" if text == "oi!" else "Só sei oi.")
    for call in harness.outbound.calls:
        assert (call.url, call.json) == (
            "https://crm.example/contacts/55119",
            {"phone": "55119", "text": f"said: {text}"},
        )


def _as_it_was(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition in the present format, written as the older builder writes it."""
    older = copy.deepcopy(definition)
    for node in older["nodes"]:
        first, *rest = node["type"].split("-")
        key = first + "".join(word.capitalize() for word in rest) + "Config"
        label = {name: node["data"].pop(name) for name in ("label",) if name in node["data"]}
        written = json.dumps(node["data"])
        written = re.sub(r"\bnodes\.([\w-]+)\.output\b", r"$node.\1", written)
        written = re.sub(r"\{\{(.*?)\bwebhook\.", r"{{\1$node.webhook.", written)
        node["data"] = {**label, "color": "#ffcc00", key: json.loads(written)}
    return older


@pytest.mark.parametrize("file", GALLERY, ids=lambda file: file.stem)
def test_the_gallery_in_the_older_format_converts_to_the_gallery(file: Path) -> None:
    definition = json.loads(file.read_text())
    older = _as_it_was(definition)
    assert older != definition
    assert check(to_current_format(older))[1] == []
    # `nodes.look-up.output` and `nodes["look-up"].output` are the same place.
    assert _plain(to_current_format(older)) == _plain(definition)


def _plain(definition: Any) -> Any:
    return json.loads(re.sub(r"nodes\[\\\"([\w-]+)\\\"\]", r"nodes.\1", json.dumps(definition)))


@pytest.mark.parametrize(
    ("older", "now"),
    [
        ("{{$node.webhook.body.x}}", "{{webhook.body.x}}"),
        ("a {{ $node.webhook.headers.h | upcase }} b", "a {{ webhook.headers.h | upcase }} b"),
        ("{{ $node.entry.body.x }}", "{{ webhook.body.x }}"),
        ("{{ $node.crm.body.x }}", "{{ nodes.crm.output.body.x }}"),
        ("{{ $node.crm.output.body.x }}", "{{ nodes.crm.output.body.x }}"),
        ("{{ $node.crm.error.kind }}", "{{ nodes.crm.error.kind }}"),
        ("{{ $node.look-up.body }}", '{{ nodes["look-up"].output.body }}'),
        ("{{ $node['look-up'].body }}", '{{ nodes["look-up"].output.body }}'),
        ('{{ $node["Look up"].body }}', '{{ nodes["Look up"].output.body }}'),
        ("{% if $node.crm.status == 200 %}x{% endif %}", "{% if nodes.crm.output.status == 200 %}x{% endif %}"),
        ("{{ vars.a | append: '$node.crm.x' }}", "{{ vars.a | append: '$node.crm.x' }}"),
        ("costs $node.webhook.body.x", "costs $node.webhook.body.x"),
        ("{{ $nodes.crm }}", "{{ $nodes.crm }}"),
    ],
)
def test_a_reference_is_converted_only_inside_templates(older: str, now: str) -> None:
    nodes = [
        {"id": "entry", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "m", "type": "message", "data": {"text": older}},
    ]
    assert to_current_format({"nodes": nodes})["nodes"][1]["data"]["text"] == now


def test_every_reference_of_an_expression_is_converted() -> None:
    data = {"conditionConfig": {"expression": '$node.webhook.body.n > 1 && $node["look-up"].status == 200'}}
    [node] = to_current_format({"nodes": [{"id": "c", "type": "condition", "data": data}]})["nodes"]
    assert node["data"] == {"expression": 'webhook.body.n > 1 && nodes["look-up"].output.status == 200'}


def test_an_older_webhook_with_a_url_gets_the_mode_send() -> None:
    nodes = [{"id": "w", "type": "webhook", "data": {"webhookConfig": {"url": "https://a.example"}}}]
    assert to_current_format({"nodes": nodes})["nodes"][0]["data"]["mode"] == "send"


def test_a_node_with_the_id_webhook_takes_precedence_over_the_trigger() -> None:
    nodes = [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "webhook", "type": "api", "data": {"apiConfig": {"url": "https://a.example"}}},
        {"id": "m", "type": "message", "data": {"text": "{{$node.webhook.body.x}} {{$node.start.body.y}}"}},
    ]
    text = to_current_format({"nodes": nodes})["nodes"][2]["data"]["text"]
    assert text == "{{nodes.webhook.output.body.x}} {{webhook.body.y}}"


@pytest.mark.parametrize("definition", [GOOD, *(json.loads(file.read_text()) for file in GALLERY)])
def test_the_present_format_is_returned_unchanged(definition: dict[str, Any]) -> None:
    assert to_current_format(definition) is definition


def test_a_misspelled_configuration_is_an_error_of_its_node() -> None:
    older = copy.deepcopy(OLDER)
    older["nodes"][2]["data"]["apiConfgi"] = older["nodes"][2]["data"].pop("apiConfig")
    problems = check(to_current_format(older))[1]
    assert ("crm", "apiConfgi") in {(problem.node_id, problem.field) for problem in problems}


@settings(max_examples=examples(300), deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), JSON | st.just("{{$node.a.b}}")), min_size=1, max_size=4))
def test_the_conversion_never_raises_and_is_idempotent(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Any value may be in the definition. A second conversion changes nothing."""
    for shape in (GOOD, OLDER):
        definition = replaced(shape, changes)
        once = to_current_format(definition)
        assert to_current_format(once) == once or "nan" in repr(once)
        check(once)
