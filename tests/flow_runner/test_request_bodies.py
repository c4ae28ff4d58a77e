"""The body of a call: a value stays one value in JSON, forms and XML, and the content type decides the encoding."""

import html
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filas.flows.templates.json_text import render_nested
from filas.flows.templates.template import TemplateError
from flow_runner.engine.node_protocol import NodeFailure
from flow_runner.nodes.request_body import RequestBody, render_body
from ingest.forms.multipart_form import read_form
from tests.flow_runner.harness import Harness, Response, chain, flow, node, step
from tests.long_form import examples

ANA = 'Ana "Nina" Lima'
ATTACK = 'x","tipo":"admin'
SCOPE: dict[str, Any] = {
    "ana": ANA,
    "attack": ATTACK,
    "n": 3,
    "price": 9.5,
    "digits": "01234567890",
    "none": None,
    "yes": True,
    "list": ["a", 1, None],
    "people": [{"name": ANA}, {"name": "Bia\\"}],
    "lines": "a\r\nb\t\\",
    "doc": '{"a":1}',
    "part": '"b":2',
    "form": "a=1&b=2",
    "address": {"city": "São Paulo", "tags": ["a", "b"], "lines": [{"n": 1}]},
}
JSON = {"Content-Type": "application/json; charset=utf-8"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
LINES = {"Content-Type": "application/x-ndjson"}
XML = {"Content-Type": "text/xml"}


def _render(body: Any, headers: dict[str, str] | None = None) -> bytes:
    made = render_body(body, dict(headers or {}), SCOPE)
    return made.content if made else b"no body"


ATTACK_IN_JSON = b"x%5C%22%2C%5C%22tipo%5C%22%3A%5C%22admin"

JSON_TEXTS: list[tuple[str, Any]] = [
    # A value in a text.
    ('{"nome":"Sr. {{ ana }}","n":1}', {"nome": f"Sr. {ANA}", "n": 1}),
    ('{"nome":"{{ ana }}"}', {"nome": ANA}),
    ('{"nome":"{{ attack }}","a":"x{{ attack }}"}', {"nome": ATTACK, "a": f"x{ATTACK}"}),
    ('{"a":"{{ lines }}!"}', {"a": "a\r\nb\t\\!"}),
    ('{"a":"{{ people }}!"}', {"a": '[{"name":"Ana \\"Nina\\" Lima"},{"name":"Bia\\\\"}]!'}),
    ('{"a":"\\"{{ ana }}\\"","b":"\\\\{{ n }}"}', {"a": f'"{ANA}"', "b": "\\3"}),
    ('{"{{ ana }}":1}', {ANA: 1}),
    # A value that is a whole text keeps its type.
    ('{"n":"{{ n }}","p":"{{ price }}","y":"{{ yes }}"}', {"n": 3, "p": 9.5, "y": True}),
    ('{"a":"{{ none }}","l":"{{ list }}","d":"{{ digits }}"}', {"a": None, "l": ["a", 1, None], "d": "01234567890"}),
    ('{"a":" {{ n }}"}', {"a": " 3"}),
    ('{"{{ n }}":1, "{{ ana }}" :{"{{ none }}": 2}}', {"3": 1, ANA: {"": 2}}),
    # A value without quotation marks.
    ('{"nome":{{ ana }},"n":{{ n }},"y":{{ yes }}}', {"nome": ANA, "n": 3, "y": True}),
    ('{"a":{{ none }},"l":{{ list }},"d":{{ digits }}}', {"a": None, "l": ["a", 1, None], "d": "01234567890"}),
    ('{"a":{{ price | times: 2 }},"b":{{ "2026-11-05" | date: "%d" }}}', {"a": 19.0, "b": "05"}),
    ('{"a":{{ (1..3) }},"b":{{ "1,2" | split: "," }}}', {"a": [1, 2, 3], "b": ["1", "2"]}),
    ('{"a":{{ attack }}}', {"a": ATTACK}),
    ('{"a":{{ ana | json }},"l":{{ list | json }}}', {"a": ANA, "l": ["a", 1, None]}),
    ("[{{ n }},{{ ana }}]", [3, ANA]),
    ('{"a":{"b":{{ n }}}}', {"a": {"b": 3}}),
    # Tags.
    (
        '[{% for p in people %}{"n":"{{ p.name }}"}{% unless forloop.last %},{% endunless %}{% endfor %}]',
        [{"n": ANA}, {"n": "Bia\\"}],
    ),
    ('{"a":1{% if n == 3 %},"b":{{ ana }}{% endif %}}', {"a": 1, "b": ANA}),
    ('{"a":"{% capture c %}<{{ ana }}>{% endcapture %}{{ c }}."}', {"a": f"<{ANA}>."}),
    # Templates as JSON writes them.
    ('{"a":"{{ none | default: \\"you\\" }}!"}', {"a": "you!"}),
    ('{"a":"{% if ana == \\"x\\" %}1{% else %}2{% endif %}."}', {"a": "2."}),
    # `raw`.
    ('{"a":{{ doc | raw }},{{ part | raw }}}', {"a": {"a": 1}, "b": 2}),
    ("{{ doc }}", {"a": 1}),
    ("{{ people }}", SCOPE["people"]),
]


@pytest.mark.parametrize(
    "headers", [{}, JSON, {"content-type": "application/vnd.api+json"}], ids=["none", "json", "+json"]
)
@pytest.mark.parametrize(("body", "expected"), JSON_TEXTS, ids=[text[0] for text in JSON_TEXTS])
def test_a_json_text_is_parsed_before_its_templates_are_filled_in(
    body: str, expected: Any, headers: dict[str, str]
) -> None:
    sent = dict(headers)
    made = render_body(body, sent, SCOPE)
    assert made is not None
    assert json.loads(made.content) == expected
    assert "json" in "".join(sent.values())


OTHER_BODIES: list[tuple[Any, dict[str, str], bytes]] = [
    # Without a content type, a text that is not JSON is a text.
    ("Olá {{ ana }}", {}, b'Ol\xc3\xa1 Ana "Nina" Lima'),
    ("[aviso] {{ ana }}", {}, b'[aviso] Ana "Nina" Lima'),
    ("{{ ana }}", {}, ANA.encode()),
    ("{{ n }}", {}, b"3"),
    ("{{ none }}", {}, b"no body"),
    ("<a>{{ ana }}</a>", {"Content-Type": "text/plain"}, b'<a>Ana "Nina" Lima</a>'),
    # JSON that is declared.
    ("{{ ana }}", JSON, b'"Ana \\"Nina\\" Lima"'),
    ("{{ doc }}", JSON, b'{"a":1}'),
    ("{{ digits }}", JSON, b'"01234567890"'),
    ("{{ ana | json }}", JSON, b'"Ana \\"Nina\\" Lima"'),
    ("{{ form | raw }}", JSON, b"a=1&b=2"),
    ('{"a":1,}', JSON, b'{"a":1,}'),
    (
        '{"a":"{{ ana }}"}\n{"a":{{ n }}}\n',
        {"Content-Type": "application/x-ndjson"},
        b'{"a":"Ana \\"Nina\\" Lima"}\n{"a":3}\n',
    ),
    ({"a": "{{ ana }}"}, {"Content-Type": "application/problem+json"}, b'{"a":"Ana \\"Nina\\" Lima"}'),
    # Forms.
    ("nome={{ ana }}&n={{ n }}", FORM, b"nome=Ana%20%22Nina%22%20Lima&n=3"),
    ("a={{ form }}&{{ form | raw }}", FORM, b"a=a%3D1%26b%3D2&a=1&b=2"),
    ('payload={"a":"{{ attack }}","n":{{ n }}}&b={{ n }}', FORM, b'payload={"a":"' + ATTACK_IN_JSON + b'","n":3}&b=3'),
    ({"payload": '{"a":"{{ attack }}"}'}, FORM, b"payload=%7B%22a%22%3A%22" + ATTACK_IN_JSON + b"%22%7D"),
    ("a={{ form | url_encode }}", FORM, b"a=a%3D1%26b%3D2"),
    ("{{ form }}", FORM, b"a=1&b=2"),
    ({"nome": "{{ ana }}", "n": "{{ n }}", "y": True, "x": None}, FORM, b"nome=Ana%20%22Nina%22%20Lima&n=3&y=true"),
    ({"a&b": "{{ form }}"}, FORM, b"a%26b=a%3D1%26b%3D2"),
    ({"a": "{{ form | url_encode }}", "b": "x{{ form | url_encode }}"}, FORM, b"a=a%3D1%26b%3D2&b=xa%3D1%26b%3D2"),
    ({"l": "{{ list }}"}, FORM, b"l=a&l=1"),
    (
        {"e": "{{ address }}"},
        FORM,
        b"e%5Bcity%5D=S%C3%A3o%20Paulo&e%5Btags%5D=a&e%5Btags%5D=b&e%5Blines%5D%5B0%5D%5Bn%5D=1",
    ),
    ("{{ address.lines[0] }}", FORM, b"n=1"),
    ('{"nome":"{{ attack }}"}', FORM, b"nome=x%22%2C%22tipo%22%3A%22admin"),
    # XML and HTML.
    ('<a b="{{ ana }}">{{ "<&>" }}</a>', XML, b'<a b="Ana &quot;Nina&quot; Lima">&lt;&amp;&gt;</a>'),
    ("<a>{{ '<' | escape }}{{ '&lt;' | escape_once }}</a>", XML, b"<a>&lt;&lt;</a>"),
    ("<a>{{ '<b/>' | raw }}</a>", {"Content-Type": "application/soap+xml"}, b"<a><b/></a>"),
    ("<a><![CDATA[{{ ']]><b>' }}]]>{{ '<' }}</a>", XML, b"<a><![CDATA[]]]]><![CDATA[><b>]]>&lt;</a>"),
    # JSON of another type.
    ('{"a":"{{ attack }}"}', {"Content-Type": "text/plain"}, b'{"a":"x\\",\\"tipo\\":\\"admin"}'),
    ('[{"a":{{ ana }}}]', {"Content-Type": "application/x-amz"}, b'[{"a":"Ana \\"Nina\\" Lima"}]'),
    ("[{{ ana }}]", {"Content-Type": "text/plain"}, b'[Ana "Nina" Lima]'),
    # The charset.
    ("é{{ '\u00e7' }}", {"Content-Type": "text/plain; charset=ISO-8859-1"}, b"\xe9\xe7"),
    ("<a>{{ 'é€' }}</a>", {"Content-Type": "text/xml; charset=iso-8859-1"}, b"<a>\xe9&#8364;</a>"),
    ('{"a":"{{ "é😀" }}"}', {"Content-Type": "application/json; charset=latin1"}, b'{"a":"\\u00e9\\ud83d\\ude00"}'),
    ({"a": "é"}, {"Content-Type": "application/json; charset=latin1"}, b'{"a":"\\u00e9"}'),
    ("a\ud800", {}, b"a?"),
    ({"a": "\ud800"}, {}, b'{"a": "\\ud800"}'),
]


@pytest.mark.parametrize(("body", "headers", "content"), OTHER_BODIES, ids=range(len(OTHER_BODIES)))
def test_the_content_type_decides_how_a_body_is_encoded(body: Any, headers: dict[str, str], content: bytes) -> None:
    assert _render(body, headers) == content


def test_a_body_without_a_content_type_gets_one() -> None:
    for body, content_type in (
        ("Olá {{ ana }}", "text/plain; charset=utf-8"),
        ("{{ doc }}", "application/json"),
        ({"a": 1}, "application/json"),
    ):
        headers: dict[str, str] = {}
        render_body(body, headers, SCOPE)
        assert headers == {"Content-Type": content_type}


FAILURES: list[tuple[Any, dict[str, str], str]] = [
    ('{"a":"{{ ana | raw }}"}', JSON, 'body: the text is not JSON, as Content-Type declares: "{\\"a\\":\\"Ana'),
    ("nome={{ ana }}", JSON, "body: the text is not JSON"),
    ("{{ list }}", FORM, 'body: a form is an object, found "[\\"a\\",1,null]"'),
    ({"a": 1}, XML, "body: is an object, but Content-Type is text/xml: write it as a text"),
    ("ł{{ n }}", {"Content-Type": "text/plain; charset=latin1"}, 'body: the charset iso8859-1 has no "ł", use utf-8'),
    (
        "a{{ n }}",
        {"Content-Type": "text/plain; charset=klingon"},
        'headers: the charset "klingon" is unknown, use utf-8',
    ),
]


@pytest.mark.parametrize(("body", "headers", "message"), FAILURES, ids=range(len(FAILURES)))
def test_a_body_that_cannot_be_encoded_is_an_error(body: Any, headers: dict[str, str], message: str) -> None:
    with pytest.raises(NodeFailure) as caught:
        _render(body, headers)
    assert str(caught.value).startswith(message)


def test_a_multipart_form_has_one_part_for_each_field() -> None:
    headers = {"content-type": "multipart/form-data"}
    body = {"nome": "{{ ana }}", 'a"b\r\n': "{{ lines }}", "l": "{{ list }}", "x": None}
    first = render_body(body, headers, SCOPE)
    assert first is not None
    parts = read_form(headers["content-type"], first.content)
    assert parts is not None
    assert (len(parts), parts[0].name, parts[0].content.decode()) == (4, "nome", ANA)
    assert b'name="a%22b%0D%0A"\r\n\r\na\r\nb\t\\\r\n' in first.content
    assert first.content.count(b'name="l"') == 2
    assert render_body(body, {"content-type": "multipart/form-data"}, SCOPE) == first, "an attempt has the same bytes"
    own = render_body({"a": "1"}, {"Content-Type": "multipart/form-data; boundary=XX"}, SCOPE)
    assert own == RequestBody(b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX--\r\n', {"a": "1"})


VALUES = st.text(max_size=12) | st.text('",:{}[]\\/<>&=%+\r\n', max_size=12)
TYPED = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | VALUES, lambda each: st.lists(each, max_size=3))


@settings(max_examples=examples(300), deadline=None)
@given(text=VALUES, typed=TYPED)
@example(text=ATTACK, typed=ATTACK)
def test_any_value_is_one_value(text: str, typed: Any) -> None:
    scope = {"x": text, "v": typed}
    body = '{"a":"<{{ x }}>","b":"{{ v }}","c":{{ v }},"d":[{{ x }}],"e":"\\\\{{ x }}\\""}'
    made = render_body(body, {}, scope)
    assert made is not None
    assert json.loads(made.content) == {"a": f"<{text}>", "b": typed, "c": typed, "d": [text], "e": f'\\{text}"'}
    made = render_body("a={{ x }}&b={{ x }}", dict(FORM), scope)
    assert made is not None
    sent = text.encode(errors="replace").decode()
    assert parse_qsl(made.content.decode(), keep_blank_values=True) == [("a", sent), ("b", sent)]
    made = render_body("<a>{{ x }}</a>", dict(XML), scope)
    assert made is not None
    assert "<" not in made.content.decode()[3:-4]
    assert html.unescape(made.content.decode()[3:-4]) == html.unescape(html.escape(sent))


@pytest.mark.parametrize("kind", ["api", "webhook"])
async def test_a_quotation_mark_of_a_customer_does_not_break_a_call(kind: str) -> None:
    """The whole path, with the check of publication: `x","tipo":"admin` added a field."""
    harness = Harness()
    data = {"method": "POST", "url": "https://a.example", "body": '{"nome":"{{ webhook.body.x | default: \\"\\" }}"}'}
    mode = {"mode": "send"} if kind == "webhook" else {}
    webhook = {"body": {"x": ATTACK}, "headers": {}, "queryParams": {}}
    row = await harness.run(chain(node("a", kind, **data, **mode)), webhook=webhook)
    assert row.status == "succeeded"
    assert harness.outbound.calls[0].json == {"nome": ATTACK}
    assert json.loads(step(row, "a").input["body"]) == {"nome": ATTACK}


NESTED: list[tuple[str, str]] = [
    ('{"a":"{{ x }}","b":{{ x }}}', '{"a":"x\\",\\"tipo\\":\\"admin","b":"x\\",\\"tipo\\":\\"admin"}'),
    ('{"a":"{{ n }}","b":{{ n }},"c":[{{ none }}]}', '{"a":"3","b":3,"c":[null]}'),
    ('[{"a":"{{ x }}"}]', '[{"a":"x\\",\\"tipo\\":\\"admin"}]'),
    ('{"a":"{{ x | raw }}"}', '{"a":"x","tipo":"admin"}'),
    (
        '[{% for i in (1..2) %}{"a":"{{ x }}"}{% if i == 1 %},{% endif %}{% endfor %}]',
        '[{"a":"x\\",\\"tipo\\":\\"admin"},{"a":"x\\",\\"tipo\\":\\"admin"}]',
    ),
    ("[{{ x }}]", '[x","tipo":"admin]'),
    ('{"a" {{ x }}', '{"a" x","tipo":"admin'),
    ("{{ x }}", ATTACK),
]


@pytest.mark.parametrize(("source", "text"), NESTED, ids=[case[0] for case in NESTED])
async def test_a_text_that_is_json_stays_so_wherever_it_is_built(source: str, text: str) -> None:
    """In a field of a body, in a query, in a variable and in the input of a subflow."""
    harness = Harness()
    harness.flows.publish("sub", flow(node("e", "end", output="{{ webhook.body.p }}"), edges="start>e"))
    written = source.replace("{{ ", "{{ webhook.body.")
    call = node("a", "api", method="POST", url="https://a.example", body={"p": [written]}, query={"q": written})
    assigned = node("v", "set-variable", assignments=[{"variable": "v", "value": written}])
    sub = node("s", "subflow", flowId="sub", input={"p": written}, output={"w": "{{ output }}"})
    end = node("e", "end", output=["{{ vars.v }}", "{{ vars.w }}"])
    variables = [{"name": "v", "type": "string"}, {"name": "w", "type": "string"}]
    body = {"x": ATTACK, "n": 3, "none": None}
    row = await harness.run(
        chain(call, assigned, sub, end, variables=variables), webhook={"body": body, "headers": {}, "queryParams": {}}
    )
    assert (row.status, row.output) == ("succeeded", [text, text])
    [sent] = harness.outbound.calls
    assert sent.json == {"p": [text]}
    assert parse_qsl(urlsplit(sent.url).query, keep_blank_values=True) == [("q", text)]


async def test_an_error_hides_a_secret_before_it_is_cut() -> None:
    """The beginning of a text ends in the middle of a secret, and the part is too short to be found."""
    harness = Harness()
    harness.secrets.values["key"] = "planted-secret-of-the-flow"
    body = "{" + "x" * 70 + "{{ secrets.key | raw }}"
    row = await harness.run(chain(node("a", "api", url="https://a.example", headers=JSON, body=body)))
    assert row.error is not None
    assert row.error.kind == "request"
    assert "plante" not in row.error.message
    answer = b"<" + b"x" * 190 + b"planted-secret-of-the-flow"
    harness.outbound.respond = lambda _: Response(200, answer, {"content-type": "application/json"})
    row = await harness.run(chain(node("a", "api", url="https://a.example/{{ secrets.key }}")))
    assert row.error is not None
    assert row.error.kind == "malformed-answer"
    assert "plante" not in repr((row.error, row.steps))


def test_a_template_that_is_not_valid_is_an_error() -> None:
    with pytest.raises(TemplateError):
        _render('{"a":"{{ x | }} \\" }}"}')


def test_a_large_value_keeps_its_type_in_a_variable() -> None:
    """A text that is one whole template is not JSON, although it begins with a brace: nothing is written as a text."""
    items = [{"id": 12345, "name": "abcdef", "on": True}] * 18_000
    assert render_nested("{{ vars.items }}", {"vars": {"items": items}}) == items
    assert render_nested('{"a":"{{ vars.a }}"}', {"vars": {"a": 'x"y'}}) == '{"a":"x\\"y"}'
