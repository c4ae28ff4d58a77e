"""Each kind of Typebot's blocks: what it becomes, and what the report states of it."""

from typing import Any

import pytest

from filas.flows.expressions import rules
from filas.flows.templates import template
from tests.shared.flows.imports.typebots import converted, data_of, edges_of, notes_of, said

ASKED = said("Oi?")


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "content": {"richText": list(elements)}}


def items(kind: str, *contents: dict[str, Any]) -> dict[str, Any]:
    """A list of one item, whose content consists of texts and lists."""
    return {"type": kind, "children": [{"type": "li", "children": list(contents)}]}


def line(text: str) -> dict[str, Any]:
    return {"type": "lic", "children": [{"text": text}]}


def paragraph(*children: dict[str, Any]) -> dict[str, Any]:
    return {"type": "p", "children": list(children)}


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (said("Olá, {{Nome}}!", "", "Tudo bem?"), "Olá, {{ vars.nome }}!\n\nTudo bem?"),
        (rich(paragraph({"text": "Oi ", "bold": True}, {"text": "gente", "italic": True})), "*Oi* _gente_"),
        (rich(paragraph({"text": "ambos", "bold": True, "italic": True, "strikethrough": True})), "~_*ambos*_~"),
        (rich(paragraph({"type": "a", "url": "https://a.example", "children": [{"text": "site"}]})), "site (https://a.example)"),
        (rich(items("ol", line("um"))), "1. um"),
        (rich(items("ul", line("fora"), items("ul", line("dentro")))), "- fora\n  - dentro"),
        ({"type": "text", "content": {"plainText": "só texto", "richText": [], "html": ""}}, "só texto"),
        (
            {"type": "text", "content": {"html": "<div>a &amp; <i>b</i></div><div><a href='https://c.example'>c</a></div>"}},
            "a & _b_\nc (https://c.example)",
        ),
        (said("{{ Nome }} {{Nova}} { Nome } {{"), "{{ vars.nome }}  {{ '{' }} Nome } {{ '{{' }}"),
        (said("{% if %}{{{Nome}}"), "{{ '{%' }} if %}{{ '{' }}{{ vars.nome }}"),
        ({"type": "embed", "content": {"url": "https://a.example/{{Nome}}"}}, "https://a.example/{{ vars.nome }}"),
        ({"type": "video", "content": {"type": "youtube", "id": "a b"}}, "https://www.youtube.com/watch?v=a%20b"),
        ({"type": "Redirect", "options": {"url": "https://a.example"}}, "https://a.example"),
    ],
)  # fmt: skip
def test_texts(block: dict[str, Any], text: str) -> None:
    """Rich text, HTML, plain text, and what a chat shows as a link."""
    assert data_of(converted(block), "message")["text"] == text


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_media(kind: str) -> None:
    """A file with an address is sent; without one, or with its content in the export, it is left out."""
    found = converted({"type": kind, "content": {"url": "https://a.example/{{Nome}}.x"}})
    assert data_of(found, "message")["media"] == {"kind": kind, "url": "https://a.example/{{ vars.nome }}.x"}
    assert notes_of(found, "b1") == ("carried", [])
    assert notes_of(converted({"type": kind, "content": {"url": "data:x/y;base64,AAA"}}), "b1")[0] == "left-out"
    assert notes_of(converted({"type": kind, "content": {}}), "b1") == ("left-out", ["empty"])


