"""The checks before publishing report every error of a definition, with its node and field, and never raise."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.definition.flow_definition import FlowInvalid, load
from filas.flows.publishing_checks import check
from tests.long_form import examples

GOOD: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Boas-vindas",
    "settings": {"timeoutMs": 604800000, "maxSteps": 1000, "maxVisitsPerNode": 100, "errorFlowId": None},
    "variables": [{"name": "nome", "type": "string", "default": "", "scope": "execution", "secret": False}],
    "nodes": [
        {"id": "start", "type": "webhook", "position": {"x": 0, "y": 0}, "data": {"mode": "trigger"}},
        {
            "id": "is-hi",
            "type": "condition",
            "data": {
                "logic": "and",
                "rules": [{"variable": "{{ webhook.body.text }}", "operator": "contains", "value": "oi"}],
            },
        },
        {
            "id": "crm",
            "type": "api",
            "data": {
                "method": "POST",
                "url": "https://crm.example/contacts",
                "headers": {"Authorization": "{{ secrets.crm }}"},
                "body": {"phone": "{{ webhook.body.from }}"},
                "timeoutMs": 10000,
                "responseMapping": [{"variable": "nome", "path": "body.name"}],
                "retry": {"maxAttempts": 3, "delayMs": 2000, "rate": 2, "maxDelayMs": 60000},
                "onError": "branch",
            },
        },
        {"id": "hello", "type": "message", "data": {"text": "Olá {{ vars.nome }}!"}},
        {"id": "wait", "type": "delay", "data": {"cron": "0 9 * * MON-FRI", "timezone": "America/Sao_Paulo"}},
        {
            "id": "report",
            "type": "webhook",
            "data": {"mode": "send", "url": "https://a.example", "secret": "{{ secrets.s }}"},
        },
        {
            "id": "set",
            "type": "set-variable",
            "data": {"assignments": [{"variable": "nome", "value": "{{ vars.nome }}"}]},
        },
        {"id": "end", "type": "end", "data": {"output": {"nome": "{{ vars.nome }}"}}},
    ],
    "edges": [
        {"id": "e1", "source": "start", "target": "is-hi"},
        {"id": "e2", "source": "is-hi", "sourceHandle": "true", "target": "crm"},
        {"id": "e3", "source": "crm", "sourceHandle": "out", "target": "hello"},
        {"id": "e4", "source": "crm", "sourceHandle": "error", "target": "report", "animated": True},
        {"id": "e5", "source": "hello", "target": "wait"},
        {"id": "e6", "source": "wait", "target": "set"},
        {"id": "e7", "source": "set", "target": "end"},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with the value at `path` (`nodes.2.data.url`) replaced, or removed where it is `...`."""
    definition = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    target: Any = definition
    for key in way:
        target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
    if value is ...:
        del target[int(last) if isinstance(target, list) else last]
    elif isinstance(target, list):
        target[int(last) : int(last) + 1] = [value]
    else:
        target[last] = value
    return definition


def problems(definition: Any) -> list[tuple[str | None, str, str]]:
    flow, found = check(definition)
    errors = [problem for problem in found if problem.severity == "error"]
    assert (flow is None) == bool(errors)
    return [(problem.node_id, problem.field, problem.message) for problem in errors]


def test_the_locale_and_the_time_zone_of_a_flow_have_defaults() -> None:
    flow, _ = check(GOOD)
    assert flow is not None
    assert (flow.settings.locale, flow.settings.timezone) == ("pt-BR", None)
    written, _ = check(GOOD | {"settings": {"locale": "en_US", "timezone": "America/Sao_Paulo"}})
    assert written is not None
    assert (written.settings.locale, written.settings.timezone) == ("en_US", "America/Sao_Paulo")


def test_the_definition_in_the_design_has_no_problems() -> None:
    flow, found = check(GOOD)
    assert found == []
    assert flow is not None
    assert [node.id for node in flow.nodes] == [node["id"] for node in GOOD["nodes"]]


