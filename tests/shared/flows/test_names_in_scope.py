"""The names that an editor offers at each node."""

import random
from typing import Any

from filas.flows.checks import earlier_nodes, whole_graph
from filas.flows.checks.execution_order import NEVER, ExecutionOrder, OrderedNode
from filas.flows.definition.flow_definition import read_draft
from filas.flows.names_in_scope import MAX_BODY_NAMES, MAX_NAMES, NameInScope, fields_of_body, scopes
from filas.flows.problems import Report
from filas.flows.publishing_checks import check
from filas.flows.templates import template
from tests.long_form import examples

FLOW: dict[str, Any] = {
    "variables": [{"name": "total", "type": "number"}, {"name": "pin", "scope": "conversation", "secret": True}],
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "crm", "type": "api", "data": {"url": "https://crm.example", "onError": "branch", "label": "Customer"}},
        {"id": "each", "type": "loop", "data": {"items": "{{ nodes.crm.output.body.items }}", "as": "order"}},
        {"id": "first item", "type": "message", "data": {"text": "{{ loop.order }}"}},
        {"id": "sorry", "type": "message", "data": {"text": "{{ nodes.crm.error.message }}"}},
        {"id": "new", "type": "message", "data": {}},
        {"id": "bye", "type": "end", "data": {}},
    ],
    "edges": [
        {"source": "start", "target": "crm"},
        {"source": "crm", "sourceHandle": "out", "target": "each"},
        {"source": "crm", "sourceHandle": "error", "target": "sorry"},
        {"source": "each", "sourceHandle": "loop", "target": "first item"},
        {"source": "each", "sourceHandle": "done", "target": "bye"},
        {"source": "sorry", "target": "new"},
    ],
}


def names(node_id: str, flow: Any = None, **given: Any) -> list[str]:
    found: list[NameInScope] = scopes(FLOW if flow is None else flow, **given).by_node[node_id]
    return [one.name for one in found]


def test_a_node_has_the_outputs_of_the_nodes_that_can_have_run() -> None:
    """Also a node whose fields are not filled in yet, with the errors of nodes that continue after one."""
    ours = {name: [one for one in names(name) if one.startswith("nodes")] for name in ("start", "sorry", "new")}
    assert ours["start"] == []
    of_crm = ["nodes.crm.output", "nodes.crm.output.status", "nodes.crm.output.body", "nodes.crm.error"]
    assert ours["sorry"] == ["nodes.start.output", *of_crm]
    assert ours["new"] == ["nodes.start.output", *of_crm, "nodes.sorry.output"]
    assert 'nodes["first item"].output' in names("bye")


def test_the_names_of_a_loop_are_known_only_inside_it() -> None:
    assert {"loop.order", "loop.index", "loop.parent"} <= set(names("first item"))
    assert not [one for one in names("bye") if one.startswith("loop")]


def test_declared_variables_and_given_names_are_in_scope() -> None:
    found = scopes(FLOW, secrets=["crm", "a key"], body=fields_of_body({"from": "+55"}, "Given ({}).")).by_node["sorry"]
    details = {one.name: one.detail for one in found}
    assert details["vars.total"] == "A variable (number)."
    assert details["vars.pin"] == "A variable (any value, stored with the conversation, secret)."
    assert {"conversation.vars.pin", "secrets.crm", 'secrets["a key"]', "execution.id"} <= details.keys()
    assert details["webhook.body.from"] == "Given (text)."
    assert details["nodes.crm.output"] == "Customer (api). The response: status, headers, body."
    assert all(one.detail.endswith(".") and one.kind for one in found)


def test_every_name_in_scope_may_be_used() -> None:
    """The check of publishing accepts each of them where it is offered."""
    for node_id in ("first item", "sorry", "bye"):
        for name in names(node_id, secrets=["crm", "a key"]):
            nodes = [
                node if node["id"] != node_id else {**node, "type": "message", "data": {"text": f"{{{{ {name} }}}}"}}
                for node in FLOW["nodes"]
                if node["id"] != "new"
            ]
            template.parse(f"{{{{ {name} }}}}")
            _, problems = check({**FLOW, "nodes": nodes, "edges": FLOW["edges"][:-1]})
            assert [one for one in problems if one.severity == "error"] == [], name


