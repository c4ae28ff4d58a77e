"""A value in a pattern of `matches` is found as it is. A pattern that is one whole `{{ … }}` is used as a pattern."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filas.flows import regular_expressions
from filas.models.configuration import FilterRule, WebhookFilter
from ingest.event.event_filter import EventFilter
from tests.flow_runner.harness import Harness, flow, node, step
from tests.long_form import examples

CASES = [
    ("^{}$", ".*", "anything", False),
    ("^{}$", ".*", ".*", True),
    ("^{raw}$", ".*", "anything", True),
    ("{}", "^a.c$", "abc", True),
    ("^{} \\d+$", "R$ (1)", "R$ (1) 20", True),
    ("^{}", "(", "(a", True),
    ("^{}$", "São\n João", "São\n João", True),
]


@pytest.mark.parametrize(("pattern", "value", "text", "holds"), CASES)
async def test_a_value_in_a_pattern_is_found_as_it_is(pattern: str, value: str, text: str, holds: bool) -> None:
    def written(name: str) -> str:
        return pattern.replace("{raw}", f"{{{{ {name} | raw }}}}").replace("{}", f"{{{{ {name} }}}}")

    rule = {"variable": "{{ webhook.body.t }}", "operator": "matches", "value": written("webhook.body.x")}
    body = {"x": value, "t": text}
    row = await Harness().run(
        flow(node("c", "condition", rules=[rule]), edges="start>c"),
        webhook={"body": body, "headers": {}, "queryParams": {}},
    )
    assert (row.status, step(row, "c").output) == ("succeeded", {"result": holds})
    filter_rule = FilterRule(variable="{{ body.t }}", operator="matches", value=written("body.x"))
    found = EventFilter(WebhookFilter(rules=[filter_rule])).passes(
        {"body": body, "headers": {}, "queryParams": {}}, None
    )
    assert found is holds


@settings(max_examples=examples(200), deadline=None)
@given(text=st.text(max_size=12), other=st.text(max_size=12))
def test_an_escaped_text_matches_itself_only(text: str, other: str) -> None:
    pattern = f"^{regular_expressions.escaped(text)}$"
    assert regular_expressions.search(pattern, text)
    assert regular_expressions.search(pattern, other) == (text == other)