RULE = {"variable": "{{ vars.nome }}", "operator": "equals", "value": 1}
CASES: list[tuple[str, str, Any, str | None, str, str]] = [
    ("newer schema", "schemaVersion", 2, None, "schemaVersion", "unknown value 2; known are 1"),
    ("misspelled field of the flow", "varables", [], None, "varables", "unknown field `varables`"),
    ("bound below one", "settings.maxSteps", 0, None, "settings.maxSteps", "a whole number of at least 1"),
    ("unknown locale", "settings.locale", "pt-XX", None, "settings.locale", "'pt-XX' is not a locale such as pt-BR"),
    ("locale that is no text", "settings.locale", 5, None, "settings.locale", "expected a text"),
    ("unknown zone", "settings.timezone", "Brasil", None, "settings.timezone", "'Brasil' is not a time zone such as"),
    ("zone that is a path", "settings.timezone", "../UTC", None, "settings.timezone", "is not a time zone"),
    ("name that no column holds", "name", "a\x00b", None, "name", "matches the pattern"),
    ("variable named wrongly", "variables.0.name", "a b", None, "variables[0].name", 'got "a b"'),
    ("default of another type", "variables.0.default", [1], None, "variables[0].default", "a text, found the list [1]"),
    ("nodes is no list", "nodes", {}, None, "nodes", "expected a list, got an object"),
    ("node is no object", "nodes.7", 5, None, "nodes[7]", "expected an object"),
    ("node without id", "nodes.7.id", ..., None, "nodes[7].id", "required"),
    ("unknown type", "nodes.3.type", "massage", "hello", "type", "unknown node type 'massage'"),
    ("data is no object", "nodes.3.data", 5, "hello", "data", "expected"),
    ("same id twice", "nodes.7.id", "hello", "hello", "id", "2 nodes"),
    (
        "misspelled field",
        "nodes.2.data.timeoutMS",
        5,
        "crm",
        "timeoutMS",
        "unknown field `timeoutMS`",
    ),
    ("missing field", "nodes.2.data.url", ..., "crm", "url", "required"),
    ("address of another kind", "nodes.2.data.url", "ftp://x", "crm", "url", "http"),
    ("wrong type", "nodes.2.data.timeoutMs", "10", "crm", "timeoutMs", "expected a whole number, got a text"),
    ("beyond its bound", "nodes.2.data.timeoutMs", 60000, "crm", "timeoutMs", "at most 50000, got 60000"),
    ("wrong method", "nodes.2.data.method", "FETCH", "crm", "method", "known are GET, POST"),
    ("wrong onError", "nodes.2.data.onError", "ignore", "crm", "onError", "ignore"),
    ("wrong class of retry", "nodes.2.data.retry.on", ["always"], "crm", "retry.on[0]", "matches the pattern"),
    ("bad JMESPath", "nodes.2.data.responseMapping.0.path", "a[", "crm", "responseMapping[0].path", "JMESPath"),
    (
        "mapped to no variable",
        "nodes.2.data.responseMapping.0.variable",
        "x",
        "crm",
        "responseMapping[0].variable",
        "'x'",
    ),
    ("bad template", "nodes.3.data.text", "{{ vars.nome", "hello", "text", "template"),
    ("unknown filter", "nodes.3.data.text", "{{ vars.nome | shout }}", "hello", "text", "shout"),
    ("unknown tag", "nodes.3.data.text", "{% include 'a' %}", "hello", "text", "include"),
    ("unknown variable", "nodes.3.data.text", "{{ vars.name }}", "hello", "text", "'name'"),
    ("unknown root", "nodes.3.data.text", "{{ user.name }}", "hello", "text", "'user'"),
    ("unknown node", "nodes.3.data.text", "{{ nodes.x.output }}", "hello", "text", "'x'"),
    ("unknown part of a node", "nodes.3.data.text", "{{ nodes.crm.body }}", "hello", "text", "'body'"),
    ("unknown part of the webhook", "nodes.3.data.text", "{{ webhook.text }}", "hello", "text", "webhook.text"),
    ("outside of a loop", "nodes.3.data.text", "{{ loop.index }}", "hello", "text", "loop"),
    ("in JSON", "nodes.2.data.body", {"a": ["{{ x }}"]}, "crm", "body.a[0]", "'x'"),
    ("in a header", "nodes.2.data.headers.A", "{{ x }}", "crm", "headers.A", "'x'"),
    ("no text", "nodes.3.data", {}, "hello", "text", "needs"),
    ("text and media", "nodes.3.data.media", {"kind": "image", "url": "https://a"}, "hello", "media", "one of"),
    ("no rules", "nodes.1.data.rules", [], "is-hi", "rules", "at least one"),
    ("CEL beside rules", "nodes.1.data.expression", "1 > 0", "is-hi", "expression", "together with rules"),
    ("CEL", "nodes.1.data", {"expression": "a > 1"}, "is-hi", "expression", "unknown name or function 'a'"),
    ("unknown name in CEL", "nodes.1.data", {"expression": "vars.no > 1"}, "is-hi", "expression", "variable 'no'"),
    ("unknown operator", "nodes.1.data.rules.0.operator", "like", "is-hi", "rules[0].operator", "'like'"),
    ("no variable", "nodes.1.data.rules.0.variable", "vars.nome", "is-hi", "rules[0].variable", "{{"),
    (
        "bad pattern",
        "nodes.1.data.rules.0",
        RULE | {"operator": "matches", "value": "a("},
        "is-hi",
        "rules[0].value",
        "RE2",
    ),
    ("rule is no object", "nodes.1.data.rules.0", 5, "is-hi", "rules[0]", "expected an object"),
    ("two ends of a delay", "nodes.4.data.ms", 5, "wait", "cron", "exactly one"),
    ("bad cron", "nodes.4.data.cron", "0 99 * * *", "wait", "cron", "cron"),
    ("bad zone", "nodes.4.data.timezone", "Mars/Olympus", "wait", "timezone", "time zone"),
    ("too long a delay", "nodes.4.data", {"ms": 2592000001}, "wait", "ms", "2592000000"),
    ("interval of two units", "nodes.4.data", {"every": {"days": 1, "hours": 1}}, "wait", "every", "exactly one of"),
    ("interval of no unit", "nodes.4.data", {"every": {}}, "wait", "every", "exactly one of"),
    ("interval of zero", "nodes.4.data", {"every": {"days": 0}}, "wait", "every.days", "at least 1"),
    ("interval of another unit", "nodes.4.data", {"every": {"months": 1}}, "wait", "every.months", "unknown field"),
    ("interval of 31 days", "nodes.4.data", {"every": {"days": 31}}, "wait", "every", "longer than 30 days"),
    ("interval beside cron", "nodes.4.data.every", {"days": 1}, "wait", "cron", "exactly one"),
    ("bad moment", "nodes.4.data", {"until": "tomorrow"}, "wait", "until", "ISO 8601"),
    ("unknown mode", "nodes.5.data.mode", "fetch", "report", "mode", "fetch"),
    ("waiting with url", "nodes.5.data", {"mode": "wait", "url": "https://a"}, "report", "url", "mode send"),
    ("address of no wait", "nodes.3.data.text", "{{ execution.resumeUrls.crm }}", "hello", "text", "waits for a call"),
    ("send without url", "nodes.5.data.url", ..., "report", "url", "required"),
    ("trigger with url", "nodes.0.data.url", "https://a", "start", "url", "mode send"),
    ("assigned to no variable", "nodes.6.data.assignments.0.variable", "x", "set", "assignments[0].variable", "'x'"),
    ("no assignments", "nodes.6.data.assignments", [], "set", "assignments", "empty"),
    ("unknown end", "nodes.7.data.status", "done", "end", "status", "done"),
    ("edge to nowhere", "edges.6.target", "x", "set", "edges[6].target", "'x'"),
    ("edge from nowhere", "edges.6.source", "x", "end", "edges[6].source", "'x'"),
    ("unknown handle", "edges.1.sourceHandle", "yes", "is-hi", "edges[1].sourceHandle", "true, false"),
    ("handle left out", "edges.1.sourceHandle", ..., "is-hi", "edges[1].sourceHandle", "required"),
    ("error without branch", "nodes.2.data.onError", "fail", "crm", "edges[3].sourceHandle", "onError: branch"),
    (
        "edge from the end",
        "edges.6",
        {"source": "end", "target": "set"},
        "end",
        "edges[6].sourceHandle",
        "has no handle",
    ),
    ("edge into the trigger", "edges.6.target", "start", "start", "edges[6].target", "is a trigger"),
    ("unreachable", "edges.6", ..., "end", "", "cannot be reached"),
    ("no trigger", "nodes.0.data", {"mode": "send", "url": "https://a"}, None, "nodes", "no trigger"),
    ("spinning", "edges.4.target", "is-hi", "is-hi", "", "is-hi → crm → hello → is-hi"),
]


