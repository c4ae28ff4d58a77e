"""Draws a layout as a small picture: the boxes with the icons of their types, and the lines. It has no other text than
its title."""

from collections.abc import Mapping

from markupsafe import Markup, escape

from ingest.dashboard.graph.drawing import TYPE_ICONS, path_of
from ingest.dashboard.graph.graph_types import Layout
from ingest.dashboard.graph.shown_text import shown

_ICON = 28


def draw_small(layout: Layout, types: Mapping[str, str], title: str, icons: str | None = None) -> Markup:
    """Draws the layout. `types` are those of the nodes by id, `icons` is the address of the sprite, None without it."""
    area = layout.area
    lines = "".join(path_of(line) for line in layout.lines)
    view = f"{area.x:.0f} {area.y:.0f} {area.width:.0f} {area.height:.0f}"
    parts = [
        f'<svg class="small-graph" role="img" viewBox="{view}" xmlns="http://www.w3.org/2000/svg">',
        f'<title>{escape(shown(title))}</title><path class="edge" d="{lines}"/>',
    ]
    for node_id, box in layout.boxes.items():
        place = f'x="{box.x:.0f}" y="{box.y:.0f}"'
        parts.append(f'<rect {place} width="{box.width:.0f}" height="{box.height:.0f}" rx="6"/>')
        if icons is not None:
            name = TYPE_ICONS.get(types.get(node_id, ""), "circle")
            x, y = box.center_x - _ICON / 2, box.center_y - _ICON / 2
            use = f'<use href="{escape(icons)}#icon-{name}" x="{x:.0f}" y="{y:.0f}" width="{_ICON}" height="{_ICON}"/>'
            parts.append(use)
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 -- every text in it is escaped
