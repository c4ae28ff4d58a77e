"""Small charts as SVG, made on the server. CSS colours them, they print, and the text beside them has the figures.

No chart has a `style` attribute, which the pages' security policy forbids: geometry is in attributes.
"""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

WIDTH: Final = 160
HEIGHT: Final = 32
_INSET: Final = 2

_SVG: Final = Markup(
    '<svg class="chart {kind} {css}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    'role="img" aria-label="{label}">{content}</svg>'
)
_RECT: Final = Markup('<rect class="{css}" x="{x}" y="{y}" width="{width}" height="{height}"/>')


def sparkline(
    values: Sequence[float | None], label: str, *, css: str = "", width: int = WIDTH, height: int = HEIGHT
) -> Markup:
    """Returns a line over equal steps of time. None is a gap. `label` is what a screen reader reads."""
    known = [value for value in values if value is not None]
    highest = max(known, default=0) or 1
    step = (width - 2 * _INSET) / max(len(values) - 1, 1)
    paths: list[list[str]] = []
    current: list[str] = []
    for index, value in enumerate(values):
        if value is None:
            if current:
                paths.append(current)
            current = []
            continue
        y = height - _INSET - (height - 2 * _INSET) * value / highest
        current.append(f"{_INSET + index * step:.1f},{y:.1f}")
    if current:
        paths.append(current)
    lines = Markup("").join(_line(points) for points in paths)
    return _chart("sparkline", css, width, height, label, lines)


def bars(values: Sequence[float], label: str, *, css: str = "", width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """Returns one bar per value. A value above 0 has a visible bar of at least one pixel."""
    highest = max(values, default=0) or 1
    slot = (width - 2 * _INSET) / max(len(values), 1)
    shapes = []
    for index, value in enumerate(values):
        tall = max((height - 2 * _INSET) * value / highest, 1.0) if value > 0 else 0.0
        x, y = _INSET + index * slot, height - _INSET - tall
        wide = max(slot - 1, 0.5)
        shapes.append(_RECT.format(css="", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{wide:.1f}", height=f"{tall:.1f}"))
    return _chart("bars", css, width, height, label, Markup("").join(shapes))


def progress(share: float, label: str, *, width: int = 240, height: int = 8) -> Markup:
    """Returns a bar that is filled from 0 to 1."""
    filled = width * min(max(share, 0.0), 1.0)
    shapes = _RECT.format(css="track", x=0, y=0, width=width, height=height)
    shapes += _RECT.format(css="filled", x=0, y=0, width=f"{filled:.1f}", height=height)
    return _chart("progress", "", width, height, label, shapes)


def _line(points: list[str]) -> Markup:
    if len(points) == 1:
        x, y = points[0].split(",")
        return Markup('<circle cx="{}" cy="{}" r="1.5"/>').format(x, y)
    return Markup('<polyline points="{}"/>').format(" ".join(points))


def _chart(kind: str, css: str, width: int, height: int, label: str, content: Markup) -> Markup:
    return _SVG.format(kind=kind, css=css, width=width, height=height, label=label, content=content)