@pytest.mark.parametrize(
    ("block", "expected", "status"),
    [
        ({"type": "text input"}, {"kind": "text"}, "carried"),
        ({"type": "number input"}, {"kind": "number"}, "carried"),
        ({"type": "number input", "options": {"min": 1}}, {"kind": "number"}, "changed"),
        ({"type": "email input", "options": {"retryMessageContent": "De novo, {{Nome}}"}},
         {"kind": "email", "retryPrompt": "De novo, {{ vars.nome }}"}, "carried"),
        ({"type": "phone number input", "options": {"variableId": "v1"}},
         {"kind": "phone", "variable": "nome"}, "carried"),
        ({"type": "date input"}, {"kind": "date"}, "carried"),
        ({"type": "date input", "options": {"isRange": True}}, {"kind": "date"}, "changed"),
        ({"type": "file input"}, {"kind": "file"}, "changed"),
        ({"type": "url input"}, {"kind": "regex"}, "changed"),
        ({"type": "time input"}, {"kind": "regex"}, "changed"),
        ({"type": "rating input", "options": {"length": 3}},
         {"choices": [{"id": one, "title": one} for one in "123"]}, "changed"),
        ({"type": "choice input", "items": [{"id": "i", "content": "Sim"}, {"id": "j", "content": "out"}]},
         {"choices": [{"id": "Sim", "title": "Sim"}, {"id": "choice-2", "title": "out"}]}, "changed"),
        ({"type": "choice input", "options": {"isMultipleChoice": True}, "items": [{"id": "i", "content": "Sim"}]},
         {"kind": "text", "prompt": "Oi?\n- Sim"}, "changed"),
        ({"type": "choice input", "options": {"dynamicVariableId": "v3"}, "items": [{"id": "i"}]},
         {"kind": "text", "prompt": "Oi?{% for choice in vars.itens %}\n- {{ choice }}{% endfor %}"}, "changed"),
    ],
)  # fmt: skip
def test_inputs(block: dict[str, Any], expected: dict[str, Any], status: str) -> None:
    """The text before an input is its prompt, and both are one node."""
    found = converted(ASKED, block)
    data = data_of(found, "input")
    assert {name: data[name] for name in expected} == expected
    assert data["prompt"].startswith("Oi?")
    assert notes_of(found, "b2")[0] == status
    assert notes_of(found, "b1") == ("carried", ["joined-with-question"])
    assert [one.nodes for one in found.blocks] == [["main-" + data_word(block)]] * 2


def data_word(block: dict[str, Any]) -> str:
    kind = str(block["type"])
    words = {"choice input": "choose", "rating input": "rate"}
    return words.get(kind, "ask-" + kind.removesuffix(" input").replace(" ", "-"))


def test_an_input_without_a_text_before_it_has_a_prompt() -> None:
    """Its placeholder, or a sign; the report states that a prompt is to be written."""
    found = converted({"type": "text input", "options": {"labels": {"placeholder": "Seu nome"}}})
    assert data_of(found, "input")["prompt"] == "Seu nome"
    assert notes_of(found, "b1") == ("changed", ["prompt-added"])


def test_choices_with_edges_of_their_own() -> None:
    """They leave by their own handle, the others by `out`; pictures are sent before the question."""
    items = [
        {"id": "i", "title": "A", "pictureSrc": "https://a.example/a.png", "description": "x", "outgoingEdgeId": "e"},
        {"id": "j", "title": "B"},
    ]
    group = {"id": "g2", "title": "Second", "blocks": [{"id": "c1", **said("dois")}]}
    edge = {"id": "e", "from": {"blockId": "b2", "itemId": "i"}, "to": {"groupId": "g2"}}
    found = converted(
        ASKED, {"type": "picture choice input", "items": items}, said("resto"), groups=[group], edges=[edge]
    )
    assert edges_of(found) == {
        ("start", "out", "main-pictures"),
        ("main-pictures", "out", "main-choose"),
        ("main-choose", "A", "second-text"),
        ("main-choose", "out", "main-text"),
    }


