"""Draws a layout as an SVG. Colours and fonts come from the classes of the style sheet; there is no `style` attribute.

| class on a node    | meaning                                                        |
|--------------------|----------------------------------------------------------------|
| `node`             | every node; it is a link if it has an address                  |
| `node-STATE`       | its state, such as `node-completed`                            |
| `node-selected`    | the node whose step is shown                                   |
| `pill-STATE`       | a note at its upper right corner                               |

| class on an edge | meaning                                         |
|------------------|-------------------------------------------------|
| `edge`           | every edge                                      |
| `edge-taken`     | the execution took it                           |
| `edge-CLASS`     | the class of its look, such as its width        |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from ingest.dashboard.graph.graph_types import Box, Curve, Layout, Line, Point
from ingest.dashboard.graph.labels import MAX_LABEL_CHARS
from ingest.dashboard.graph.shown_text import columns_of, shortened, shown

MAX_TITLE_CHARS: Final = 300
_ICON: Final = 16
_TITLE_COLUMN: Final = 8.0
_SMALL_COLUMN: Final = 6.8
_FIT_WIDTH: Final = 1600

TYPE_ICONS: Final = {
    "message": "send",
    "condition": "git-compare",
    "switch": "workflow",
    "api": "zap",
    "delay": "timer",
    "webhook": "webhook",
    "input": "messages-square",
    "set-variable": "pencil",
    "loop": "refresh-cw",
    "notify": "bell",
    "subflow": "layers",
    "end": "square",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLook:
    """How a node is shown. `state` is the word of the class, `mark` its shape and `status` its words (empty: none).
    `order` are the numbers of its steps. `pills` are notes with their state, from right to left. `description` is what
    a screen reader reads, and the text on hovering."""

    name: str
    type: str
    state: str
    mark: str = ""
    status: str = ""
    order: str = ""
    pills: tuple[tuple[str, str], ...] = ()
    description: str = ""
    address: str | None = None
    selected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLook:
    """How an edge is shown: `taken` strong, others pale; `css` is a further class. `label` replaces the name of its
    handle, `title` is the text on hovering. `address` is where a click leads; the same link must be beside the picture,
    because no screen reader reads edges."""

    taken: bool = False
    label: str | None = None
    css: str = ""
    title: str = ""
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The texts of the whole picture. `id_prefix` makes the ids in it different from those of other pictures on the
    page. `icons` is the address of the sprite, None without icons."""

    title: str
    id_prefix: str = "flow"
    icons: str | None = None


