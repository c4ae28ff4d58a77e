"""Measures the costs of the parts, and predicts the rates of other layouts.

    python -m tests.benchmarks.simulation [--only NAME …] [--warm-up S] [--seconds S] [--rounds N] [--add] [--page]

Measures the whole way with a message on this machine: without load, with one sender, with 200, and with two of each
worker. The first three give the costs; the other ones show how good the predictions are.
`--page` measures nothing: it writes the tables of docs/operations/scale.md from the saved results.
"""

import argparse
import asyncio
import statistics
from typing import Final

from filas.observability import logs
from tests.benchmarks.closed_loop import ClosedLoop, Load
from tests.benchmarks.flows.definitions import with_message
from tests.benchmarks.flows.end_to_end import DATABASE, servers
from tests.benchmarks.report import results
from tests.benchmarks.report.results import PartResult
from tests.benchmarks.rounds import add_options, recording
from tests.benchmarks.simulation import tables
from tests.benchmarks.simulation.costs import STAGES, Costs, calibrated
from tests.benchmarks.simulation.model import Layout, Model
from tests.benchmarks.trees import this_tree

PART: Final = "scale"
IDLE, ONE, MANY, FEW = "no sender", "1 sender", "200 senders", "32 senders"
TWO: Final = "200 senders, two of each worker"
FITTINGS: Final = 3
WORKERS: Final = tuple(name for name in STAGES if name != "ingest")
SENDERS: Final = {IDLE: 0, ONE: 1, MANY: 200, FEW: 32, TWO: 200}


def layout_of(run: str, cores: float) -> Layout:
    """The layout of a run on this machine."""
    copies = dict.fromkeys(WORKERS, 2) if run == TWO else {}
    return Layout(machines={"machine": cores}, senders=SENDERS[run], copies=copies)


def fitted_cores(costs: Costs, cores: int, rate: float) -> float:
    """How many cores give the measured rate of the run MANY. It differs from the cores that were free by what the model
    leaves out, such as batches of other sizes."""
    free = cores - costs.idle_cores - costs.other_cores
    fitted = free
    for _ in range(FITTINGS):
        fitted *= rate / Model(costs, layout_of(MANY, fitted)).run(20.0, 5.0).rate
    print(f"{free:.2f} cores were free; the model needs {fitted:.2f} for the measured rate")
    return fitted


def measure(load: Load) -> dict[str, float]:
    """The figures of a run on new servers."""
    with servers(this_tree()) as (postgres, redis, home):
        return asyncio.run(ClosedLoop(postgres, redis, DATABASE, home).measure(with_message, load))


def medians(result: PartResult, run: str) -> dict[str, float]:
    """The median of each figure of a run. Ends the program if it was not measured."""
    subject = result.subjects.get(run)
    if subject is None:
        raise SystemExit(f"{run!r} was not measured")
    return {name: statistics.median(values) for name, values in subject.figures.items()}


def write_page(result: PartResult) -> None:
    """Writes the tables of the page."""
    costs = calibrated(*(medians(result, run) for run in (IDLE, ONE, MANY)))
    cores = fitted_cores(costs, result.machine.cores, medians(result, MANY)["flows/s"])
    runs = {
        run: (medians(result, run), layout_of(run, cores))
        for run, senders in SENDERS.items()
        if senders and run in result.subjects
    }
    checked, largest = tables.measured_and_predicted(costs, runs)
    tables.replace(
        tables.PAGE,
        {
            "cost": tables.of_a_webhook(costs),
            "checked": checked,
            "needed": tables.needed(costs),
        }
        | {str(rate): tables.predicted(costs, rate) for rate in tables.RATES[:2]},
    )
    print(f"{tables.PAGE}: the largest difference is {largest * 100:.0f} %")


def main() -> None:
    """Measures, saves and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.simulation", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(SENDERS), default=list(SENDERS))
    parser.add_argument("--page", action="store_true", help="measure nothing, and write the tables of the page")
    add_options(parser)
    options = parser.parse_args()
    if options.page:
        result = results.load(PART, options.results)
        if result is None:
            raise SystemExit(f"{options.results} has no results: measure first")
        write_page(result)
        return
    logs.configure("warning", "console", "bench")
    with recording(PART, options) as (recorder, trees, length):
        for _ in range(length.rounds):
            for run in options.only:
                load = Load(
                    senders=SENDERS[run], warm_up_s=length.warm_up_s, seconds=length.seconds,
                    twice=WORKERS if run == TWO else (),
                )  # fmt: skip
                recorder.add(trees[0], run, measure(load))


if __name__ == "__main__":
    main()