OPERATORS: list[tuple[str, str, Any, Any, bool]] = [
    ("Equal to", "Ana", "Ana", "ana", True),
    ("Not equal", "Ana", "Bia", "Ana", True),
    ("Contains", "an", "Joana", "Rui", True),
    ("Does not contain", "an", "Rui", "Joana", True),
    ("Greater than", "10.5", "11", "9", True),
    ("Less than", "10", 9, 11, True),
    ("Is set", "", "x", "", True),
    ("Is empty", "", "", "x", True),
    ("Starts with", "An", "ana", "Joana", True),
    ("Ends with", "na", "Ana", "Rui", True),
    ("Matches regex", "/^a+$/i", "AAA", "AB", True),
    ("Does not match regex", "^a", "b", "ab", True),
    ("Matches regex", "(?<=a)b", "ab", "ab", False),
    ("Sounds like", "x", "x", "x", False),
]


@pytest.mark.parametrize(("operator", "value", "true_for", "false_for", "is_carried"), OPERATORS)
def test_comparisons(operator: str, value: str, true_for: Any, false_for: Any, is_carried: bool) -> None:
    """Every operator, evaluated. One that cannot be expressed is never true, and is reported."""
    comparison = {"variableId": "v1", "comparisonOperator": operator, "value": value}
    found = converted({"type": "Condition", "items": [{"id": "i", "content": {"comparisons": [comparison]}}]})
    [rule] = data_of(found, "condition")["rules"]
    assert holds(rule, true_for) is is_carried
    assert holds(rule, false_for) is False
    assert notes_of(found, "b1")[0] == ("carried" if is_carried else "changed")


def holds(rule: dict[str, Any], nome: Any) -> bool:
    """Whether a rule is true if the variable has that value."""
    left = template.parse(rule["variable"]).evaluate({"vars": {"nome": nome}})
    return rules.compare(rule["operator"], left, rule.get("value"), exact=rule.get("exact", False), locale="en-US")


def test_several_conditions_are_a_switch() -> None:
    """The first that matches decides; otherwise the block's own edge, or the next block."""
    items = [
        {"id": "i", "content": {"logicalOperator": "OR", "comparisons": []}, "outgoingEdgeId": "e"},
        {"id": "j", "content": {"comparisons": [{"variableId": "v1", "comparisonOperator": "Is set"}]}},
    ]
    group = {"id": "g2", "title": "Second", "blocks": [{"id": "c1", **said("dois")}]}
    edge = {"id": "e", "from": {"blockId": "b1", "itemId": "i"}, "to": {"groupId": "g2"}}
    found = converted({"type": "Condition", "items": items}, said("resto"), groups=[group], edges=[edge])
    assert [case["logic"] for case in data_of(found, "switch")["cases"]] == ["or", "and"]
    assert ("main-condition", "case-1", "second-text") in edges_of(found)
    assert ("main-condition", "default", "main-text") in edges_of(found)


@pytest.mark.parametrize(
    ("options", "given", "value", "status"),
    [
        ({"expressionToEvaluate": "{{Score}} + 5"}, {"score": 2}, 7, "carried"),
        ({"expressionToEvaluate": "{{Score}} - 1 + 4"}, {"score": "2"}, 5, "carried"),
        ({"expressionToEvaluate": "{{Score}} / 2"}, {"score": 5}, 2.5, "carried"),
        ({"expressionToEvaluate": '"Oi " + {{Nome}}'}, {"nome": "Ana"}, "Oi Ana", "carried"),
        ({"expressionToEvaluate": "42"}, {}, 42, "carried"),
        ({"expressionToEvaluate": "Plano {{Nome}}"}, {"nome": "A"}, "Plano A", "carried"),
        ({"expressionToEvaluate": "{{Itens}}.map(x => x)", "isCode": True}, {}, None, "changed"),
        ({"type": "Empty"}, {}, None, "carried"),
        ({"type": "Append value(s)", "item": "c"}, {"score": ["a"]}, ["a", "c"], "carried"),
        ({"type": "Append value(s)", "item": "{{Nome}}"}, {"score": None, "nome": "b"}, ["b"], "carried"),
        ({"type": "Pop"}, {"score": ["a", "b"]}, ["a"], "carried"),
        ({"type": "Shift"}, {"score": ["a", "b"]}, ["b"], "carried"),
        ({"type": "Contact name"}, {}, None, "changed"),
        ({"type": "Transcript"}, {}, None, "changed"),
    ],
)
def test_set_variable(options: dict[str, Any], given: dict[str, Any], value: Any, status: str) -> None:
    """Values, sums and lists; code is not run."""
    found = converted({"type": "Set variable", "options": {"variableId": "v2", **options}})
    written = data_of(found, "set-variable")["assignments"][-1]
    scope = {"vars": {"nome": None, "score": None, **given}}
    assert (written["variable"], template.render(written["value"], scope)) == ("score", value)
    assert notes_of(found, "b1")[0] == status


