"""Where each part of the pipeline is drawn: from left to right on wide screens, from top to bottom on narrow ones.

All numbers are units of the picture; on a screen of the intended width, one unit is one pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ingest.dashboard.pipeline.content import Pipeline

HEAD: Final = 36
ROW: Final = 28
PAD: Final = 12
GAP: Final = 28

WIDE: Final = 1184
SIDE: Final = 208
INGEST: Final = 144
STATION: Final = 168
STATION_HEIGHT: Final = 184
STORE_HEIGHT: Final = 36

NARROW: Final = 328
NARROW_STATION: Final = 132
NARROW_GAP: Final = 24

Direction = Literal["right", "down"]


@dataclass(frozen=True, slots=True)
class Box:
    """The rectangle of a part."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The bottom edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line from one part to the next. `busy`: jobs are on their way."""

    path: str
    busy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The size of the picture, and the box of each part. `stations` and `stores` are in the order of the pipeline."""

    name: Literal["wide", "narrow"]
    width: int
    height: int
    senders: Box
    ingest: Box
    stations: Sequence[Box]
    channels: Box
    stores: Sequence[Box]
    arrows: Sequence[Arrow] = field(default_factory=list)


def wide(pipeline: Pipeline) -> Placement:
    """From left to right. The stores are under the stations that use them."""
    stations = [Box(SIDE + INGEST + GAP * (2 + n) + STATION * n, 0, STATION, STATION_HEIGHT) for n in range(3)]
    middle = STATION_HEIGHT // 2
    ingest = Box(SIDE + GAP, middle - 50, INGEST, 100)
    channels_x = stations[-1].right + GAP
    senders = Box(0, 0, SIDE, _list_height(len(pipeline.senders), pipeline.more_senders))
    channels = Box(channels_x, 0, WIDE - channels_x, _list_height(len(pipeline.channels), pipeline.more_channels))
    stores_y = STATION_HEIGHT + 20
    store_width = (stations[-1].right - ingest.x - 2 * PAD) // 3
    stores = [Box(ingest.x + n * (store_width + PAD), stores_y, store_width, STORE_HEIGHT) for n in range(3)]
    boxes = [senders, ingest, *stations, channels]
    arrows = [
        Arrow(f"M{left.right + 3} {middle}H{right.x - 4}", busy)
        for left, right, busy in zip(boxes, boxes[1:], _busy(pipeline), strict=False)
    ]
    height = max(senders.height, channels.height, stores_y + STORE_HEIGHT)
    return Placement(
        name="wide", width=WIDE, height=height, senders=senders, ingest=ingest, stations=stations, channels=channels,
        stores=stores, arrows=arrows,
    )  # fmt: skip


def narrow(pipeline: Pipeline) -> Placement:
    """From top to bottom."""
    y = 0
    boxes = []
    heights = [
        _list_height(len(pipeline.senders), pipeline.more_senders),
        HEAD + ROW + PAD,
        *[NARROW_STATION] * 3,
        _list_height(len(pipeline.channels), pipeline.more_channels),
    ]
    for height in heights:
        boxes.append(Box(0, y, NARROW, height))
        y += height + NARROW_GAP
    senders, ingest, *stations, channels = boxes
    stores = [Box(0, y + n * (STORE_HEIGHT + 8), NARROW, STORE_HEIGHT) for n in range(3)]
    middle = NARROW // 2
    arrows = [
        Arrow(f"M{middle} {above.bottom + 3}V{below.y - 4}", busy)
        for above, below, busy in zip(boxes, boxes[1:], _busy(pipeline), strict=False)
    ]
    return Placement(
        name="narrow", width=NARROW, height=stores[-1].bottom, senders=senders, ingest=ingest, stations=stations,
        channels=channels, stores=stores, arrows=arrows,
    )  # fmt: skip


def _list_height(rows: int, more: int) -> int:
    """The height of a card with rows: at least one line, which states that there is nothing."""
    return max(HEAD + (max(rows, 1) + bool(more)) * ROW + PAD, 100)


def _busy(pipeline: Pipeline) -> list[bool]:
    """Whether something moves from each part to the next: by what the part before the arrow does now."""
    receives = bool(pipeline.senders)
    works = [bool(one.counts and (one.counts.active or (one.load and one.load.finished))) for one in pipeline.stations]
    return [receives, receives, *works]
