"""What Filas itself reported: the figures after a run, and what its dashboards showed during the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.alerts import Alerts
from tests.chaos.asking import Question
from tests.chaos.dashboards import Frame, Reading


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures after a run, `reported` by Filas and `true` by the rows, under the same names.

    `stats` are those of `GET /api/queue/stats`. `finished` are the rows of each queue that have certainly been counted
    since Redis lost its data last. `metrics` are the series of each process.
    """

    reported: Mapping[str, int]
    true: Mapping[str, int]
    stats: Mapping[str, int]
    finished: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(slots=True)
class Observed:
    """Everything that was reported. The dashboards were open until `ended_s`, in seconds since the beginning. `figures`
    is None if they were not read. `restarted` are the processes that were started again."""

    frames: Sequence[Frame] = ()
    readings: Sequence[Reading] = ()
    ended_s: float = 0.0
    figures: Figures | None = None
    restarted: frozenset[str] = frozenset()
    alerts: Alerts | None = None
    questions: Sequence[Question] = ()