@pytest.mark.parametrize("kind", ["Now", "Today", "Yesterday", "Tomorrow", "Moment of the day"])
def test_moments(kind: str) -> None:
    """They are computed when the flow runs."""
    options = {"variableId": "v4", "type": kind, "timeZone": "America/Sao_Paulo"}
    [written] = data_of(converted({"type": "Set variable", "options": options}), "set-variable")["assignments"]
    assert template.render(written["value"], {"vars": {}})


def test_a_request() -> None:
    """Method, headers, query, body and the paths of the response."""
    webhook = {
        "method": "put",
        "url": "https://a.example/{{Nome}}",
        "headers": [{"key": "X-Token", "value": "abc"}],
        "queryParams": [{"key": "q", "value": "{{Score}}"}],
        "body": '{"n": "{{Nome}}"}',
    }
    mapping = [
        {"variableId": "v1", "bodyPath": "data.a-b[0]['c d']"},
        {"variableId": "v2", "bodyPath": "statusCode"},
        {"variableId": "v3", "bodyPath": "data.map(x)"},
    ]
    options = {"webhook": webhook, "isCustomBody": True, "responseVariableMapping": mapping, "timeout": 99}
    found = converted({"type": "Webhook", "options": options})
    data = data_of(found, "api")
    assert (data["method"], data["url"], data["query"]) == (
        "PUT",
        "https://a.example/{{ vars.nome }}",
        {"q": "{{ vars.score }}"},
    )
    assert (data["body"], data["timeoutMs"], data["onError"]) == ('{"n": "{{ vars.nome }}"}', 50_000, "continue")
    assert [one["path"] for one in data["responseMapping"]] == ['body."a-b"[0]."c d"', "status"]
    assert notes_of(found, "b1") == ("changed", ["move-secret", "path-not-carried"])


def test_a_request_of_an_older_version() -> None:
    """Its webhook is in a list of its own, and the body has all variables."""
    webhooks = [{"id": "w1", "url": "a.example/hook", "method": "POST"}]
    found = converted({"type": "Webhook", "webhookId": "w1"}, said("{{Nome}}"), webhooks=webhooks)
    assert data_of(found, "api")["url"] == "https://a.example/hook"
    assert data_of(found, "api")["body"]["nome"] == "{{ vars.nome }}"
    assert notes_of(found, "b1") == ("changed", ["scheme-added", "all-variables-sent"])


def test_an_email() -> None:
    """It is sent over a channel, which the report names."""
    options = {
        "recipients": ["a@example.com", "{{Nome}}"],
        "subject": "Oi",
        "body": "x",
        "isCustomBody": True,
        "cc": ["c@example.com"],
    }
    found = converted({"type": "Email", "options": options})
    data = data_of(found, "notify")
    assert (data["to"], data["channel"], data["cc"]) == ("a@example.com, {{ vars.nome }}", "email", ["c@example.com"])
    assert notes_of(found, "b1") == ("changed", ["needs-channel"])