def draw(layout: Layout, nodes: Mapping[str, NodeLook], edges: Sequence[EdgeLook], picture: Picture) -> Markup:
    """Draws the layout with the look of each node by id, and of each edge in the order of the layout's lines."""
    area, prefix = layout.area, picture.id_prefix
    drawn = list(zip(layout.lines, edges, strict=True))
    strong = [(line, look) for line, look in drawn if look.taken]
    pale = [(line, look) for line, look in drawn if not look.taken]
    fit = " flow-graph-fit" if area.width <= _FIT_WIDTH else ""
    head = (
        f'<svg class="flow-graph{fit}" role="group" aria-labelledby="{escape(prefix)}-title" '
        f'viewBox="{_n(area.x)} {_n(area.y)} {_n(area.width)} {_n(area.height)}" '
        f'width="{_n(area.width)}" height="{_n(area.height)}" xmlns="http://www.w3.org/2000/svg">'
    )
    parts = [
        head,
        f'<title id="{escape(prefix)}-title">{escape(shown(picture.title))}</title>',
        f"<defs>{_arrow(prefix, 'pale')}{_arrow(prefix, 'strong')}{_icons(nodes.values(), picture)}</defs>",
        f'<g class="edges" aria-hidden="true">{"".join(_edge(*each, prefix) for each in [*pale, *strong])}</g>',
        f'<g class="edge-labels" aria-hidden="true">{"".join(_label(*each) for each in [*pale, *strong])}</g>',
        *(_node(box, nodes[node_id], picture) for node_id, box in layout.boxes.items()),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 -- every text in it is escaped


def _arrow(prefix: str, name: str) -> str:
    return (
        f'<marker id="{escape(prefix)}-{name}" class="arrow-{name}" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker>'
    )


def _icons(looks: Iterable[NodeLook], picture: Picture) -> str:
    """The icons of the types, each once: their addresses are long."""
    if picture.icons is None:
        return ""
    return "".join(
        f'<g id="{escape(picture.id_prefix)}-i-{name}"><use href="{escape(picture.icons)}#icon-{name}" '
        f'width="{_ICON}" height="{_ICON}"/></g>'
        for name in sorted({TYPE_ICONS.get(look.type, "circle") for look in looks})
    )


def _edge(line: Line, look: EdgeLook, prefix: str) -> str:
    marker, css = ("strong", "edge edge-taken") if look.taken else ("pale", "edge")
    css += f" edge-{escape(look.css)}" if look.css else ""
    handle = line.edge.handle
    text = look.title or (handle if handle and _is_shortened(line) else "")
    title = f"<title>{escape(shown(text)[:MAX_TITLE_CHARS])}</title>" if text else ""
    path = path_of(line)
    drawn = f'<path class="{css}" d="{path}" marker-end="url(#{escape(prefix)}-{marker})">{title}</path>'
    if look.address is None:
        return drawn
    # The wide line is invisible and easy to hit.
    hit = f'<path class="edge-hit" d="{path}">{title}</path>'
    return f'<a href="{escape(look.address)}" tabindex="-1">{drawn}{hit}</a>'


def _is_shortened(line: Line) -> bool:
    handle = line.edge.handle or ""
    return line.label_at is None or len(handle) > MAX_LABEL_CHARS


def path_of(line: Line) -> str:
    """The line as the data of a path."""
    parts = [f"M{_at(line.start)}"]
    for part in line.parts:
        if isinstance(part, Curve):
            parts.append(f"C{_at(part.control_1)} {_at(part.control_2)} {_at(part.end)}")
        else:
            parts.append(f"L{_at(part)}")
    return "".join(parts)


def _label(line: Line, look: EdgeLook) -> str:
    text = look.label if look.label is not None else line.edge.handle or ""
    if line.label_at is None or not text:
        return ""
    css = ' class="taken"' if look.taken else ""
    x, y = line.label_at
    return f'<text{css} x="{_n(x)}" y="{_n(y + 4)}">{escape(shortened(text, MAX_LABEL_CHARS))}</text>'


def _node(box: Box, look: NodeLook, picture: Picture) -> str:
    css = f"node node-{escape(look.state)}" + (" node-selected" if look.selected else "")
    description = escape(shown(look.description[:MAX_TITLE_CHARS]))
    inner = (
        f"<title>{description}</title>"
        f'<rect width="{_n(box.width)}" height="{_n(box.height)}" rx="4"/>'
        f"{_icon(look, picture)}{_texts(box, look)}{_order(look)}{_pills(box, look)}"
    )
    place = f'transform="translate({_n(box.x)} {_n(box.y)})"'
    if look.address is None:
        return f'<g class="{css}" {place} role="img">{inner}</g>'
    current = ' aria-current="true"' if look.selected else ""
    return f'<a class="{css}" {place} href="{escape(look.address)}"{current}>{inner}</a>'


def _icon(look: NodeLook, picture: Picture) -> str:
    if picture.icons is None:
        return ""
    return f'<use href="#{escape(picture.id_prefix)}-i-{TYPE_ICONS.get(look.type, "circle")}" x="10" y="9"/>'


def _texts(box: Box, look: NodeLook) -> str:
    left = 10 if not look.type else 32
    title = shortened(look.name, int((box.width - left - 8) / _TITLE_COLUMN))
    status = shortened(look.status, int((box.width - 28) / _SMALL_COLUMN))
    mark = f'<tspan class="mark">{escape(look.mark)}</tspan> ' if look.mark else ""
    return (
        f'<text class="name" x="{left}" y="22">{escape(title)}</text>'
        f'<text class="status" x="10" y="{_n(box.height - 10)}">{mark}{escape(status)}</text>'
    )


def _order(look: NodeLook) -> str:
    if not look.order:
        return ""
    width = 12 + 6.6 * sum(columns_of(char) for char in look.order)
    return (
        f'<g class="order"><rect x="-8" y="-10" width="{_n(width)}" height="18" rx="9"/>'
        f'<text x="{_n(width / 2 - 8)}" y="3">{escape(look.order)}</text></g>'
    )


def _pills(box: Box, look: NodeLook) -> str:
    drawn, right = [], box.width + 8
    for state, text in look.pills:
        width = 12 + 6.6 * sum(columns_of(char) for char in text)
        right -= width
        drawn.append(
            f'<g class="pill pill-{escape(state)}">'
            f'<rect x="{_n(right)}" y="-11" width="{_n(width)}" height="18" rx="9"/>'
            f'<text x="{_n(right + width / 2)}" y="2">{escape(text)}</text></g>'
        )
        right -= 4
    return "".join(drawn)


def _at(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _n(value: float) -> str:
    return str(round(value))
