"""How many workers a queue needs, and why: a pure function of its figures.

The number of workers is such that the present arrivals and the backlog keep the slots `HIGH` busy:

    load         = workers * busy                        (the number of fully busy workers, `busy` averaged)
    wanted rate  = arrival rate + waiting / target age   (jobs per second that clear the backlog in time)
    growth       = max(1, wanted rate / drain rate)      (only while the slots are full: see below)
    needed       = load * growth

The answer is `ceil(needed / HIGH)` if that is more than the present number, `ceil(needed / LOW)` if that is fewer, and
the present number otherwise, so a load between the two marks changes nothing. A Horizontal Pod Autoscaler computes
the same from a ratio.

A backlog counts only while the slots are full. A job that waits while slots are free waits for something else, for
example for the previous job of its conversation, and more workers would not help.

Example: 2 workers, 90 % busy, drain rate 100/s, arrival rate 100/s, 1,000 waiting, target age 10 s: load 1.8, wanted
rate 200/s, growth 2, needed 3.6, so ceil(3.6 / 0.8) = 5. Later, with no waiting job and 5 workers 36 % busy: needed
1.8, so ceil(1.8 / 0.6) = 3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ingest.scaling.queue_samples import Figures

HIGH: Final = 0.8
LOW: Final = 0.6
"""The highest and the lowest wanted share of busy slots."""

FULL: Final = 0.8
"""From this share of busy slots, waiting jobs are taken to wait for a slot."""

MAX_GROWTH: Final = 1000.0
"""Bounds the answer when the drain rate is near 0."""

SCALE_DOWN_WINDOW_S: Final = 300
"""An autoscaler that follows the answers shrinks only to the largest answer of this time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings of the operator: the fewest and the most workers, and the age in seconds that a job may reach."""

    least: int = 1
    most: int = 10
    target_age_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the answer is what it is. `code` names the message `scaling.<code>` of the catalogue, with its parameters."""

    code: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """The number of workers within the bounds. `needed` is the number before rounding, None if it is unknown."""

    replicas: int
    needed: float | None
    reasons: tuple[Reason, ...]


def advise(figures: Figures, bounds: Bounds) -> Advice:
    """Returns how many workers the figures ask for. The formula is in the docstring of the module."""
    wanted, needed, reasons = _unbounded(figures, bounds)
    if wanted > bounds.most:
        reasons.append(Reason("at-most", {"wanted": wanted, "most": bounds.most}))
    elif wanted < bounds.least:
        reasons.append(Reason("at-least", {"least": bounds.least}))
    return Advice(min(max(wanted, bounds.least), bounds.most), needed, tuple(reasons))


def _unbounded(figures: Figures, bounds: Bounds) -> tuple[int, float | None, list[Reason]]:
    if figures.paused:
        return figures.workers, None, [Reason("paused")]
    if figures.workers == 0:
        # The need is unknown until a worker runs.
        if figures.waiting:
            return 1, None, [Reason("no-worker", {"count": figures.waiting})]
        return 0, 0.0, [Reason("empty")]
    full = max(figures.busy, figures.busy_now) >= FULL
    behind = figures.oldest_age_s > bounds.target_age_s
    growth = _growth(figures, bounds) if full else 1.0
    busy = max(figures.busy, figures.busy_now) if full and figures.waiting else figures.busy
    needed = figures.workers * busy * growth
    more, fewer = _rounded_up(needed / HIGH), _rounded_up(needed / LOW)
    if behind and full:
        # Whatever the estimate is, the present number of workers is too small.
        more = max(more, figures.workers + 1)
    if more > figures.workers:
        return more, needed, [_too_old(figures, bounds) if behind else _busy(figures, growth)]
    held = [_held(figures, bounds)] if behind else []
    if fewer < figures.workers and not behind:
        return fewer, needed, [Reason("idle", {"busy": figures.busy, "high": HIGH})]
    return figures.workers, needed, held or [Reason("steady", {"busy": figures.busy})]


def _growth(figures: Figures, bounds: Bounds) -> float:
    """Returns the factor by which the drain rate would have to grow, or 1 if the rates are unknown."""
    if not figures.drain_rate:
        return 1.0
    arrival = figures.drain_rate if figures.arrival_rate is None else figures.arrival_rate
    wanted = arrival + figures.waiting / bounds.target_age_s
    return min(max(1.0, wanted / figures.drain_rate), MAX_GROWTH)


def _rounded_up(value: float) -> int:
    """Like `ceil`, without the rounding error of the last digits."""
    return math.ceil(round(value, 6))


def _too_old(figures: Figures, bounds: Bounds) -> Reason:
    parameters = {"waiting": figures.waiting, "age_s": figures.oldest_age_s, "target_s": bounds.target_age_s}
    return Reason("too-old", parameters)


def _busy(figures: Figures, growth: float) -> Reason:
    busy = max(figures.busy, figures.busy_now)
    if growth > 1.0:
        return Reason("behind", {"busy": busy, "waiting": figures.waiting, "growth": growth})
    return Reason("busy", {"busy": busy, "high": HIGH})


def _held(figures: Figures, bounds: Bounds) -> Reason:
    return Reason("held", {"age_s": figures.oldest_age_s, "target_s": bounds.target_age_s})
