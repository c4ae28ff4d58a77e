"""How figures are taken: options of all parts, alternating rounds, and a file that is written after each of them."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.report import results
from tests.benchmarks.report.machine import this_machine, versions
from tests.benchmarks.report.results import PartResult, Subject
from tests.benchmarks.trees import REPOSITORY, Tree, checkout, this_tree

UNPUBLISHED = REPOSITORY / "build" / "benchmarks" / "results"
"""Where a part that is run by itself saves its results. `make bench` saves them where the page is made from."""


@dataclass(frozen=True, slots=True)
class Length:
    """How often each subject is measured, and how long: first without a figure, then with."""

    rounds: int
    warm_up_s: float
    seconds: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that every part has."""
    parser.add_argument("--rounds", type=int, default=1, help="how often each subject is measured (the median counts)")
    parser.add_argument("--warm-up", type=float, default=15.0, help="seconds of load before each measurement")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of each measurement")
    parser.add_argument("--base", help="another commit, or a checkout with its .venv, that is measured in turn")
    parser.add_argument("--add", action="store_true", help="adds rounds to the saved ones of the same commits")
    parser.add_argument("--results", type=Path, default=UNPUBLISHED, help="the directory of the results")


@dataclass
class Recorder:
    """Keeps the rounds of a part, prints each one, and saves the part after each round."""

    result: PartResult
    directory: Path
    _left_out: set[str] = field(default_factory=set)

    def add(
        self, tree: Tree, subject: str, figures: Mapping[str, float | None], intervals: Sequence[float] = ()
    ) -> None:
        """Adds a round of a subject."""
        kept = self._subjects(tree).setdefault(subject, Subject())
        kept.add(figures, intervals)
        where = f" at {tree.commit}" if self.result.base else ""
        shown = ", ".join(f"{name} {value:,.4g}" for name, value in figures.items() if value is not None)
        print(f"{datetime.now(UTC):%H:%M:%S} {subject}{where}: {shown}", flush=True)
        if intervals:
            print(f"         every 10 s: {', '.join(f'{one:,.0f}' for one in intervals)}", flush=True)
        results.save(self.result, self.directory)

    def _subjects(self, tree: Tree) -> dict[str, Subject]:
        return self.result.base_subjects if tree.is_base else self.result.subjects

    def leave_out(self, subject: str, reason: str) -> None:
        """Notes once that a subject cannot be measured."""
        if subject not in self._left_out:
            self._left_out.add(subject)
            self.result.notes.append(f"{subject} was left out: {reason}")
            print(self.result.notes[-1], flush=True)


@contextmanager
def recording(part: str, options: argparse.Namespace) -> Iterator[tuple[Recorder, list[Tree], Length]]:
    """The recorder of a part, the trees to measure in turn (this one first), and the length of the rounds."""
    length, ours = Length(options.rounds, options.warm_up, options.seconds), this_tree()
    with _other(options.base) as other:
        kept = results.load(part, options.results) if options.add else None
        base = None if other is None else other.commit
        if kept is None or (kept.commit, kept.base) != (ours.commit, base):
            kept = PartResult(
                part=part, measured_on=f"{datetime.now(UTC):%Y-%m-%d}", commit=ours.commit, base=base,
                form=f"{length.seconds:g} s after {length.warm_up_s:g} s of warm-up",
                machine=this_machine(), versions=versions(),
            )  # fmt: skip
        yield Recorder(kept, options.results), [ours] if other is None else [ours, other], length


@contextmanager
def _other(base: str | None) -> Iterator[Tree | None]:
    if base is None:
        yield None
        return
    with checkout(base) as tree:
        yield tree


def in_turn(trees: Sequence[Tree], number: int) -> Sequence[Tree]:
    """The trees of a round. Every second round begins with the last, so that none is always the first."""
    return list(reversed(trees)) if number % 2 else trees
