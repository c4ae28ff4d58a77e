"""What became slower or faster between two commits that were measured in turn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.report.numbers import number
from tests.benchmarks.report.results import PartResult, Subject, by_round

Verdict = Literal["slower", "faster", "the same"]

NOTICEABLE = 0.03
"""A smaller difference of the medians is not reported as a change."""

HIGHER_IS_BETTER = ("rate", "accepted", "enqueue", "process")
IGNORED = ("failures", "cpu senders", "p50 senders")


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of both commits: the medians, their ratio, and the ratios of the single rounds."""

    part: str
    subject: str
    figure: str
    base: float
    here: float
    rounds: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times the base's figure this commit's is."""
        return self.here / self.base

    @property
    def verdict(self) -> Verdict:
        """A change is one that is noticeable and that every round shows. Else it may be noise."""
        if abs(self.ratio - 1) < NOTICEABLE:
            return "the same"
        up = self.ratio > 1
        if not all((one > 1) == up for one in self.rounds):
            return "the same"
        return "faster" if up == self.figure.startswith(HIGHER_IS_BETTER) else "slower"


def changes(result: PartResult) -> Iterator[Change]:
    """Each figure that both commits have."""
    for name, subject in result.subjects.items():
        base = result.base_subjects.get(name, Subject())
        for figure in subject.figures:
            here, before = subject.median(figure), base.median(figure)
            if figure not in IGNORED and here and before and before > 0:
                yield Change(result.part, name, figure, before, here, tuple(by_round(subject, base, figure)))


def table(found: list[Change], base: str, here: str) -> str:
    """The changes as a table, with the rates and with what differs; then the list of what became slower."""
    lines = [
        f"| part | subject | figure | {base} | {here} | ratio | rounds | |",
        "|---|---|---|---:|---:|---:|---|---|",
    ]
    for one in found:
        rounds = ", ".join(f"{ratio:.2f}" for ratio in one.rounds)
        lines.append(
            f"| {one.part} | {one.subject} | {one.figure} | {number(one.base)} | {number(one.here)} | {one.ratio:.2f} "
            f"| {rounds} | {one.verdict} |"
        )
    slower = [f"{one.subject}: {one.figure} x{one.ratio:.2f}" for one in found if one.verdict == "slower"]
    faster = [f"{one.subject}: {one.figure} x{one.ratio:.2f}" for one in found if one.verdict == "faster"]
    lines += ["", f"Slower or larger than {base}: {'; '.join(slower) or 'nothing'}."]
    lines += ["", f"Faster or smaller: {'; '.join(faster) or 'nothing'}."]
    return "\n".join(lines)
