"""The samples of a queue within a time window, and the figures computed from them."""

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 60.0
"""The length of the window over which rates and averages are computed."""

SETTLED_S: Final = 15.0
"""A rate over a shorter time is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A queue at one moment. Rates are in jobs per second, None while unknown.

    `busy` is the average share of the workers' slots that run a job, 0 to 1; `busy_now` is the share at this moment.
    `oldest_age_s` is how long the oldest waiting job has been due.
    """

    waiting: int
    oldest_age_s: float
    workers: int
    busy: float
    busy_now: float
    arrival_rate: float | None
    drain_rate: float | None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A queue at `at_s`, in seconds of a monotonic clock.

    `backlog` is the number of due jobs, waiting and active together. `drain_rate` is the recent number of ended jobs
    per second.
    """

    at_s: float
    waiting: int
    backlog: int
    oldest_age_s: float
    workers: int
    running: int
    slots: int
    drain_rate: float


class Samples:
    """The samples of one queue within the last `window_s` seconds."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Adds a sample that is not older than the last one, and removes those that have left the window."""
        self._samples.append(sample)
        while self._samples[0].at_s < sample.at_s - self._window_s:
            self._samples.popleft()

    def figures(self, *, paused: bool = False) -> Figures:
        """Returns the figures at the newest sample. Raises ValueError without a sample.

        `arrival rate = drain rate + (backlog at the end - backlog at the start) / time`, and at least 0. It is None
        while the samples cover less than `SETTLED_S`.
        """
        if not self._samples:
            raise ValueError("no sample yet")
        first, last = self._samples[0], self._samples[-1]
        passed_s = last.at_s - first.at_s
        settled = passed_s >= SETTLED_S
        growth = (last.backlog - first.backlog) / passed_s if settled else 0.0
        return Figures(
            waiting=last.waiting,
            oldest_age_s=last.oldest_age_s,
            workers=last.workers,
            busy=sum(_busy_share(sample) for sample in self._samples) / len(self._samples),
            busy_now=_busy_share(last),
            arrival_rate=max(0.0, last.drain_rate + growth) if settled else None,
            drain_rate=last.drain_rate,
            paused=paused,
        )


def _busy_share(sample: Sample) -> float:
    return min(1.0, sample.running / sample.slots) if sample.slots else 0.0
