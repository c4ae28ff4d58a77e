"""Every filter and every tag in docs/reference/templates.md does what Liquid's documentation describes."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

from filas.flows.templates import template
from filas.flows.templates.filters import added_filters
from tests.reference import filters as reference

SCOPE: dict[str, Any] = {
    "vars": {
        "tags": ["b", "A", "c", "b"],
        "numbers": [3, 1, 2],
        "people": [{"name": "Ana", "age": 30}, {"name": "Bia", "age": 20}, {"name": "Caio"}],
        "none": None,
        "text": "  Olá mundo  ",
        "lines": "a\nb",
    }
}

FILTERS: list[tuple[str, str, Any]] = [
    ("abs", "{{ -3 | abs }}", 3),
    ("append", "{{ 'a' | append: 'b' }}", "ab"),
    ("at_least", "{{ 3 | at_least: 5 }}", 5),
    ("at_most", "{{ 3 | at_most: 2 }}", 2),
    ("base64_decode", "{{ 'b2k=' | base64_decode }}", "oi"),
    ("base64_encode", "{{ 'oi' | base64_encode }}", "b2k="),
    ("base64_url_safe_decode", "{{ 'Pz8_' | base64_url_safe_decode }}", "???"),
    ("base64_url_safe_encode", "{{ '???' | base64_url_safe_encode }}", "Pz8_"),
    ("capitalize", "{{ 'ana MARIA' | capitalize }}", "Ana maria"),
    ("ceil", "{{ 1.2 | ceil }}", 2),
    ("compact", "{{ vars.people | map: 'age' | compact | size }}", 2),
    ("compact", "{{ vars.people | compact: 'age' | size }}", 2),
    ("concat", "{{ vars.numbers | concat: vars.tags | size }}", 7),
    ("date", "{{ '2026-11-25T10:30:00Z' | date: '%d/%m/%Y %H:%M' }}", "25/11/2026 10:30"),
    ("default", "{{ vars.missing | default: 'x' }}", "x"),
    ("divided_by", "{{ 7 | divided_by: 2 }}", 3),
    ("divided_by", "{{ 7 | divided_by: 2.0 }}", 3.5),
    ("downcase", "{{ 'ANA' | downcase }}", "ana"),
    ("escape", "{{ '<b>&' | escape }}", "&lt;b&gt;&amp;"),
    ("escape_once", "{{ '&lt;b>' | escape_once }}", "&lt;b&gt;"),
    ("escapejs", '{{ "it\'s" | escapejs }}', "it\\u0027s"),
    ("find", "{{ vars.people | find: 'name', 'Bia' }}", {"name": "Bia", "age": 20}),
    ("find_index", "{{ vars.people | find_index: 'name', 'Bia' }}", 1),
    ("first", "{{ vars.tags | first }}", "b"),
    ("floor", "{{ 1.8 | floor }}", 1),
    ("has", "{{ vars.people | has: 'name', 'Ana' }}", True),
    ("join", "{{ vars.numbers | join: '-' }}", "3-1-2"),
    ("json", "{{ vars.people[0] | json }}", '{"name":"Ana","age":30}'),
    ("last", "{{ vars.numbers | last }}", 2),
    ("lstrip", "{{ vars.text | lstrip }}", "Olá mundo  "),
    ("map", "{{ vars.people | map: 'name' }}", ["Ana", "Bia", "Caio"]),
    ("map", "{{ vars.people | map: 'age' }}", [30, 20, None]),
    ("minus", "{{ 5 | minus: 2 }}", 3),
    ("modulo", "{{ 7 | modulo: 3 }}", 1),
    ("newline_to_br", "{{ vars.lines | newline_to_br }}", "a<br />\nb"),
    ("plus", "{{ '2' | plus: 3 }}", 5),
    ("prepend", "{{ 'b' | prepend: 'a' }}", "ab"),
    ("reject", "{{ vars.people | reject: 'age', 20 | map: 'name' }}", ["Ana", "Caio"]),
    ("remove", "{{ 'banana' | remove: 'an' }}", "ba"),
    ("remove_first", "{{ 'banana' | remove_first: 'an' }}", "bana"),
    ("remove_last", "{{ 'banana' | remove_last: 'an' }}", "bana"),
    ("replace", "{{ 'banana' | replace: 'an', 'um' }}", "bumuma"),
    ("replace_first", "{{ 'banana' | replace_first: 'an', 'um' }}", "bumana"),
    ("replace_last", "{{ 'banana' | replace_last: 'an', 'um' }}", "banuma"),
    ("reverse", "{{ vars.numbers | reverse }}", [2, 1, 3]),
    ("round", "{{ 3.14159 | round: 2 }}", 3.14),
    ("rstrip", "{{ vars.text | rstrip }}", "  Olá mundo"),
    ("size", "{{ vars.tags | size }}", 4),
    ("slice", "{{ 'banana' | slice: 1, 3 }}", "ana"),
    ("sort", "{{ vars.numbers | sort }}", [1, 2, 3]),
    ("sort", "{{ vars.tags | sort }}", ["A", "b", "b", "c"]),
    ("sort_natural", "{{ vars.tags | sort_natural }}", ["A", "b", "b", "c"]),
    ("split", "{{ 'a,b' | split: ',' }}", ["a", "b"]),
    ("squish", "{{ '  a   b ' | squish }}", "a b"),
    ("strip", "{{ vars.text | strip }}", "Olá mundo"),
    ("strip_html", "{{ '<b>a</b>' | strip_html }}", "a"),
    ("strip_newlines", "{{ vars.lines | strip_newlines }}", "ab"),
    ("sum", "{{ vars.numbers | sum }}", 6),
    ("sum", "{{ vars.people | sum: 'age' }}", 50),
    ("times", "{{ 3 | times: 1.5 }}", 4.5),
    ("truncate", "{{ 'Olá mundo' | truncate: 6 }}", "Olá..."),
    ("truncatewords", "{{ 'um dois três' | truncatewords: 2 }}", "um dois..."),
    ("uniq", "{{ vars.tags | uniq }}", ["b", "A", "c"]),
    ("raw", "{{ '<b>' | raw }}", "<b>"),
    ("upcase", "{{ 'olá' | upcase }}", "OLÁ"),
    ("url_decode", "{{ 'a%20b+c' | url_decode }}", "a b c"),
    ("url_encode", "{{ 'a b&c' | url_encode }}", "a+b%26c"),
    ("where", "{{ vars.people | where: 'age', 30 | map: 'name' }}", ["Ana"]),
]

FILTER_NAMES = sorted({row[0] for row in FILTERS})

TAGS: list[tuple[str, str, str]] = [
    ("if", "{% if vars.none %}a{% elsif 2 > 1 and vars.tags contains 'A' %}b{% else %}c{% endif %}", "b"),
    ("unless", "{% unless vars.none %}a{% endunless %}", "a"),
    ("case", "{% case vars.numbers[0] %}{% when 1, 2 %}few{% when 3 %}three{% else %}many{% endcase %}", "three"),
    ("for", "{% for n in vars.numbers reversed %}{{ forloop.index }}:{{ n }} {% endfor %}", "1:2 2:1 3:3 "),
    ("for", "{% for p in vars.people limit: 1 offset: 1 %}{{ p.name }}{% else %}none{% endfor %}", "Bia"),
    ("for", "{% for p in vars.none %}x{% else %}none{% endfor %}", "none"),
    ("break", "{% for i in (1..5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"),
    ("continue", "{% for i in (1..3) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "13"),
    ("assign", "{% assign x = vars.numbers | sum %}{{ x }}", "6"),
    ("capture", "{% capture x %}a{{ 1 }}{% endcapture %}[{{ x }}]", "[a1]"),
    ("increment", "{% increment x %}{% increment x %}", "01"),
    ("decrement", "{% decrement x %}{% decrement x %}", "-1-2"),
    ("cycle", "{% for i in (1..3) %}{% cycle 'a', 'b' %}{% endfor %}", "aba"),
    ("echo", "is {% echo vars.numbers %}", "is [3,1,2]"),
    ("comment", "a{% comment %}b{% endcomment %}c", "ac"),
]


@pytest.mark.parametrize(("source", "value"), [row[1:] for row in FILTERS], ids=[row[0] for row in FILTERS])
def test_a_filter_returns_the_documented_value(source: str, value: Any) -> None:
    assert template.render(source, SCOPE) == value


@pytest.mark.parametrize(("source", "text"), [row[1:] for row in TAGS], ids=[row[0] for row in TAGS])
def test_a_tag_writes_the_documented_text(source: str, text: str) -> None:
    assert template.render(source, SCOPE) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 'a' | append: vars.none }}", "a"),
        ("{{ 'a' | append: vars.yes }}", "atrue"),
        ("{{ vars.people[0] | prepend: 'is ' }}", 'is {"name":"Ana","age":30}'),
        ("{{ vars.none | upcase }}", ""),
        ("{{ vars.yes | upcase }}", "TRUE"),
        ("{{ vars.people | map: 'age' | join: ',' }}", "30,20,"),
        ("{{ vars.mixed | join: ' ' }}", '1  true {"a":null}'),
        ("{{ 'a-b' | replace: '-', vars.none }}", "ab"),
        ("{{ vars.mixed | truncate: 8 }}", "[1,nu..."),
    ],
)
def test_no_filter_writes_a_value_as_python_does(source: str, text: str) -> None:
    """Inside and outside filters, null is written as nothing, a boolean as `true`, objects and lists as JSON."""
    more = {"yes": True, "mixed": [1, None, True, {"a": None}]}
    assert template.render_text(source, {"vars": SCOPE["vars"] | more}) == text


@pytest.mark.parametrize("name", [name for name in FILTER_NAMES if name != "capitalize"])
@pytest.mark.parametrize("value", ["vars.none", "vars.yes", "vars.people"])
def test_no_result_of_a_filter_has_python_syntax(name: str, value: str) -> None:
    scope = {"vars": SCOPE["vars"] | {"yes": True}}
    for arguments in ("", f": {value}", f": 'a', {value}"):
        for given in (value, "'a'"):
            with contextlib.suppress(template.TemplateError):
                made = template.render_text(f"{{{{ {given} | {name}{arguments} }}}}", scope)
                assert not re.search("None|True|'name'", made), made


@pytest.mark.parametrize(("source", "value"), reference.EXAMPLES.values(), ids=reference.EXAMPLES)
def test_an_example_of_the_reference_yields_the_value(source: str, value: Any) -> None:
    parsed = template.parse(source)
    parsed.check_constants()
    assert parsed.evaluate({}) == value


def test_every_documented_filter_and_tag_is_tested() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "templates.md").read_text()
    tags = re.search(r"\nTags: (.*?)\.\n", page, re.DOTALL).group(1)  # type: ignore[union-attr]
    filters = re.search(r"\nFilters of Liquid: (.*?)\.\n", page, re.DOTALL).group(1)  # type: ignore[union-attr]
    assert set(re.findall(r"`(\w+)`", filters)) | set(added_filters.FILTERS) == {
        *(row[0] for row in FILTERS),
        *reference.EXAMPLES,
    }
    assert set(re.findall(r"`(\w+)`", tags)) - {"end"} == {row[0] for row in TAGS}
