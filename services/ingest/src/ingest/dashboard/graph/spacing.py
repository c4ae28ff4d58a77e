"""Places items in a row as near as possible to where they should be, with a distance between them."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], weights: Sequence[float], distances: Sequence[float]) -> list[float]:
    """The places with the least weighted sum of squared shifts from `wanted`, in the given order.

    `distances[i]` is the least distance of place i from the one before it (`distances[0]` is ignored). Pool adjacent
    violators: the time is linear.
    """
    shifts: list[float] = []
    shift = 0.0
    blocks: list[tuple[float, float, int]] = []  # The mean place without the shifts, its weight, the number of items.
    for index, (place, weight) in enumerate(zip(wanted, weights, strict=True)):
        shift += distances[index] if index else 0.0
        shifts.append(shift)
        mean, total, count = place - shift, weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * total + other * other_weight) / (total + other_weight)
            total, count = total + other_weight, count + other_count
        blocks.append((mean, total, count))
    bases = [mean for mean, _, count in blocks for _ in range(count)]
    return [base + shift for base, shift in zip(bases, shifts, strict=True)]


def spread_within(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """The same between two bounds. The distance shrinks if there is no space for it."""
    if not wanted:
        return []
    if len(wanted) > 1:
        distance = min(distance, (high - low) / (len(wanted) - 1))
    inside = [min(max(place, low), high) for place in wanted]
    placed = spread(inside, [1.0] * len(inside), [distance] * len(inside))
    last = len(placed) - 1
    return [min(max(place, low + n * distance), high - (last - n) * distance) for n, place in enumerate(placed)]
