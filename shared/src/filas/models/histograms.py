"""Histograms of times with fixed bounds, so that histograms of different minutes, flows or channels can be added."""

from collections.abc import Sequence
from typing import Final

BOUNDS_MS: Final = tuple(2.0**exponent for exponent in range(31))
"""1 ms, 2 ms, 4 ms, …, 2^30 ms (12.4 days). Bucket 0 counts the times below the first bound, bucket n those from
`BOUNDS_MS[n - 1]` to below `BOUNDS_MS[n]`, and the last one those from 12.4 days."""

BUCKETS: Final = len(BOUNDS_MS) + 1


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The time in milliseconds that `share` (0 to 1) of the times do not exceed. None if there are no times.

    It is interpolated within its bucket, so it differs from the exact time by less than factor 2: an exact 95th
    percentile of 300 ms (in the bucket from 256 to 512 ms) is reported as 256 to 512 ms. Times in the last bucket count
    as 12.4 days.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    before = 0
    for bucket, count in enumerate(counts):
        if count and before + count >= wanted:
            low, high = _limits(bucket)
            return low + (high - low) * max(0.0, wanted - before) / count
        before += count
    return BOUNDS_MS[-1]


def _limits(bucket: int) -> tuple[float, float]:
    low = BOUNDS_MS[bucket - 1] if bucket else 0.0
    return low, BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]
