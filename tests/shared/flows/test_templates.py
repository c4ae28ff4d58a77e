"""Templates: strict about names, typed, bounded, and without access to Python."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows.templates import template
from filas.flows.templates.template import TemplateError, UnknownName
from tests.long_form import examples

SCOPE: dict[str, Any] = {
    "vars": {"n": 1, "none": None, "list": [1, "b", {"c": 2}], "name": "Ana", "yes": True, "price": 9.9},
    "webhook": {"body": {"from": "55119", "deep": {"er": [10, 20]}}},
    "nodes": {"my-node": {"output": {"id": 7}}},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("plain", "plain"),
        ("{{ vars.n }}", 1),
        ("{{vars.list}}", [1, "b", {"c": 2}]),
        ("{{ vars.none }}", None),
        ("{{ vars.yes }}", True),
        ("{{ vars.price }}", 9.9),
        (" {{ vars.n }}", " 1"),
        ("{{ vars.n }}{{ vars.n }}", "11"),
        ("{{ vars.n | plus: 1 }}", 2),
        ("{{ vars.name | upcase }}", "ANA"),
        ("{{ nodes.my-node.output.id }}", 7),
        ("{{ nodes['my-node'].output }}", {"id": 7}),
        ("{{ webhook.body.deep.er[1] }}", 20),
        ("{{ webhook.body.deep.er.first }}", 10),
        ("{{ vars.list | size }}", 3),
        ("{{ (1..3) }}", [1, 2, 3]),
        ("{{ vars.missing | default: 'x' }}", "x"),
        ("Olá {{ vars.name }}!", "Olá Ana!"),
        ("a {{ vars.none }} b", "a  b"),
        ("{{ vars.list }} is JSON", '[1,"b",{"c":2}] is JSON'),
        ("is {{ vars.yes }}", "is true"),
        ("{% if vars.n == 1 %}one{% else %}more{% endif %}", "one"),
        ("{% for item in vars.list %}{{ forloop.index }}{% endfor %}", "123"),
        ("{% assign x = vars.n | times: 3 %}{{ x }}", "3"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ '<b>x</b>y' | strip_html }}", "xy"),
        ("{{ vars.list | concat: vars.list | uniq | size }}", 3),
        ("{{ vars.list | json }}", '[1,"b",{"c":2}]'),
    ],
)
def test_a_template_returns_a_value(source: str, value: Any) -> None:
    assert template.render(source, SCOPE) == value
    assert type(template.render(source, SCOPE)) is type(value)


@pytest.mark.parametrize("source", ["{{ vars.x }}", "a {{ vars.x }}", "{{ nope }}", "{{ vars.x | upcase }}"])
def test_an_unknown_name_is_an_error_but_null_in_a_rule(source: str) -> None:
    with pytest.raises(UnknownName):
        template.render(source, SCOPE)
    assert template.evaluate_or_null(source, SCOPE) is None


@pytest.mark.parametrize(
    "source",
    [
        "{{ vars.name.__class__ }}",
        "{{ vars.__class__ }}",
        "{{ vars.list.append }}",
        "{{ vars.name['__class__'] }}",
        "{{ vars.items }}",
        "{{ webhook.body.keys }}",
    ],
)
def test_no_attribute_or_method_of_python_is_accessible(source: str) -> None:
    with pytest.raises(UnknownName):
        template.render(source, SCOPE)


BOMBS = {
    "a long loop": "{% for i in (1..100000) %}{% endfor %}",
    "loops in loops": "{% for i in (1..200) %}{% for j in (1..200) %}x{% endfor %}{% endfor %}",
    "loops after loops": "{% for i in (1..9000) %}{% endfor %}" * 50,
    "a doubling text": "{% assign s = 'aaaaaaaa' %}{% for i in (1..99) %}{% assign s = s | append: s %}{% endfor %}",
    "a doubling list": "{% assign s = 'a' | split: ',' %}{% for i in (1..99)%}{% assign s = s|concat: s %}{% endfor %}",
    "a captured text": "{% for i in (1..9999) %}{% capture s %}{{ s }}{{ s }}xx{% endcapture %}{% endfor %}",
    "a huge range": "{{ (1..1000000000) }}",
    "a joined range": "{{ (1..1000000000) | join: ',' }}",
    "a growing number": "{% assign x = 9 %}{% for i in (1..99) %}{% assign x = x | times: x %}{% endfor %}",
    "a huge exponent": "{{ '1e999999999' | floor }}",
    "a replaced text": "{% assign s = (1..9999) | join: 'aaaa' %}{{ s | replace: 'a', s }}",
    "deep brackets": "{{" + "a[" * 500 + "1" + "]" * 500 + "}}",
    "deep blocks": "{% if true %}" * 500 + "{% endif %}" * 500,
    "a long source": "{{ vars.n }}" * 20_000,
    "an included file": "{% include 'x' %}",
    "a rendered file": "{% render 'x' %}",
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS.keys())
def test_a_template_with_too_much_work_is_an_error(source: str) -> None:
    scope = SCOPE | {"s": ""}
    with pytest.raises(TemplateError):
        template.render(source, scope)


def test_nested_values_are_rendered_and_keys_are_not() -> None:
    value = {"{{ vars.n }}": ["{{ vars.n }}", {"a": "x{{ vars.n }}"}, 5, None]}
    assert template.render(value, SCOPE) == {"{{ vars.n }}": [1, {"a": "x1"}, 5, None]}


def test_too_deep_json_is_an_error() -> None:
    value: Any = "x"
    for _ in range(100):
        value = [value]
    with pytest.raises(TemplateError, match="deep"):
        template.render(value, SCOPE)


def test_references_are_the_paths_that_a_template_looks_up() -> None:
    source = "{% for i in vars.list %}{{ i.x }}{{ nodes['a'].output }}{{ vars[vars.n] }}{% endfor %}"
    expected = {("vars", "list"), ("nodes", "a", "output"), ("vars", None), ("vars", "n")}
    assert set(template.parse(source).references) == expected


WORDS = """{{ }} {% %} vars.n vars | : 'a' if endif for in endfor (1..9) assign = upcase times [ ] ( ) . , 1 -
    raw endraw x date sort capture endcapture map where split case when endcase liquid # é nope"""
FRAGMENTS = st.lists(st.sampled_from([*WORDS.split(), " ", "\n", "\0"]), max_size=25).map("".join)


@settings(max_examples=examples(300), deadline=None)
@given(source=FRAGMENTS | st.text(max_size=60))
def test_any_text_renders_or_raises_template_error(source: str) -> None:
    """No text raises another exception than TemplateError, and every result is JSON."""
    try:
        value = template.render(source, SCOPE)
    except TemplateError:
        return
    template.as_text(value)


FILTERS = sorted(template._environment().filters)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("given_value", ["vars.n", "vars.none", "vars.list", "vars.name", "vars.price", "webhook.body"])
def test_every_filter_returns_or_raises_template_error_on_every_type(name: str, given_value: str) -> None:
    """Each filter is called with no argument, one argument and two arguments."""
    for arguments in ("", ": 'a'", ": 2", ": 'a', 2", ": vars.list", ": webhook"):
        try:
            template.render(f"{{{{ {given_value} | {name}{arguments} }}}}", SCOPE)
        except TemplateError:
            continue
