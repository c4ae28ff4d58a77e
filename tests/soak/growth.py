"""Whether a series grows: a robust slope, and whether it is more than noise."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

FEWEST: Final = 6
"""A series with fewer values after the first life cycle cannot be judged."""

CERTAIN: Final = 2.33
"""How many standard deviations the trend must exceed: 99 % of the series without a trend stay below."""


CONTINUES: Final = 0.25
"""The slope of each half must be at least this part of the slope of all. So a step is no growth, wherever it is, and
neither is growth that ends."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a series may grow over the judged part: `share` of its median or `amount`, the larger of both."""

    share: float
    amount: float

    def of(self, median: float) -> float:
        """The largest growth, in the unit of the series."""
        return max(self.share * abs(median), self.amount)


@dataclass(frozen=True, slots=True)
class Trend:
    """A judged series. `first` and `last` are the medians of the first and the last third, `median` that of all values.
    `growth` is the slope times the judged minutes, in the unit of the series. `certainty` is the trend by the test of
    Mann and Kendall, in standard deviations: positive if later values are larger. `continues`: both halves grow."""

    minutes: int
    first: float
    last: float
    median: float
    growth: float
    certainty: float
    continues: bool

    def exceeds(self, bound: Bound) -> bool:
        """Whether the series grows all the time, by more than `bound`, and this is more than noise."""
        return self.growth > bound.of(self.median) and self.certainty > CERTAIN and self.continues


def trend(values: Sequence[float | None]) -> Trend | None:
    """The trend of a value for each minute; None if fewer than FEWEST were measured.

    The slope is that of Theil and Sen: the median of the slopes between all pairs of values. A third of the values may
    be outliers.
    """
    points = [(minute, value) for minute, value in enumerate(values) if value is not None]
    if len(points) < FEWEST:
        return None
    known = [value for _, value in points]
    third, half = max(1, len(known) // 3), len(points) // 2
    slope = _slope(points)
    return Trend(
        minutes=len(values),
        first=statistics.median(known[:third]),
        last=statistics.median(known[-third:]),
        median=statistics.median(known),
        growth=slope * (points[-1][0] - points[0][0]),
        certainty=_certainty(known),
        continues=min(_slope(points[:half]), _slope(points[half:])) > CONTINUES * slope,
    )


def _slope(points: Sequence[tuple[int, float]]) -> float:
    return statistics.median(
        (later - earlier) / (end - start) for (start, earlier), (end, later) in combinations(points, 2)
    )


def _certainty(values: Sequence[float]) -> float:
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    number = len(values)
    ties = [values.count(one) for one in set(values)]
    variance = (
        number * (number - 1) * (2 * number + 5) - sum(tied * (tied - 1) * (2 * tied + 5) for tied in ties)
    ) / 18
    return (score - (score > 0) + (score < 0)) / math.sqrt(variance) if variance > 0 else 0.0
