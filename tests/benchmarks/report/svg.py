"""Small plots as SVG: horizontal bars, and lines over time. Their text is readable on a light and on a dark page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.benchmarks.report.numbers import number

WIDTH = 760
LABEL = 320
ROW = 20
TITLE = 34
LINES_HEIGHT = 220
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#a855f7", "#ef4444", "#64748b", "#06b6d4", "#84cc16")
"""Readable on white and on black."""

STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 14px; }
.axis { stroke: #8c959f; stroke-width: 1; fill: none; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }
</style>"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of one or more parts, one after the other, with the value of the whole at its end."""

    label: str
    parts: Sequence[float]


def bars(title: str, unit: str, rows: Sequence[Bar], legend: Sequence[str] = ()) -> str:
    """Horizontal bars from 0. The parts of each bar have the colours of `legend`."""
    highest = max((sum(bar.parts) for bar in rows), default=0.0) or 1.0
    scale = (WIDTH - LABEL - 90) / highest
    top = TITLE + (ROW if legend else 0)
    content = [_legend(legend, TITLE - 4)] if legend else []
    for index, bar in enumerate(rows):
        y, x = top + index * ROW, float(LABEL)
        content.append(_text(LABEL - 8, y + 14, bar.label, anchor="end"))
        for colour, value in zip(COLOURS, bar.parts, strict=False):
            width = max(0.0, value * scale)
            content.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" fill="{colour}"/>')
            x += width
        content.append(_text(x + 6, y + 14, number(sum(bar.parts))))
    return _svg(title, unit, top + len(rows) * ROW + 10, content)


def lines(
    title: str,
    unit: str,
    series: Mapping[str, Sequence[float | None]],
    step: int,
    *,
    time_unit: str = "s",
    label_every: int = 1,
    mark: int | None = None,
) -> str:
    """Lines over time, from 0, with a value for each `step` of the time unit. A value that is None is left out.

    Each `label_every`-th value has a label. A dashed line is drawn after `mark` values.
    """
    known = {name: [value for value in values if value is not None] for name, values in series.items()}
    highest = max((max(values, default=0.0) for values in known.values()), default=0.0) or 1.0
    most = max((len(values) for values in series.values()), default=0)
    left, right, top = 70, WIDTH - 20, TITLE + ROW * (len(series) + 1) // 2 + ROW // 2
    bottom = top + LINES_HEIGHT - 60
    width = (right - left) / max(most - 1, 1)
    content = [_legend(list(series), TITLE - 4, each_row=2), f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>']
    content += [_text(left - 8, top + 8, number(highest), anchor="end"), _text(left - 8, bottom, "0", anchor="end")]
    content += [
        _text(left + index * width, bottom + 16, f"{(index + 1) * step} {time_unit}", anchor="middle")
        for index in range(label_every - 1, most, label_every)
    ]
    if mark is not None:
        content.append(
            f'<path class="axis" stroke-dasharray="4 4" d="M{left + (mark - 1) * width:.1f} {top}V{bottom}"/>'
        )
    for index, values in enumerate(series.values()):
        points = [
            f"{left + at * width:.1f},{bottom - value / highest * (bottom - top):.1f}"
            for at, value in enumerate(values)
            if value is not None
        ]
        colour = COLOURS[index % len(COLOURS)]
        content.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return _svg(title, unit, bottom + 26, content)


def _legend(names: Sequence[str], top: int, *, each_row: int = 8) -> str:
    parts = []
    width = (WIDTH - 20) / min(each_row, max(len(names), 1))
    for index, name in enumerate(names):
        x, y = 10 + index % each_row * width, top + index // each_row * ROW
        parts.append(f'<rect x="{x:.1f}" y="{y + 4}" width="10" height="10" fill="{COLOURS[index % len(COLOURS)]}"/>')
        parts.append(_text(x + 14, y + 13, name))
    return "".join(parts)


def _text(x: float, y: float, words: str, *, anchor: str = "start", css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def _svg(title: str, unit: str, height: int, content: Sequence[str]) -> str:
    heading = f"{title} ({unit})"
    label = escape(heading, {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">\n'
        + "\n".join([STYLE, _text(10, 18, heading, css="title"), *content])
        + "\n</svg>\n"
    )
