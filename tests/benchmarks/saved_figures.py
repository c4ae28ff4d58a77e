"""Figures that are measured one after the other and kept in one JSON file: by subject, each with its rounds."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

REPOSITORY: Final = Path(__file__).parents[2]
RESULTS: Final = REPOSITORY / "docs" / "benchmarks" / "results"


class Subject(msgspec.Struct):
    """One measured subject. `figures` has one value for each round."""

    figures: dict[str, list[float]] = {}
    commit: str = ""
    measured_on: str = ""


class Figures(msgspec.Struct):
    """The figures of a part, such as `growth`. `machine` is its processor and the number of its cores."""

    part: str
    machine: str
    subjects: dict[str, Subject] = {}

    def add(self, subject: str, figures: Mapping[str, float], *, again: bool = False) -> None:
        """Adds a round. Rounds of another commit are dropped, and with `again` all earlier ones."""
        commit = _commit()
        kept = self.subjects.get(subject)
        if kept is None or again or kept.commit != commit:
            kept = self.subjects[subject] = Subject(commit=commit, measured_on=f"{datetime.now(UTC):%Y-%m-%d}")
        for name, value in figures.items():
            # More digits would be noise.
            kept.figures.setdefault(name, []).append(float(f"{value:.5g}"))

    def medians(self, subject: str) -> dict[str, float]:
        """The median of each figure. Raises KeyError for a subject that was not measured."""
        return {name: statistics.median(values) for name, values in self.subjects[subject].figures.items()}

    def save(self, directory: Path = RESULTS) -> None:
        """Writes the file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.part}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def load(part: str, directory: Path = RESULTS) -> Figures:
    """The saved figures of a part. Empty if there are none, or if they are of another machine."""
    machine, path = _machine(), directory / f"{part}.json"
    if path.exists():
        found = msgspec.json.decode(path.read_bytes(), type=Figures)
        if found.machine == machine:
            return found
    return Figures(part=part, machine=machine)


def read(part: str, directory: Path = RESULTS) -> Figures:
    """The saved figures of a part, of whatever machine. Raises FileNotFoundError."""
    return msgspec.json.decode((directory / f"{part}.json").read_bytes(), type=Figures)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor")
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def _commit() -> str:
    command = ["git", "rev-parse", "--short=8", "HEAD"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
