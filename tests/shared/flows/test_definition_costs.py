"""The checks of a definition take a time that is linear in its size, whatever its graph and its templates are."""

import itertools
import random

import pytest

from filas.flows.definition import flow_graph
from filas.flows.definition.older_builder_import import to_current_format
from filas.flows.templates import template
from filas.flows.value_limits import MAX_EDGES, MAX_NODES
from tests.cpu_costs import cpu_s

MAX_CPU_S = 0.3
"""Each took seconds to hours before."""

CHARS = 64 * 1024
TEMPLATES = {
    "outputs": "{{" * (CHARS // 2),
    "blanks": "{{" + " " * (CHARS - 2),
    "tags": "{%" * (CHARS // 2),
    "a-long-name": "{%" + "a" * (CHARS - 2),
    "raw": "{% raw %}" * (CHARS // 9),
    "doc": "{% doc %}" * (CHARS // 9),
    "parentheses": "{% if " + "(" * 20_000 + " %}",
    "brackets": "{{ a" + "[" * 20_000 + "}}",
    "after-a-tag": "{% comment %}" + "{{ " * 20_000 + "{% endcomment %}",
    "raw-with-blanks": "{% raw %}{% endraw %}{{" + " " * 60_000 + "{% if a %}{% endif %}",
}


@pytest.mark.parametrize("text", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_a_template_without_ends_is_refused_at_once(text: str) -> None:
    """Liquid's lexer searches the rest of the text for the end of each opening."""

    def parse() -> None:
        with pytest.raises(template.TemplateError):
            template.parse(text)

    assert cpu_s(parse, MAX_CPU_S) < MAX_CPU_S


@pytest.mark.parametrize(
    "text",
    [
        "{% raw %}{{ {{ {% endraw %}" + "x" * 3000,
        "x" * 3000 + "{{ vars.a }} ((((((((((((([[[[[[[[[[[[",
        "{% comment %}{{ a {% endcomment %}" + "x" * 3000,
        "{{ vars.a }}" * 300 + " }} %} " + "x" * 100,
    ],
)
def test_a_long_template_may_have_such_text_outside_of_its_tags(text: str) -> None:
    """In raw text, in a comment, and between its tags."""
    assert template.parse(text).source == text


@pytest.mark.parametrize("mark", ["{{", "{%", "{{ %}", "{% }}", "$node.a{{"])
def test_the_import_of_an_older_definition_is_linear(mark: str) -> None:
    """400 KB of `{{` blocked the process of the API for minutes."""
    text = "$node" + mark * (400_000 // len(mark))
    raw = {"nodes": [{"id": "n", "type": "message", "data": {"text": text}}]}
    assert cpu_s(lambda: to_current_format(raw), MAX_CPU_S) < MAX_CPU_S


def test_the_import_rewrites_what_has_an_end() -> None:
    """The first end after an opening ends it, also over another opening."""
    text = "$node.crm {{$node.crm}} {{ {% $node.crm %} }} {% {{$node.crm}} %} {{{$node.crm}} {{ $node.crm"
    changed = "$node.crm {{nodes.crm.output}} {{ {% nodes.crm.output %} }} {% {{nodes.crm.output}} %} "
    changed += "{{{nodes.crm.output}} {{ $node.crm"
    made = to_current_format({"nodes": [{"id": "n", "type": "message", "data": {"text": text}}]})
    assert made["nodes"][0]["data"]["text"] == changed


def names(count: int) -> list[str]:
    """The ids of `count` nodes."""
    return [f"n{number}" for number in range(count)]


def graph(edges: list[tuple[int, int]], count: int = MAX_NODES) -> dict[str, list[str]]:
    """The successors of the nodes."""
    found: dict[str, list[str]] = {name: [] for name in names(count)}
    for source, target in edges:
        found[f"n{source}"].append(f"n{target}")
    return found


GRAPHS = {
    "pairs": [(i, i + 1) for i in range(MAX_NODES - 1)] + [(i + 1, i) for i in range(0, MAX_NODES - 1, 2)],
    "dense": [(i, j) for i in range(MAX_NODES) for j in range(i + 1, min(MAX_NODES, i + 6))][:MAX_EDGES],
    "one-cycle": [(i, (i + 1) % MAX_NODES) for i in range(MAX_NODES)],
    "to-itself": [(i, i) for i in range(MAX_NODES)],
}


@pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS.keys())
def test_cycles_are_found_in_linear_time(edges: list[tuple[int, int]]) -> None:
    """Each cycle took a search of the whole graph."""
    successors = graph(edges)
    assert cpu_s(lambda: flow_graph.cycles(successors), MAX_CPU_S / 3) < MAX_CPU_S / 3


def test_one_cycle_of_each_component_is_found() -> None:
    """The same as by a search from each node of small random graphs."""
    source = random.Random(14)
    for _ in range(500):
        count = source.randrange(1, 8)
        edges = [(source.randrange(count), source.randrange(count)) for _ in range(source.randrange(12))]
        successors = graph(edges, count)
        reached = {name: flow_graph.reachable(successors, successors[name]) for name in successors}
        found, covered = [], set[str]()
        for name in successors:
            if name in reached[name] and name not in covered:
                covered |= {other for other in reached[name] if name in reached[other]}
                found.append(name)
        ways = flow_graph.cycles(successors)
        assert [way[0] for way in ways] == found
        for way in ways:
            assert len(way) == len(flow_graph.cycle_through(successors, way[0]))
            assert all(to in successors[at] for at, to in itertools.pairwise(way))