def test_waits() -> None:
    """Seconds, a variable, and one that is too long."""
    assert data_of(converted({"type": "Wait", "options": {"secondsToWaitFor": "1.5"}}), "delay")["ms"] == 1500
    by_variable = data_of(converted({"type": "Wait", "options": {"secondsToWaitFor": "{{Score}}"}}), "delay")
    assert by_variable["until"] == '{{ "now" | date: "%s" | plus: vars.score }}'
    month = converted({"type": "Wait", "options": {"secondsToWaitFor": 99_999_999}})
    assert data_of(month, "delay")["ms"] == 30 * 86_400_000
    assert month.definition["settings"]["timeoutMs"] == 31 * 86_400_000
    assert notes_of(month, "b1") == ("changed", ["wait-cut"])


def test_links_and_jumps() -> None:
    """Within the typebot they are edges; another typebot is another flow."""
    group = {"id": "g2", "title": "Second", "blocks": [{"id": "c1", **said("um")}, {"id": "c2", **said("dois")}]}
    jump = {"type": "Jump", "options": {"groupId": "g2", "blockId": "c2"}}
    assert edges_of(converted(said("a"), jump, groups=[group])) >= {("main-text", "out", "second-text-2")}
    link = {"type": "Typebot link", "options": {"typebotId": "current", "groupId": "g2"}}
    assert edges_of(converted(said("a"), link, groups=[group])) >= {("main-text", "out", "second-text")}
    other = converted({"type": "Typebot link", "options": {"typebotId": "clOther"}})
    assert data_of(other, "subflow") == {"flowId": "clother"}
    assert notes_of(other, "b1") == ("changed", ["needs-flow"])


def test_an_a_b_test() -> None:
    """Its share is decided by the id of the execution."""
    items = [{"id": "a", "path": "a", "outgoingEdgeId": "e"}, {"id": "b", "path": "b"}]
    group = {"id": "g2", "title": "Second", "blocks": [{"id": "c1", **said("dois")}]}
    edge = {"id": "e", "from": {"blockId": "b1", "itemId": "a"}, "to": {"groupId": "g2"}}
    found = converted(
        {"type": "AB test", "items": items, "options": {"aPercent": 30}}, said("b"), groups=[group], edges=[edge]
    )
    [rule] = data_of(found, "condition")["rules"]
    drawn = template.parse(rule["variable"])
    below = sum(drawn.evaluate({"execution": {"id": str(number)}}) < rule["value"] for number in range(400))
    assert 80 < below < 160
    assert edges_of(found) == {
        ("start", "out", "main-share"), ("main-share", "true", "second-text"), ("main-share", "false", "main-text")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("Google Sheets", "google-sheets"),
        ("Google Analytics", "only-in-browser"),
        ("Pixel", "only-in-browser"),
        ("Code", "script"),
        ("Chatwoot", "human-hand-over"),
        ("OpenAI", "artificial-intelligence"),
        ("openai", "artificial-intelligence"),
        ("payment input", "payment"),
        ("cal-com", "service"),
        ("Zapier", "no-address"),
        ("Make.com", "no-address"),
        ("something new", "unsupported"),
    ],
)
def test_what_is_left_out_has_a_visible_place(kind: str, code: str) -> None:
    """A delay of 0 ms with its name: the path goes on, and the report states what to do."""
    found = converted(said("antes"), {"type": kind}, said("depois"))
    assert data_of(found, "delay") == {"label": f"Left out: {kind}", "ms": 0}
    assert edges_of(found) >= {("main-text", "out", "main-left-out"), ("main-left-out", "out", "main-text-2")}
    assert notes_of(found, "b2") == ("left-out", [code])


def test_a_call_that_is_waited_for() -> None:
    """Its body is written to variables; the report names the address."""
    mapping = [{"variableId": "v1", "bodyPath": "data.name"}, {"variableId": "v2", "bodyPath": "data.f()"}]
    found = converted({"type": "webhook", "options": {"responseVariableMapping": mapping}}, {"type": "Return"})
    [written] = data_of(found, "set-variable")["assignments"]
    assert written == {"variable": "nome", "value": "{{ nodes.main-wait-for-call.output.body.name }}"}
    assert notes_of(found, "b1") == ("changed", ["waits-for-call", "path-not-carried"])
