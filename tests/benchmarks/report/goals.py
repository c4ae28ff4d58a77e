"""The goals of each part, and whether the saved figures meet them."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.report.numbers import number
from tests.benchmarks.report.results import PartResult, Subject, ratio

Value = Callable[[PartResult], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """A value of a part's result, and the least (or the most) that it should be."""

    words: str
    value: Value
    target: float
    at_least: bool = True
    unit: str = ""

    def judged(self, result: PartResult) -> "Judgement | None":
        """The judgement of a result; None if the value was not measured."""
        found = self.value(result)
        return None if found is None else Judgement(self, found)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A goal, and the value that was measured."""

    goal: Goal
    value: float

    @property
    def met(self) -> bool:
        """Whether the value is at least, or at most, the target."""
        return self.value >= self.goal.target if self.goal.at_least else self.value <= self.goal.target

    @property
    def distance(self) -> float:
        """How far the value is from the target, as a share of the target. 0 if the goal is met."""
        return 0.0 if self.met else abs(self.value - self.goal.target) / self.goal.target

    @property
    def words(self) -> str:
        """`met`, or `MISSED by` the distance in percent."""
        return "met" if self.met else f"**MISSED by {self.distance * 100:.0f} %**"


def of(subject: str, figure: str) -> Value:
    """The median of a figure."""
    return lambda result: result.subjects.get(subject, Subject()).median(figure)


def times(subject: str, other: str, figure: str, *, of_other: str | None = None) -> Value:
    """How many times the figure of another subject it is."""
    return lambda result: ratio(of(subject, figure)(result), of(other, of_other or figure)(result))


def times_base(subject: str, figure: str) -> Value:
    """How many times the figure at the base it is. Both were measured in turn."""
    return lambda result: ratio(
        of(subject, figure)(result), result.base_subjects.get(subject, Subject()).median(figure)
    )  # fmt: skip


CLOSED, CLOSED_WITHOUT = "with a message, 200 senders", "without a message, 200 senders"
OPEN = "with a message, senders that do not wait"
FILAS, SAME, PLAIN = "filas", "fastify + bullmq + pg, same guarantees", "fastify + bullmq + pg, without them"
THIRD_LESS = 2 / 3

GOALS: dict[str, list[Goal]] = {
    "whole-way": [
        Goal("flows/s with a message, times the base", times_base(CLOSED, "rate"), 1.5),
        Goal("flows/s without a message, times the base", times_base(CLOSED_WITHOUT, "rate"), 1.5),
        Goal("flows/s with a message, 200 senders", of(CLOSED, "rate"), 1300),
        Goal("flows/s without a message, 200 senders", of(CLOSED_WITHOUT, "rate"), 2400),
        Goal("flows/s while senders do not wait, times those of senders that wait", times(OPEN, CLOSED, "rate"), 0.8),
        Goal("CPU of Postgres for a flow, times the base", times_base(CLOSED, "cpu postgres"), THIRD_LESS, False),
        Goal("WAL of Postgres for a flow, times the base", times_base(CLOSED, "wal"), THIRD_LESS, False),
        Goal("CPU of flow-runner for a flow, times the base", times_base(CLOSED, "cpu flow-runner"), THIRD_LESS, False),
        Goal("private memory of ingest serve", of(CLOSED, "private ingest"), 55, False, " MiB"),
        Goal("private memory of ingest work", of(CLOSED, "private ingest-worker"), 50, False, " MiB"),
        Goal("private memory of flow-runner", of(CLOSED, "private flow-runner"), 50, False, " MiB"),
        Goal("private memory of notifier", of(CLOSED, "private notifier"), 50, False, " MiB"),
    ],
    "receiving": [
        Goal("requests/s, times Fastify with the same guarantees", times(FILAS, SAME, "rate"), 2.0),
        Goal("requests/s, times Fastify without them", times(FILAS, PLAIN, "rate"), 1.4),
        Goal("p99 at 64 connections", of(FILAS, "p99"), 25, False, " ms"),
    ],
    "answers": [
        Goal("p99 with idle workers", of("workers idle", "p99"), 25, False, " ms"),
        Goal("p99 with busy workers", of("workers busy", "p99"), 25, False, " ms"),
        Goal(
            "p99 with idle workers, times that of stopped ones",
            times("workers idle", "workers stopped", "p99"),
            3,
            False,
        ),
        Goal(
            "p99 with busy workers, times that of stopped ones",
            times("workers busy", "workers stopped", "p99"),
            3,
            False,
        ),
    ],
    "queue": [
        Goal("jobs/s with results kept, times BullMQ", times("filas", "BullMQ", "process_results"), 2.2),
        Goal("jobs/s without results, times BullMQ", times("filas", "BullMQ", "process"), 2.0),
        Goal("enqueued jobs/s, times BullMQ", times("filas", "BullMQ", "enqueue_single"), 1.25),
        Goal("jobs/s enqueued in batches, times BullMQ", times("filas", "BullMQ", "enqueue_bulk"), 1.25),
        Goal("pick-up of a job when idle, p50", of("filas", "pickup_p50"), 2.0, False, " ms"),
        Goal("CPU when idle", of("filas", "idle_cpu"), 1.0, False, " %"),
    ],
    "flow-runner": [Goal("executions/s of one flow-runner", of("one flow-runner", "rate"), 500)],
    "notifier": [
        Goal("notifications/s to one channel", of("one notifier, one channel", "rate"), 1500),
        Goal("p99 beside a busy channel, times that without it", of("beside a busy channel", "p99 ratio"), 2.0, False),
    ],
    "growth": [
        Goal(f"{words}, 100 times the data by 1", times(f"{name}, 100x", f"{name}, 1x", figure), 0.9)
        for words, name, figure in (
            ("flows/s with a message", "with-message", "flows/s"),
            ("flows/s without a message", "without-message", "flows/s"),
            ("requests/s", "receiving", "requests/s"),
        )
    ],
}


def judgements(result: PartResult) -> list[Judgement]:
    """Every goal of a part that its result can be judged by."""
    found = (goal.judged(result) for goal in GOALS.get(result.part, []))
    return [one for one in found if one is not None]


def row(judgement: Judgement) -> list[str]:
    """The cells of a goal: words, goal, measured value, judgement."""
    goal = judgement.goal
    limit = f"{'at least' if goal.at_least else 'at most'} {number(goal.target)}{goal.unit}"
    return [goal.words, limit, f"{number(judgement.value)}{goal.unit}", judgement.words]
