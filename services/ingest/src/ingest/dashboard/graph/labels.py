"""The places of the labels of edges: on the line, and free of the nodes and of the other labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ingest.dashboard.graph.areas import Areas
from ingest.dashboard.graph.graph_types import Box, Curve, Line, Point

LABEL_HEIGHT: Final = 14.0
CHAR_WIDTH: Final = 6.2
MAX_LABEL_CHARS: Final = 14

_PLACES: Final = (0.5, 0.35, 0.65, 0.22, 0.78)
_MAX_TRIED: Final = 4
"""How many curves of one line are tried, those at its source first."""


def shortened(text: str, chars: int) -> str:
    """The text, or its beginning with an ellipsis, with at most `chars` characters."""
    return text if len(text) <= chars else text[: chars - 1] + "…"


def place_labels(lines: Iterable[Line], texts: Sequence[str], boxes: Mapping[str, Box]) -> list[Line]:
    """The lines with the place of each label. `texts` are the labels, empty for a line without one."""
    taken = Areas(boxes.values())
    return [
        replace(line, label_at=_place(line, shortened(text, MAX_LABEL_CHARS), taken)) if text else line
        for line, text in zip(lines, texts, strict=True)
    ]


def _place(line: Line, text: str, taken: Areas) -> Point | None:
    width = len(text) * CHAR_WIDTH + 8
    for start, curve in _curves(line)[:_MAX_TRIED]:
        is_loop = line.edge.source == line.edge.target
        for share in _PLACES[:1] if is_loop else _PLACES:
            x, y = curve.at(start, share)
            x += width / 2 + 2 if is_loop else 0
            area = Box(x - width / 2, y - LABEL_HEIGHT / 2, width, LABEL_HEIGHT)
            if not any(taken.meeting(area)):
                taken.add(area)
                return x, y
    return None


def _curves(line: Line) -> list[tuple[Point, Curve]]:
    found, at = [], line.start
    for part in line.parts:
        if isinstance(part, Curve):
            found.append((at, part))
            at = part.end
        else:
            at = part
    return found
