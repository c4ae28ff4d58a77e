"""Charts over time with axes and the period before as a pale line: SVG from the server, and labels as text beside it.

The SVG is stretched to its place. So its lines keep their width (`vector-effect`), and the labels are outside of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markupsafe import Markup

WIDTH: Final = 600
HEIGHT: Final = 120

Values = Sequence[float | None]
Line = Literal["strong", "thin", "before"]
"""How a line is drawn: the value of the chart, a second value, and the value in the period before."""

_SVG: Final = Markup(
    '<svg class="plot" viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label="{label}">{content}</svg>'
)
_GRID: Final = Markup('<path class="grid" d="M0 0H600M0 60H600M0 120H600"/>')
_LINE: Final = Markup('<polyline class="{css}" points="{points}"/>')
_AREA: Final = Markup('<polygon class="area" points="{points}"/>')

_NICE_MS: Final = (
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000, 300_000, 600_000,
    1_200_000, 3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000, 1_209_600_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart: its picture, and the labels of its vertical axis from the highest to the lowest."""

    svg: Markup
    y_labels: tuple[str, str, str]


def plot(
    lines: Sequence[tuple[Line, Values]], label: str, *, top: float, write: Callable[[float], str], filled: bool = False
) -> Plot:
    """Returns the chart of lines over equal steps of time, from 0 to `top`. None is a gap.

    `label` is what a screen reader reads, `write` returns the text of a value. `filled` fills the area below the strong
    line.
    """
    content = _GRID
    for css, values in lines:
        for points in _runs(values, top):
            if filled and css == "strong":
                ends = f"{points[0].partition(',')[0]},{HEIGHT}", f"{points[-1].partition(',')[0]},{HEIGHT}"
                content += _AREA.format(points=" ".join((ends[0], *points, ends[1])))
            content += _LINE.format(css=css, points=" ".join(points))
    return Plot(_SVG.format(label=label, content=content), (write(top), write(top / 2), write(0)))


def nice_count(highest: float) -> float:
    """Returns the top of an axis of counts: 2, 4, 10, 20, 40, 100 and so on, and at least the highest value."""
    top = 2.0
    while True:
        for factor in (1, 2, 5):
            if top * factor >= highest:
                return top * factor
        top *= 10


def nice_ms(highest: float) -> float:
    """Returns the top of an axis of milliseconds."""
    return next((float(one) for one in _NICE_MS if one >= highest), highest)


def _runs(values: Values, top: float) -> list[list[str]]:
    """The points of each part without a gap. A single value is a short line."""
    step = WIDTH / max(len(values) - 1, 1)
    runs: list[list[str]] = []
    is_open = False
    for index, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        if not is_open:
            runs.append([])
            is_open = True
        y = HEIGHT - HEIGHT * min(value / top, 1.0)
        runs[-1].append(f"{index * step:.0f},{y:.1f}")
    return [points if len(points) > 1 else _dash(points[0]) for points in runs]


def _dash(point: str) -> list[str]:
    x, y = point.split(",")
    return [f"{max(int(x) - 3, 0)},{y}", f"{min(int(x) + 3, WIDTH)},{y}"]
