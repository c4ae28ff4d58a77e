"""How many workers a queue asks for, and why: a pure function of its figures.

In words: as many as make the slots `HIGH` busy with what arrives now and what has to be caught up with. With

    under way  = workers * busy                      (workers' worth of jobs under way, `busy` averaged)
    asked rate = arrival rate + waiting / target age   (jobs a second, so that the backlog is gone in time)
    growth     = max(1, asked rate / drain rate)     (only while the slots are full: see below)
    needed     = under way * growth

the answer is `ceil(needed / HIGH)` when that is more than there are, `ceil(needed / LOW)` when that is fewer, and
what there is in between: so that a load between the two marks moves nothing. It is what a Horizontal Pod Autoscaler
computes from a ratio, with the ratio taken from the queue.

A backlog counts only while the slots are full. Jobs that wait beside free slots wait for something else, the job of
their conversation before them for instance, and more workers would not help them.

Worked: 2 workers, 90 % busy, drain 100 jobs/s, 100 arrive a second, 1,000 wait, target age 10 s: under way 1.8, asked
200/s, growth 2, needed 3.6, so ceil(3.6 / 0.8) = 5. Then with nothing waiting and 5 workers 36 % busy: needed 1.8,
ceil(1.8 / 0.6) = 3.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

HIGH: Final = 0.8
LOW: Final = 0.6
"""How busy the slots are to be at most and at least."""

FULL: Final = 0.8
"""From this share of busy slots on, what waits is taken to wait for a slot."""

MAX_GROWTH: Final = 1000.0
"""A drain rate near nothing makes no answer without end."""

WINDOW_S: Final = 60.0
"""How far back rates and averages reach."""

SETTLED_S: Final = 15.0
"""Rates over less time than this say nothing."""

SCALE_DOWN_WINDOW_S: Final = 300
"""The advice for whoever acts on the answers: shrink only to the most that was asked for within so long."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator allows: the fewest and the most workers, and the age in seconds that a job may reach."""

    least: int = 1
    most: int = 10
    target_age_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A queue at one moment. Rates are jobs a second, None while they are not known.

    `busy` is the share of the workers' slots that run a handler, 0 to 1, on average over the window; `busy_now` at
    this moment. `oldest_age_s`: how long the oldest waiting job has been due.
    """

    waiting: int
    oldest_age_s: float
    workers: int
    busy: float
    busy_now: float
    arrival_rate: float | None
    drain_rate: float | None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence that explains the answer, in English and in Portuguese; `code` for machines."""

    code: str
    en: str
    pt: str


@dataclass(frozen=True, slots=True)
class Advice:
    """`replicas` workers are asked for, within the bounds; `needed` before rounding, None where it isn't known."""

    replicas: int
    needed: float | None
    reasons: tuple[Reason, ...]


def advise(figures: Figures, bounds: Bounds) -> Advice:
    """How many workers the figures ask for. See the module for the formula."""
    wish, needed, reasons = _wish(figures, bounds)
    if wish > bounds.most:
        reasons.append(
            Reason(
                "at-most",
                f"{wish} would be asked for; at most {bounds.most} are allowed.",
                f"Seriam pedidos {wish}; o máximo permitido é {bounds.most}.",
            )
        )
    elif wish < bounds.least:
        reasons.append(
            Reason("at-least", f"At least {bounds.least} are kept.", f"Pelo menos {bounds.least} são mantidos.")
        )
    return Advice(min(max(wish, bounds.least), bounds.most), needed, tuple(reasons))


def _wish(figures: Figures, bounds: Bounds) -> tuple[int, float | None, list[Reason]]:
    if figures.paused:
        return figures.workers, None, [_PAUSED]
    if figures.workers == 0:
        # Some worker has to run before it can be known how many are needed.
        return (1, None, [_nobody(figures)]) if figures.waiting else (0, 0.0, [_EMPTY])
    full = max(figures.busy, figures.busy_now) >= FULL
    behind = figures.oldest_age_s > bounds.target_age_s
    growth = _growth(figures, bounds) if full else 1.0
    busy = max(figures.busy, figures.busy_now) if full and figures.waiting else figures.busy
    needed = figures.workers * busy * growth
    more, fewer = _rounded_up(needed / HIGH), _rounded_up(needed / LOW)
    if behind and full:
        # However the estimate comes out: as it is, it is too slow.
        more = max(more, figures.workers + 1)
    if more > figures.workers:
        return more, needed, [_late(figures, bounds) if behind else _busy(figures, growth)]
    held = [_held(figures, bounds)] if behind else []
    if fewer < figures.workers and not behind:
        return fewer, needed, [_idle(figures)]
    return figures.workers, needed, held or [_steady(figures)]


def _growth(figures: Figures, bounds: Bounds) -> float:
    """By how much the workers would have to be faster; 1 where the rates aren't known."""
    if not figures.drain_rate:
        return 1.0
    arrival = figures.drain_rate if figures.arrival_rate is None else figures.arrival_rate
    asked = arrival + figures.waiting / bounds.target_age_s
    return min(max(1.0, asked / figures.drain_rate), MAX_GROWTH)


