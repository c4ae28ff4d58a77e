"""No flow blocks the other executions of its process: the computation of a visit is bounded."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from filas.flows import regular_expressions, step_budget
from filas.flows.expressions import cel, jmespath_mapping, rules
from filas.flows.templates import template
from tests.flow_runner.harness import Harness, Response, chain, compiled_flow, flow, node

MOST_S = 3.0
"""The longest wait of another execution, in seconds of this process's CPU time: other processes do not count. One visit
computes for a quarter of a second at most. Without the bounds, each of these tests takes from four seconds to minutes.
"""

TEMPLATES = {
    "comparisons": "{% for i in (1..9000) %}{% if " + " or ".join(["1==2"] * 200) + " %}{% endif %}{% endfor %}",
    "empty blocks": "{% for i in (1..9000) %}" + "{% if true %}{% endif %}" * 500 + "{% endfor %}",
    "captures": "{% for i in (1..9000) %}" + "{% capture x %}{% endcapture %}" * 200 + "{% endfor %}",
    "assignments": "{% for i in (1..9000) %}" + "{% assign x = 1 %}" * 200 + "{% endfor %}",
    "a long text looked through": "{% for i in (1..9000) %}{% if vars.text contains 'zz' %}{% endif %}{% endfor %}",
    "a long list looked through": "{% for i in (1..9000) %}{% if vars.list contains 'zz' %}{% endif %}{% endfor %}",
    "long lists compared": "{% for i in (1..9000) %}{% if vars.list == vars.same %}{% endif %}{% endfor %}",
    "a range looked through": "{% assign r = (1..100000000000) %}{% if r contains 'x' %}{% endif %}",
    "one text many times sorted": "{% assign l = vars.text | split: '#' %}"
    + "{% assign l = l | concat: l %}" * 13
    + "{% assign l = l | sort_natural %}" * 20,
    "made unique again and again": "{% assign l = (1..9999) | join: ',' | split: ',' %}"
    + "{% assign l = l | uniq %}" * 50,
    "cases": "{% for i in (1..9000) %}{% case i %}" + "{% when 1,2,3,4,5,6,7,8,9 %}" * 90 + "{% endcase %}{% endfor %}",
    "brackets in brackets": ("{{" + "vars[" * 100 + "1" + "]" * 100 + "}}") * 50,
}
TEXT = "a" * 200_000
VARS: dict[str, Any] = {
    "text": TEXT,
    "list": [str(number) for number in range(10_000)],
    "same": [str(number) for number in range(10_000)],
    "objects": [{"a": number, "b": [number]} for number in range(15_000)],
    "alike": [{"a": number, "b": [number]} for number in range(15_000)],
    "million": "a" * 1_000_000,
}
PATTERNS = ["(a|b|x|y){1,999}z", "(a{0,100}){0,9}b", "(.{0,50}b.{0,50}){5}zz", "(.*a){12}.{80}z"]
PATHS = {
    "doubled": "[@,@]|" * 60 + "@",
    "mapped": "objects[*].a | map(&[@,@], @) | " * 40 + "@",
    "as texts": "objects[?contains(to_string(@),'x')]",
    "compared": "objects[?a==`1`||a==`2`||a==`3`||a==`4`]",
}
EXPRESSIONS = {
    "compared": "vars.objects == vars.alike || vars.alike == vars.objects",
    "looked through": "vars.list.all(a, vars.text.contains(a))",
    "a pattern": "vars.million.matches('(a|b|x|y){1,999}z')",
}


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails if the block takes more CPU time."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_an_expensive_template_is_stopped(source: str) -> None:
    with within(MOST_S), pytest.raises(template.TemplateError):
        template.render(source, {"vars": VARS})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_that_is_too_large_for_its_text_is_rejected(pattern: str) -> None:
    """RE2 takes time in proportion to the text and to the pattern: if both are large, it takes a minute. For a text
    of a message's length, every pattern is allowed."""
    with within(MOST_S), pytest.raises(ValueError, match="too long for this pattern"):
        regular_expressions.search(pattern, VARS["million"])
    regular_expressions.search(pattern, "a" * 1000)
    assert regular_expressions.search("a{3}$", VARS["million"])


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_an_expensive_jmespath_is_stopped(path: str) -> None:
    """It ends in an error or with its result."""
    with within(MOST_S), contextlib.suppress(ValueError):
        jmespath_mapping.search(path, VARS)


