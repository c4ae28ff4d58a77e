"""Makes docs/benchmarks.md and its plots from the saved results and the hand-written texts.

    python -m tests.benchmarks.report.page

A part that was not measured again keeps its last result, with its date. What the causes of missed goals are is written
by hand in `prose/`: a file with the name of a part is appended to its section.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.report import goals, results, tables
from tests.benchmarks.report.plots import plots
from tests.benchmarks.report.results import PartResult
from tests.benchmarks.report.sections import INTRODUCTION, SECTIONS, Section
from tests.benchmarks.trees import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks.md"
PLOTS = REPOSITORY / "docs" / "benchmarks"
PROSE = Path(__file__).with_name("prose")

SEPARATE = ("analytics", "search")
"""Parts with benchmarks of their own that take long to fill. Their sections are written by hand, heading included."""


def page(found: Mapping[str, PartResult], prose: Mapping[str, str]) -> str:
    """The text of the page."""
    parts = [INTRODUCTION, machines(found), all_goals(found)]
    for section in SECTIONS:
        parts += section_of(section, found.get(section.part), prose.get(section.part))
    parts += [prose[name] for name in SEPARATE if name in prose]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def machines(found: Mapping[str, PartResult]) -> str:
    """Each machine with its parts, and the versions of all parts."""
    lines = dict[str, list[str]]()
    for part, result in found.items():
        one = result.machine
        name = f"{one.cpu}, {one.cores} cores, {one.memory_gib:g} GiB, Linux {one.kernel}"
        lines.setdefault(name, []).append(part)
    versions = {name: version for result in found.values() for name, version in result.versions.items()}
    rows = [f"- {name}{f': {_listed(parts)}' if len(lines) > 1 else ''}." for name, parts in lines.items()]
    rows.append(f"- {_listed([f'{name} {version}' for name, version in versions.items()])}.")
    return "## Machine\n\n" + "\n".join(rows) if found else ""


def _listed(words: list[str]) -> str:
    return ", ".join(words)


def all_goals(found: Mapping[str, PartResult]) -> str:
    """Every goal with the measured value."""
    rows = [
        [section.heading, *goals.row(judgement)]
        for section in SECTIONS
        if section.part in found
        for judgement in goals.judgements(found[section.part])
    ]
    return "## Goals\n\n" + tables.table(["part", "figure", "goal", "measured", ""], rows, words=2) if rows else ""


def section_of(section: Section, result: PartResult | None, prose: str | None) -> list[str]:
    """The paragraphs of a part."""
    parts = [f"## {section.heading}", section.words]
    if result is None:
        return [*parts, "Not measured yet.", prose or ""]
    base = f", in turn with {result.base}" if result.base else ""
    rounds = max((len(values) for one in result.subjects.values() for values in one.figures.values()), default=0)
    many = "1 round" if rounds == 1 else f"{rounds} rounds"
    parts.append(f"Measured on {result.measured_on} at {result.commit}{base}: {many}, {result.form}.")
    parts += section.tables(result)
    parts += [f"![{section.heading}](benchmarks/{name})" for name in section.plots]
    parts += [f"- {note}" for note in result.notes]
    return [*parts, prose or ""]


def prose_files(directory: Path = PROSE) -> dict[str, str]:
    """The hand-written texts by name."""
    return {path.stem: path.read_text() for path in sorted(directory.glob("*.md"))}


def saved() -> dict[str, PartResult]:
    """The saved result of each section that has one."""
    return results.load_all(section.part for section in SECTIONS)


def write() -> None:
    """Writes the page and its plots."""
    found = saved()
    PAGE.write_text(page(found, prose_files()))
    for name, svg in plots(found).items():
        (PLOTS / name).write_text(svg)


if __name__ == "__main__":
    write()
    print(f"written: {PAGE}")