@pytest.mark.parametrize(
    ("path", "value", "node_id", "field", "words"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_an_error_is_reported_with_its_node_and_field(
    path: str, value: Any, node_id: str | None, field: str, words: str
) -> None:
    found = problems(changed(path, value))
    assert any((problem[0], problem[1]) == (node_id, field) and words in problem[2] for problem in found), found


def test_all_errors_are_reported_at_once() -> None:
    """One check reports the errors of several nodes, and several errors of one node."""
    definition = changed("nodes.2.data.timeoutMs", 0)
    definition["nodes"][2]["data"]["headers"] = {"A": "{{ x }}"}
    definition["nodes"][2]["data"]["responseMapping"][0]["path"] = "a["
    definition["nodes"][3]["data"]["text"] = "{{ y }}"
    definition["edges"][6]["target"] = "nowhere"
    where = {problem[:2] for problem in problems(definition)}
    assert where >= {("crm", "timeoutMs"), ("crm", "headers.A"), ("crm", "responseMapping[0].path"), ("hello", "text")}
    assert ("set", "edges[6].target") in where


def test_a_cycle_that_waits_is_allowed() -> None:
    definition = changed("edges.6", {"source": "set", "target": "hello"})
    assert [problem for problem in problems(definition) if problem[0] != "end"] == []


def test_a_cycle_through_a_subflow_is_allowed() -> None:
    """Whether the other flow waits is known only when it runs."""
    definition = changed("edges.6", {"source": "set", "target": "end"})
    definition["nodes"][7] = {"id": "end", "type": "subflow", "data": {"flowId": "menu"}}
    definition["edges"] += [{"source": "end", "target": "end"}]
    assert problems(definition) == []


def test_load_accepts_exactly_the_definitions_that_pass_the_checks() -> None:
    assert load(GOOD).name == "Boas-vindas"
    with pytest.raises(FlowInvalid, match="node crm, url"):
        load(changed("nodes.2.data.url", ...))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS: list[tuple[Any, ...]] = []


def _collect(value: Any, way: tuple[Any, ...] = ()) -> None:
    PATHS.append(way)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _collect(item, (*way, key))


_collect(GOOD)


def replaced(definition: Any, changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    """A copy of the definition with another value at each of the paths, if the path still exists."""
    definition = copy.deepcopy(definition)
    for way, value in changes:
        if not way:
            definition = value
            continue
        target = definition
        for key in way[:-1]:
            fits = (isinstance(target, dict) and key in target) or (
                isinstance(target, list) and isinstance(key, int) and key < len(target)
            )
            target = target[key] if fits else None
        if isinstance(target, dict) or (
            isinstance(target, list) and isinstance(way[-1], int) and way[-1] < len(target)
        ):
            target[way[-1]] = value
    return definition


@settings(max_examples=examples(400), deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(PATHS), JSON | st.sampled_from(["start", "crm", "x"])), min_size=1, max_size=4
    )
)
def test_no_malformed_definition_raises(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Any part of a valid definition is replaced by any value. The result is a list of problems, or a definition that
    loads."""
    definition = replaced(GOOD, changes)
    flow, found = check(definition)
    assert (flow is None) == any(problem.severity == "error" for problem in found)
    if flow is not None:
        load(definition)


@given(definition=JSON)
def test_any_json_value_is_checked_without_an_exception(definition: Any) -> None:
    assert check(definition)[1]