@pytest.mark.parametrize("text", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_an_expensive_cel_expression_is_stopped(text: str) -> None:
    with within(MOST_S), pytest.raises(cel.ExpressionError, match="too much work"):
        cel.evaluate(text, {"vars": VARS})


def test_all_computations_of_a_visit_share_one_step_budget() -> None:
    """A hundred computations together may not use what each could use alone: templates, rules, patterns, paths and
    CEL."""
    loop = "{% for i in (1..4000) %}{{ i }}{% endfor %}"
    one_of_each: list[Any] = [
        lambda: template.render(loop, {}),
        lambda: rules.compare("equals", VARS["objects"], VARS["alike"]),
        lambda: rules.compare("contains", VARS["list"], "no"),
        lambda: rules.compare("contains", VARS["million"], "no"),
        lambda: rules.compare("matches", VARS["text"], "(b{3}c{3}){3}"),
        lambda: jmespath_mapping.search("objects[*].a | length(@)", {"objects": VARS["objects"][:2000]}),
        lambda: cel.evaluate("size(vars.list) > 1", {"vars": VARS}),
    ]
    for compute in one_of_each:
        compute()
        with within(MOST_S), pytest.raises(ValueError, match="too much work"), step_budget.shared_budget():
            _a_hundred_times(compute)
        compute()


def _a_hundred_times(compute: Callable[[], object]) -> None:
    for _ in range(100):
        compute()


OBJECTS = b'{"objects":[' + b",".join(b'{"a":%d}' % number for number in range(8000)) + b"]}"
NAMES = [{"name": name} for name in ("out", *VARS)]
LOOP = "{% for i in (1..9000) %}{{ i }}{% endfor %}"
RULE = {"variable": "{{ webhook.body.million }}", "operator": "matches", "value": "(b{3}c{3}){9}$"}
BOMBS: dict[str, dict[str, Any]] = {
    "a hundred assignments": node("bomb", "set-variable", assignments=[{"variable": "out", "value": LOOP}] * 100),
    "a body of templates": node(
        "bomb", "api", method="POST", url="https://a.example", body=[LOOP] * 100, onError="continue"
    ),
    "a hundred mappings": node(
        "bomb",
        "api",
        url="https://a.example",
        onError="continue",
        responseMapping=[{"variable": "out", "path": "body.objects[*].a | length(@)"}] * 100,
    ),
    "a hundred cases": node(
        "bomb", "switch", cases=[{"id": f"c{number}", "logic": "or", "rules": [RULE] * 100} for number in range(100)]
    ),
    "a hundred expressions": node(
        "bomb",
        "switch",
        cases=[
            {"id": f"c{number}", "expression": "webhook.body.list == webhook.body.objects"} for number in range(100)
        ],
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
async def test_another_execution_continues_meanwhile(bomb: dict[str, Any]) -> None:
    """While one execution uses its whole step budget at each node, another one is never blocked for long."""
    harness = Harness()
    harness.outbound.respond = lambda _: Response(body=OBJECTS)
    handle = "default" if bomb["type"] == "switch" else "out"
    again = [{**bomb, "id": f"bomb{number}"} for number in range(3)]
    edges = f"start>bomb0 bomb0.{handle}>bomb1 bomb1.{handle}>bomb2"
    hostile = compiled_flow(flow(*again, edges=edges, variables=NAMES))
    neighbour = compiled_flow(chain(node("hi", "message", text="Olá {{ webhook.body.text }}!")))
    attacker = harness.rows.add(contact="attacker", webhook={"body": VARS, "headers": {}, "queryParams": {}})
    attack = asyncio.create_task(harness.run_once(attacker, hostile))
    waits = []
    while not attack.done():
        began = time.process_time()
        assert await harness.run_once(harness.rows.add(contact="neighbour"), neighbour) == "succeeded"
        waits.append(time.process_time() - began)
    assert max(waits) < MOST_S
    assert await attack in ("failed", "succeeded")