def _rounded_up(value: float) -> int:
    """As `ceil`, for values that are exact but for the last digits."""
    return math.ceil(round(value, 6))


# ---- the sentences ---------------------------------------------------------------------------------

_PAUSED = Reason(
    "paused",
    "The queue is paused: what waits says nothing about the workers.",
    "A fila está pausada: o que espera nada diz sobre os workers.",
)
_EMPTY = Reason("empty", "Nothing waits and no worker runs.", "Nada espera e nenhum worker está ativo.")


def _nobody(figures: Figures) -> Reason:
    one = figures.waiting == 1
    return Reason(
        "no-worker",
        f"{figures.waiting} {'job waits' if one else 'jobs wait'} and no worker runs.",
        f"{figures.waiting} {'job espera' if one else 'jobs esperam'} e nenhum worker está ativo.",
    )


def _late(figures: Figures, bounds: Bounds) -> Reason:
    age, target = f"{figures.oldest_age_s:.0f}", f"{bounds.target_age_s:g}"
    return Reason(
        "too-old",
        f"The oldest waiting job (of {figures.waiting}) is {age} s old, more than the target of {target} s, and the"
        " slots are full.",
        f"O job em espera mais antigo (de {figures.waiting}) tem {age} s, mais que a meta de {target} s, e as vagas"
        " estão ocupadas.",
    )


def _busy(figures: Figures, growth: float) -> Reason:
    percent = f"{max(figures.busy, figures.busy_now):.0%}"
    if growth > 1.0:
        return Reason(
            "behind",
            f"The slots are {percent} busy, and catching up with {figures.waiting} waiting jobs in time takes"
            f" {growth:.1f} times the present rate.",
            f"As vagas estão {percent} ocupadas, e alcançar a tempo os {figures.waiting} jobs em espera exige"
            f" {growth:.1f} vezes o ritmo atual.",
        )
    return Reason(
        "busy",
        f"The slots are {percent} busy; at most {HIGH:.0%} are to be.",
        f"As vagas estão {percent} ocupadas; o limite é {HIGH:.0%}.",
    )


def _held(figures: Figures, bounds: Bounds) -> Reason:
    age, target = f"{figures.oldest_age_s:.0f}", f"{bounds.target_age_s:g}"
    return Reason(
        "held",
        f"The oldest waiting job is {age} s old, more than the target of {target} s, but there are free slots: it waits"
        " for another job of its conversation, or the workers can't claim. More workers would not help.",
        f"O job em espera mais antigo tem {age} s, mais que a meta de {target} s, mas há vagas livres: ele espera outro"
        " job da sua conversa, ou os workers não conseguem buscar jobs. Mais workers não ajudariam.",
    )


def _idle(figures: Figures) -> Reason:
    return Reason(
        "idle",
        f"The slots are {figures.busy:.0%} busy; fewer workers would keep them below {HIGH:.0%}.",
        f"As vagas estão {figures.busy:.0%} ocupadas; com menos workers ficariam abaixo de {HIGH:.0%}.",
    )


def _steady(figures: Figures) -> Reason:
    return Reason(
        "steady",
        f"The slots are {figures.busy:.0%} busy and jobs are taken in time.",
        f"As vagas estão {figures.busy:.0%} ocupadas e os jobs são atendidos a tempo.",
    )


# ---- what the figures are made of ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A queue at `at_s`, in seconds of a clock that never goes back.

    `backlog`: jobs that are due, waiting and active together. `drain_rate`: jobs a second that ended lately.
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
    """The samples of a queue within the window, and the figures that they give."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Take one more, not older than the last; those beyond the window go."""
        self._samples.append(sample)
        while self._samples[0].at_s < sample.at_s - self._window_s:
            self._samples.popleft()

    def figures(self, *, paused: bool = False) -> Figures:
        """The figures as of the newest sample. Raises ValueError before the first one.

        What arrives is what was drained plus what the backlog grew by: `arrival = drain + (backlog now - backlog
        then) / time`, not below 0. It is None while the samples reach back less than `SETTLED_S`.
        """
        if not self._samples:
            raise ValueError("no sample yet")
        first, last = self._samples[0], self._samples[-1]
        passed_s = last.at_s - first.at_s
        settled = passed_s >= SETTLED_S
        grown = (last.backlog - first.backlog) / passed_s if settled else 0.0
        return Figures(
            waiting=last.waiting,
            oldest_age_s=last.oldest_age_s,
            workers=last.workers,
            busy=sum(_busy_share(sample) for sample in self._samples) / len(self._samples),
            busy_now=_busy_share(last),
            arrival_rate=max(0.0, last.drain_rate + grown) if settled else None,
            drain_rate=last.drain_rate,
            paused=paused,
        )


def _busy_share(sample: Sample) -> float:
    return min(1.0, sample.running / sample.slots) if sample.slots else 0.0
