"""The results of each part of the benchmarks: one JSON file for each part, from which the page is made."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from tests.benchmarks.trees import REPOSITORY

RESULTS = REPOSITORY / "docs" / "benchmarks" / "results"


class Machine(msgspec.Struct, frozen=True):
    """The machine on which a part was measured."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str


class Subject(msgspec.Struct):
    """One measured subject. `figures` has one value for each round. `intervals` has, for each round, the rates in
    intervals of ten seconds."""

    figures: dict[str, list[float]] = {}
    intervals: list[list[float]] = []

    def add(self, figures: Mapping[str, float | None], intervals: Sequence[float] = ()) -> None:
        """Adds a round. A figure that is None was not measured."""
        for name, value in figures.items():
            if value is not None:
                self.figures.setdefault(name, []).append(significant(value))
        if intervals:
            self.intervals.append([significant(one) for one in intervals])

    def median(self, name: str) -> float | None:
        """The median of a figure; None if it was not measured."""
        values = self.figures.get(name)
        return statistics.median(values) if values else None


class PartResult(msgspec.Struct):
    """The result of one part. `base` is the commit of the subjects in `base_subjects`, if two commits were measured in
    turn. `form` describes the rounds and their length. `notes` lists what was left out, and why."""

    part: str
    measured_on: str
    commit: str
    form: str
    machine: Machine
    versions: dict[str, str]
    subjects: dict[str, Subject] = {}
    base: str | None = None
    base_subjects: dict[str, Subject] = {}
    notes: list[str] = []


def significant(value: float) -> float:
    """Five significant digits: more are noise, and would change a file for no reason."""
    return float(f"{value:.5g}")


def ratio(ours: float | None, other: float | None) -> float | None:
    """How many times `other` the first value is; None if one of them is missing or nothing."""
    return ours / other if ours and other else None


def by_round(ours: Subject, other: Subject, name: str) -> list[float]:
    """The ratio of two subjects in each round that measured both."""
    pairs = zip(ours.figures.get(name, []), other.figures.get(name, []), strict=False)
    return [one / two for one, two in pairs if two]


def save(result: PartResult, directory: Path = RESULTS) -> Path:
    """Writes the file of a part, and returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{result.part}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return path


def load(part: str, directory: Path = RESULTS) -> PartResult | None:
    """The saved result of a part; None if there is none."""
    path = directory / f"{part}.json"
    return msgspec.json.decode(path.read_bytes(), type=PartResult) if path.exists() else None


def load_all(parts: Iterable[str], directory: Path = RESULTS) -> dict[str, PartResult]:
    """The saved results by part, without those that are missing."""
    found = {part: load(part, directory) for part in parts}
    return {part: result for part, result in found.items() if result is not None}
