"""The SVG of a flow: complete, well-formed, escaped, without style attributes and scripts."""

from urllib.parse import quote
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from ingest.dashboard.graph.drawing import EdgeLook, NodeLook, Picture, draw
from ingest.dashboard.graph.graph_types import FlowGraph, GraphEdge, GraphNode
from ingest.dashboard.graph.layout import lay_out
from ingest.dashboard.graph.shown_text import columns_of, shortened

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "\u202eevil\u202c",
    "\ud800 half",
    "a" * 100_000,
    "&amp;",
    "line\nbreak\x00",
    "漢字" * 40,
    "e\u0301" * 200,
]


def drawn(names: list[str], handle: str | None = "true") -> ElementTree.Element:
    nodes = tuple(GraphNode(f"n{index}") for index in range(len(names)))
    edges = tuple(GraphEdge(f"n{index}", "n0", handle) for index in range(len(names)))
    looks = {
        node.id: NodeLook(
            name=name,
            type="message",
            state="completed",
            mark="✓",
            status=name,
            order="1, 2",
            description=name,
            address=f"?step={quote(name, errors='replace')}",
        )
        for node, name in zip(nodes, names, strict=True)
    }
    picture = Picture(title=names[0], icons="/icons.svg")
    markup = draw(lay_out(FlowGraph(nodes, edges)), looks, [EdgeLook(taken=True) for _ in edges], picture)
    markup.encode()
    return ElementTree.fromstring(str(markup))


def test_texts_from_outside_are_escaped_and_shortened() -> None:
    """The picture contains no element and no attribute of a hostile text, and stays small."""
    root = drawn(HOSTILE, HOSTILE[0])
    elements = list(root.iter())
    assert {element.tag.removeprefix(SVG) for element in elements} <= {
        "svg", "title", "defs", "marker", "path", "g", "a", "rect", "use", "text", "tspan",
    }  # fmt: skip
    for element in elements:
        assert "style" not in element.attrib
        assert not [name for name in element.attrib if name.startswith("on")]
        for text in (element.text or "", element.attrib.get("aria-label", "")):
            assert len(text) <= 300
            assert "\u202e" not in text


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_every_text_gives_well_formed_svg(names: list[str]) -> None:
    """Also texts with control characters and halves of characters."""
    root = drawn(names)
    assert len(list(root.iter(f"{SVG}a"))) == len(names)


def test_a_node_is_a_link_with_its_state_in_words() -> None:
    """A screen reader reads what the node shows, and the keyboard reaches it."""
    root = drawn(["Ask for the name"])
    [link] = root.iter(f"{SVG}a")
    assert link.attrib["href"] == "?step=Ask%20for%20the%20name"
    assert link.findtext(f"{SVG}title") == "Ask for the name"
    assert "node-completed" in link.attrib["class"].split()
    assert [text.text for text in link.iter(f"{SVG}text") if text.attrib.get("class") == "name"] == ["Ask for the name"]


def test_a_node_without_an_address_is_no_link() -> None:
    """It still has its description."""
    layout = lay_out(FlowGraph((GraphNode("a"),), ()))
    look = NodeLook(name="a", type="end", state="pale", description="a: not reached")
    root = ElementTree.fromstring(str(draw(layout, {"a": look}, [], Picture(title="flow"))))
    assert not list(root.iter(f"{SVG}a"))
    assert [group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g") if group.attrib.get("role") == "img"] == [
        "a: not reached"
    ]


def test_taken_edges_are_drawn_over_the_others() -> None:
    """They are strong, and the others pale."""
    graph = FlowGraph((GraphNode("a"), GraphNode("b")), (GraphEdge("a", "b", "yes"), GraphEdge("a", "b", "no")))
    looks = {name: NodeLook(name=name, type="end", state="pale") for name in ("a", "b")}
    root = ElementTree.fromstring(
        str(draw(lay_out(graph), looks, [EdgeLook(taken=True), EdgeLook()], Picture(title="flow")))
    )
    classes = [path.attrib["class"] for path in root.iter(f"{SVG}path") if "class" in path.attrib]
    assert classes == ["edge", "edge edge-taken"]
    labels = [text.text for text in root.iter(f"{SVG}text") if text.text in ("yes", "no")]
    assert sorted(text for text in labels if text) == ["no", "yes"]


@given(st.text(max_size=60), st.integers(2, 30))
def test_a_shortened_text_has_at_most_its_columns(text: str, columns: int) -> None:
    """Wide characters count twice, marks on characters do not count."""
    assert sum(columns_of(char) for char in shortened(text, columns)) <= columns