def test_any_document_has_scopes() -> None:
    odd = {"nodes": [1, {"id": "x"}, {"id": "y", "type": "none"}], "edges": [{}]}
    documents: list[Any] = [None, [], 1, {}, {"nodes": 1}, odd]
    for raw in documents:
        assert scopes(raw).is_complete
    assert names("y", {"nodes": [{"id": "y", "type": "none"}]})


def test_the_names_of_a_large_flow_are_bounded() -> None:
    """The nodes beyond the bound are left out. Each of them has its names if only it is asked for."""
    nodes = [{"id": f"n{number}", "type": "condition", "data": {"expression": "true"}} for number in range(300)]
    nodes.insert(0, {"id": "start", "type": "webhook", "data": {"mode": "trigger"}})
    edges = [{"source": "start", "target": "n0"}]
    edges += [{"source": f"n{n}", "sourceHandle": "true", "target": f"n{n + 1}"} for n in range(299)]
    found = scopes({"nodes": nodes, "edges": edges})
    assert not found.is_complete
    assert "n10" in found.by_node
    assert "n299" not in found.by_node
    assert sum(map(len, found.by_node.values())) <= MAX_NAMES
    alone = scopes({"nodes": nodes, "edges": edges}, only={"n299"})
    assert list(alone.by_node) == ["n299"]
    assert alone.is_complete


def test_the_fields_of_a_body_are_named_to_a_depth() -> None:
    """Those of lists are not, and there are not more than a few dozen."""
    body = {"a": {"b": {"c": {"d": {"e": 1}}}}, "list": [{"x": 1}], "Full name": None, "ok": True, "n": 1.5}
    found = {one.name: one.detail for one in fields_of_body(body, "{}")}
    assert found == {
        "webhook.body.a": "object",
        "webhook.body.list": "list",
        'webhook.body["Full name"]': "empty",
        "webhook.body.ok": "true or false",
        "webhook.body.n": "number",
        "webhook.body.a.b": "object",
        "webhook.body.a.b.c": "object",
        "webhook.body.a.b.c.d": "object",
    }
    assert len(fields_of_body({str(number): number for number in range(5000)}, "{}")) == MAX_BODY_NAMES
    assert fields_of_body("text", "{}") == []


def test_the_order_is_that_of_publishing() -> None:
    """On random graphs: a node is in scope exactly if the check does not find that it can never have run before."""
    chance = random.Random(19)
    for _ in range(examples(150)):
        flow = random_flow(chance)
        draft = read_draft(flow, Report())
        ordered = whole_graph.ordered_nodes(draft, {each.node.id: each.node for each in draft.nodes})
        assert all(isinstance(node, OrderedNode) for node in ordered.values())
        order, ours = ExecutionOrder(ordered, ["start"]), earlier_nodes.of_draft(draft)
        for at in draft.ids:
            expected = {used for used in draft.ids if order.doubt(used, at) != NEVER}
            assert ours.before(at) == expected, (flow["edges"], at)


def random_flow(chance: random.Random) -> dict[str, Any]:
    kinds: list[dict[str, Any]] = [
        {"type": "condition", "data": {"expression": "true"}},
        {"type": "loop", "data": {"items": "{{ webhook.body.items }}"}},
        {"type": "message", "data": {"text": "x"}},
    ]
    nodes = [{"id": f"n{number}", **chance.choice(kinds)} for number in range(chance.randint(1, 7))]
    handles: dict[str, list[str | None]] = {
        "condition": ["true", "false"],
        "loop": ["loop", "done"],
        "message": ["out", None],
        "webhook": ["out"],
    }
    nodes.insert(0, {"id": "start", "type": "webhook", "data": {"mode": "trigger"}})
    edges = []
    for _ in range(chance.randint(1, 14)):
        source, target = chance.choice(nodes), chance.choice(nodes[1:])
        edges.append(
            {"source": source["id"], "sourceHandle": chance.choice(handles[source["type"]]), "target": target["id"]}
        )
    return {"nodes": nodes, "edges": edges}
