"""The plots of the page: their files, and what each shows."""

import statistics
from collections.abc import Mapping, Sequence

from tests.benchmarks.report.goals import CLOSED, CLOSED_WITHOUT, OPEN
from tests.benchmarks.report.results import PartResult, Subject
from tests.benchmarks.report.svg import Bar, bars, lines

STEP_S = 10
PROCESSES = ("ingest", "ingest-admin", "ingest-worker", "flow-runner", "notifier", "postgres", "redis")
MIB = 2**20


def plots(results: Mapping[str, PartResult]) -> dict[str, str]:
    """The SVG of each plot whose part was measured, by the name of its file."""
    found: dict[str, str] = {}
    if "whole-way" in results:
        found |= _whole_way(results["whole-way"])
    if "receiving" in results:
        rates = _bars_of(results["receiving"], "rate")
        found["receiving.svg"] = bars("Requests received", "requests/s", rates)
    if "queue" in results:
        queue = results["queue"]
        rows = [
            Bar(f"{name}, {words}", [value])
            for figure, words in (("process", "results off"), ("process_results", "results kept"))
            for name, subject in queue.subjects.items()
            if (value := subject.median(figure)) is not None
        ]
        found["queue.svg"] = bars("Jobs processed by one worker", "jobs/s", rows)
    if "price" in results:
        found["price.svg"] = bars(
            "CPU of all processes and stores", "ms for a webhook or a flow", _bars_of(results["price"], "cpu")
        )
    return found


def _whole_way(result: PartResult) -> dict[str, str]:
    series, rates, costs = dict[str, Sequence[float]](), list[Bar](), list[Bar]()
    for name in dict.fromkeys([CLOSED, CLOSED_WITHOUT, OPEN, *result.subjects]):
        for commit, subjects in ((result.commit, result.subjects), (result.base, result.base_subjects)):
            subject = subjects.get(name)
            rate = None if subject is None else subject.median("rate")
            if subject is None or rate is None or commit is None:
                continue
            label = f"{name}, {commit}" if result.base else name
            rates.append(Bar(label, [rate]))
            costs.append(Bar(label, [subject.median(f"cpu {process}") or 0.0 for process in PROCESSES]))
            if name in (CLOSED, OPEN):
                series[label] = middle(subject)
    return {
        "whole-way.svg": bars("Finished flows", "flows/s", rates),
        "whole-way-cpu.svg": bars("CPU of a flow", "ms", costs, PROCESSES),
        "whole-way-time.svg": lines("Finished flows over time", "flows/s", series, STEP_S),
    }


def middle(subject: Subject) -> list[float]:
    """The median over the rounds of each interval that all rounds have."""
    return [statistics.median(values) for values in zip(*subject.intervals, strict=False)]


def _bars_of(result: PartResult, figure: str) -> list[Bar]:
    medians = {name: subject.median(figure) for name, subject in result.subjects.items()}
    return [Bar(name, [value]) for name, value in medians.items() if value is not None]
