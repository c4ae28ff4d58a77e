"""What a run has recorded: one JSON file, which is written each minute."""

from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks.report.results import Machine, significant
from tests.soak.samples import Values

SMALLEST_MIB: Final = 0.25
"""Tables and indexes that never were larger are left out of the file."""


class Outcome(msgspec.Struct):
    """How often a check held, and each time that it did not, in words."""

    held: int = 0
    broken: list[str] = []


class Results(msgspec.Struct, kw_only=True):
    """A run. `series` has a value for each minute, None where it was not measured.

    `retention_minutes` is the age at which rows are deleted. `context` states what else ran on the machine. `totals`
    are counts of the whole run. `ended` is false while the run is going on.
    """

    measured_on: str
    commit: str
    machine: Machine
    versions: dict[str, str]
    rate: float
    retention_minutes: float
    context: str = ""
    minutes: int = 0
    ended: bool = False
    series: dict[str, list[float | None]] = {}
    checks: dict[str, Outcome] = {}
    totals: dict[str, float] = {}
    notes: list[str] = []

    def add(self, values: Values) -> None:
        """Adds a minute."""
        for name, value in values.items():
            series = self.series.setdefault(name, [])
            series.extend([None] * (self.minutes - len(series)))
            series.append(significant(value))
        self.minutes += 1
        for one in self.series.values():
            one.extend([None] * (self.minutes - len(one)))

    def check(self, name: str, broken: str | None) -> None:
        """Adds the outcome of a check. `broken` is what does not hold."""
        outcome = self.checks.setdefault(name, Outcome())
        if broken is None:
            outcome.held += 1
        else:
            outcome.broken.append(broken)


def save(results: Results, path: Path) -> None:
    """Writes the file as a whole, so that a stop at any time leaves the last minute or the one before."""
    kept = {
        name: values
        for name, values in sorted(results.series.items())
        if not name.startswith(("table/", "index/", "rows/", "dead/", "free/"))
        or _is_large(results, name.partition("/")[2].partition(".")[0])
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    document = msgspec.to_builtins(msgspec.structs.replace(results, series={}))
    head = msgspec.json.format(msgspec.json.encode(document | {"series": "SERIES"}), indent=1).decode()
    # Each series is one line.
    lines = [f"  {_json(name)}: {_json(values)}" for name, values in kept.items()]
    partial.write_text(head.replace('"SERIES"', "{\n" + ",\n".join(lines) + "\n }") + "\n")
    partial.rename(path)


def load(path: Path) -> Results:
    """The saved results."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def _is_large(results: Results, table: str) -> bool:
    sizes = results.series.get(f"table/{table}", [])
    return max((one or 0.0 for one in sizes), default=0.0) >= SMALLEST_MIB


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
