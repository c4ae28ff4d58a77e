"""Templates of texts and plain paths: rendered without Liquid, they give the same as with it."""

from typing import Any

import pytest

from filas.flows import step_budget
from filas.flows.expressions import jmespath_mapping
from filas.flows.templates import direct_rendering, template

SCOPE: dict[str, Any] = {
    "vars": {
        "name": "Ana <b>",
        "count": 3,
        "share": 1.5,
        "big": 1e22,
        "yes": True,
        "nothing": None,
        "list": [1, "a"],
        "object": {"first": "x", "size": "y"},
        "long": "ç" * 9000,
        "lines": "a\r\nb\0",
        "surrogate": "\ud800",
    }
}

SOURCES = [
    *(f"<{{{{ vars.{name} }}}}>" for name in SCOPE["vars"]),
    "{{ vars.name }}{{ vars.count }}",
    "a {{- vars.name -}} b",
    "{{ vars['name'] }}, {{ vars.object.first }}, {{ vars.object.size }}",
    "{{ vars.list.first }}, {{ vars.list.size }}, {{ vars.list[0] }}",
    "{{ vars.object.last }} {{ vars.name.size }}",
    "{{ vars.name }} {{ vars.unknown }}",
    "{{ vars.name }} {{ unknown }}",
    "{{ nil }} {{ true }} {{ 'text' }} {{ vars.name }}",
    "{{ vars.name | raw }} {{ vars.name | upcase }}",
    "{% raw %}{{ vars.name }}{% endraw %} {{ vars.name }}",
    "{% assign vars = 'x' %}{{ vars }} {{ vars.name }}",
    "{% comment %}{{ vars.name }}{% endcomment %} {{ vars.name }}",
]


def _escape(text: str) -> str:
    return text.replace("<", "&lt;")


def _rendered(source: str) -> list[Any]:
    """The results of each way to render a template, and the steps that each has used."""
    made: list[Any] = []
    for render in (
        lambda: template.render_text(source, SCOPE),
        lambda: template.render_text(source, SCOPE, _escape),
        lambda: template.render_pieces(source, SCOPE),
        lambda: template.evaluate_or_null([source], SCOPE),
    ):
        with step_budget.shared_budget():
            try:
                made.append(render())
            except template.TemplateError as error:
                made.append(f"{type(error).__name__}: {error}")
            made.append(step_budget.current().left)
    return made


@pytest.mark.parametrize("source", SOURCES)
def test_a_template_is_rendered_as_by_liquid(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _rendered(source)
    monkeypatch.setattr(direct_rendering, "pieces_of", lambda _: None)
    monkeypatch.setattr(template, "parse", template.parse.__wrapped__)
    assert made == _rendered(source)


def test_the_most_frequent_templates_need_no_liquid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "BoundedContext", None)
    assert template.render_text("Hi {{ vars.name }}: {{ vars.count }}", SCOPE) == "Hi Ana <b>: 3"


def test_a_template_beyond_the_budget_fails_with_the_error_of_liquid() -> None:
    with step_budget.shared_budget(1), pytest.raises(template.TemplateError, match="does too much work"):
        template.render_text("{{ vars.name }} {{ vars.count }}", SCOPE)


@pytest.mark.parametrize(
    "expression", ["vars.name", "vars", "vars.object.first", "vars.list.x", "x.y", '"vars"."name"']
)
def test_a_path_of_a_mapping_finds_what_jmespath_finds(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = {"vars": {**SCOPE["vars"], "surrogate": ""}}
    found = jmespath_mapping.search(expression, scope)
    monkeypatch.setattr(jmespath_mapping, "_names", lambda _: None)
    assert found == jmespath_mapping.search(expression, scope)


def test_paths_of_a_mapping_use_the_budget() -> None:
    with step_budget.shared_budget(3):
        jmespath_mapping.search("vars.name", SCOPE)
        with pytest.raises(ValueError, match="too much work"):
            jmespath_mapping.search("vars.name", SCOPE)
