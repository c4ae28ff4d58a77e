"""Values that are inserted into a syntax are escaped, once; the text of the template and `raw` values are not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.templates import template
from filas.flows.templates.template import TemplateError, UnknownName
from tests.long_form import examples

SCOPE: dict[str, Any] = {"vars": {"n": 1, "none": None, "x": "a<b", "list": ["<", 1, {"c": "<"}], "nul": "\0000\0"}}


def _escape(value: str) -> str:
    return f"[{value.replace('<', '&lt;')}]"


CASES: list[tuple[str, str]] = [
    ("<{{ vars.x }}>", "<[a&lt;b]>"),
    ("<plain>", "<plain>"),
    ("{{ vars.x }}", "[a&lt;b]"),
    ("{{ vars.x | raw }}", "a<b"),
    ("<{{ vars.x | raw }}>", "<a<b>"),
    ("<{{ vars.x | raw | upcase }}>", "<A<B>"),
    ("<{{ vars.x | upcase | raw }}>", "<A<B>"),
    ("<{{ vars.x | append: '<' }}>", "<[a&lt;b&lt;]>"),
    ("<{{ '<' }}>", "<[&lt;]>"),
    ("<{{ vars.n }}>", "<[1]>"),
    ("{{ vars.n }}", "[1]"),
    ("<{{ vars.none }}>", "<[]>"),
    ("{{ vars.list }}", '[["&lt;",1,{"c":"&lt;"}]]'),
    ("{% raw %}{{ < }}{% endraw %}{{ vars.n }}", "{{ < }}[1]"),
    ("{% if vars.x == 'a<b' %}<{% endif %}{{ vars.n }}", "<[1]"),
    ("{% for i in vars.list %}<{{ i }}{% endfor %}", '<[&lt;]<[1]<[{"c":"&lt;"}]'),
    ("{% assign y = vars.x | upcase %}<{{ y }}", "<[A&lt;B]"),
    ("{% capture y %}({{ vars.x }}){% endcapture %}<{{ y }}", "<[(a&lt;b)]"),
    ("{% capture y %}({{ vars.x }}){% endcapture %}<{{ y | raw }}{{ vars.n }}", "<(a<b)[1]"),
    ("<{% echo vars.x %}{% echo vars.x | raw %}", "<[a&lt;b]a<b"),
    ("{% liquid\n echo vars.x\n echo vars.n %}", "[a&lt;b][1]"),
    ("{% cycle vars.x, 'b' %}<{% cycle vars.x, 'b' %}", "[a&lt;b]<[b]"),
    ("{% increment i %}<{{ vars.n }}", "0<[1]"),
    ("<{{ vars.nul }}{{ vars.nul | raw }}", "<[\0000\0]\0000\0"),
]


@pytest.mark.parametrize(("source", "text"), CASES, ids=[case[0] for case in CASES])
def test_each_inserted_value_is_escaped_once(source: str, text: str) -> None:
    assert template.render_text(source, SCOPE, _escape) == text


@pytest.mark.parametrize(("source", "text"), CASES[:-1], ids=[case[0] for case in CASES[:-1]])
def test_the_places_of_values_are_known_for_a_later_escape(source: str, text: str) -> None:
    marked = template.render_marked(source, SCOPE)
    assert marked.text == template.render_text(source, SCOPE)
    assert marked.escaped(_escape) == text


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ vars.n }}", 1),
        ("{{ vars.none }}", None),
        ("{{ vars.list }}", ["[&lt;]", 1, {"c": "[&lt;]"}]),
        ("{{ vars.list | raw }}", ["<", 1, {"c": "<"}]),
        ("<", "<"),
    ],
)
def test_a_whole_template_keeps_its_type(source: str, value: Any) -> None:
    assert template.render({"a": [source]}, SCOPE, _escape) == {"a": [value]}


@pytest.mark.parametrize(("source", "text"), [("{% echo vars.list %} {% cycle vars.list %}", '["<",1,{"c":"<"}] ' * 2)])
def test_echo_and_cycle_write_values_as_an_output_does(source: str, text: str) -> None:
    assert template.render_text(source, SCOPE) == text.strip()


def test_line_breaks_of_a_value_are_kept() -> None:
    assert template.render_text("a{{ x }}", {"x": "\r\n|\r|\n"}) == "a\r\n|\r|\n"


def test_raw_does_nothing_without_an_escape_function() -> None:
    assert template.render("{{ vars.n | raw }}", SCOPE) == 1
    with pytest.raises(UnknownName):
        template.render("a{{ vars.missing | raw }}", SCOPE)


@pytest.mark.parametrize("render", [template.render_marked, lambda s, v: template.render_text(s, v, lambda _: "")])
def test_the_bounds_count_values_that_an_escape_function_makes_shorter(render: Any) -> None:
    scope = {"vars": {"long": "x" * 200_000}}
    with pytest.raises(TemplateError, match="long"):
        render("{% for i in (1..1000) %}{{ vars.long }}{% endfor %}.", scope)


@settings(max_examples=examples(200), deadline=None)
@given(values=st.lists(st.text(max_size=8), max_size=5), texts=st.lists(st.text("ab<>\n", max_size=5), min_size=6))
def test_pieces_are_the_values_and_the_text_around_them(values: list[str], texts: list[str]) -> None:
    source = "".join(f"{text}{{{{ v[{index}] }}}}" for index, text in enumerate(texts[: len(values)])) + "<."
    marked = template.render_marked(source, {"v": values})
    assert [piece for piece, is_value in marked.pieces() if is_value] == values
    assert marked.text == template.render_text(source, {"v": values})
