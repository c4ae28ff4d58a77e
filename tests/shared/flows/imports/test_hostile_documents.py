"""Documents that no product has exported: the import never raises anything but its own error, and stays bounded."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.flows import publishing_checks
from filas.flows.imports.flow_builder import ImportRefused
from filas.flows.imports.importing import PRODUCTS, Product, import_flow
from tests.long_form import examples
from tests.shared.flows.imports.typebots import NAMES, fixture, said, typebot
from tests.shared.flows.imports.workflows import node, workflow

BOUNDED = settings(
    max_examples=examples(150), deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

STRANGE: list[Any] = [
    None, True, 0, -1, 1e308, "", "x", "{{", "{% if", "{{Nome}}" * 9, "{vars.x}", "={{ $json.a.b( }}",
    "= {{ $('X').json }}", "\ud800\x00", "'\"", "start", "out", "../", "}}", [], {}, [[]], {"a": {"b": [1]}}, ["a"],
    [{"id": "b1"}], "b1", "g1",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a document."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def damaged(document: Any, chance: random.Random) -> Any:
    """A copy in which parts are missing, strange, or in another place too."""
    made = copy.deepcopy(document)
    for _ in range(chance.randint(1, 8)):
        found = list(places(made))
        path = chance.choice(found)
        if not path:
            continue
        owner, kind = at(made, path[:-1]), chance.random()
        if kind < 0.2:
            del owner[path[-1]]
        elif kind < 0.6:
            owner[path[-1]] = chance.choice(STRANGE)
        else:
            other = at(made, chance.choice(found))
            owner[path[-1]] = copy.deepcopy(other) if len(str(other)) < 10_000 else 1
    return made


def check(product: Product, document: Any) -> None:
    """The document is refused, or the flow can be published."""
    try:
        found = import_flow(product, document)
    except ImportRefused:
        return
    assert [one for one in publishing_checks.check(found.definition)[1] if one.severity == "error"] == []


@BOUNDED
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32))
def test_damaged_documents(name: str, seed: int) -> None:
    """Any part of a fixture may be missing, of another type, or twice."""
    check("typebot" if name.startswith("typebot") else "n8n", damaged(fixture(name), random.Random(seed)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(STRANGE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMED = st.sampled_from(
    ["id", "type", "name", "blocks", "items", "options", "content", "parameters", "edges", "groups", "from", "to"]
)
BLOCKS = st.lists(st.dictionaries(NAMED, VALUES, max_size=6), max_size=6)


@BOUNDED
@given(product=st.sampled_from(PRODUCTS), value=VALUES, blocks=BLOCKS, edges=VALUES)
def test_any_json(product: Product, value: Any, blocks: Any, edges: Any) -> None:
    """Documents that have nothing of the format, or only its outermost fields."""
    check(product, value)
    check("typebot", {"groups": [{"id": "g1", "blocks": blocks}], "edges": edges, "events": edges})
    check("n8n", {"nodes": blocks, "connections": {"a": {"main": edges}}})


def test_a_document_of_the_largest_size() -> None:
    """A thousand blocks that lead to one another, in both directions."""
    blocks = [said("x" * 50) for _ in range(998)]
    back = {"type": "Jump", "options": {"groupId": "g1", "blockId": "b1"}}
    check("typebot", typebot(*blocks, back))
    nodes = [node(f"N{index}", "noOp" if index % 2 else "slack", {"text": "x"}) for index in range(998)]
    names = [one["name"] for one in nodes]
    connections = {name: [[names[index - 1], names[(index * 7) % 998]]] for index, name in enumerate(names)}
    check("n8n", workflow([node("W", "webhook"), *nodes], {"W": [["N0"]], **connections}))


@pytest.mark.parametrize(
    "written",
    ["{{" * 30_000, "{" * 60_000, "={{" * 20_000, "={{ a" * 10_000, "<b" * 30_000, "<a href=" * 9_000, "?" * 60_000],
)
def test_long_texts(written: str) -> None:
    """Take linear time."""
    check("typebot", typebot(said(written), {"type": "text", "content": {"html": written}}))
    options = {"variableId": "v1", "expressionToEvaluate": written}
    check("typebot", typebot({"type": "Set variable", "options": options}))
    check("n8n", workflow([node("W", "webhook"), node("S", "slack", {"text": written})]))
    check("n8n", workflow([node("W", "webhook"), node("S", "slack", {"text": f"={{{{ {written} }}}}"})]))


def test_deep_documents() -> None:
    """What is nested deeper than a flow may be is cut."""
    deep: Any = "x"
    for _ in range(400):
        deep = {"type": "p", "children": [deep]} if isinstance(deep, dict) else {"text": deep}
    check("typebot", typebot({"type": "text", "content": {"richText": [deep]}}, said("y")))
    for _ in range(400):
        deep = [deep]
    body = {"parameters": [{"name": "n", "value": deep}]}
    call = node("C", "httpRequest", {"method": "POST", "url": "https://a.example", "bodyParameters": body}, version=4)
    check("n8n", workflow([node("W", "webhook"), call]))
