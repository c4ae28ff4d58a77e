"""Measures the costs of the parts, and predicts the rates of other layouts.

    python -m tests.benchmarks.simulation [--only NAME …] [--seconds S] [--again] [--page]

Measures the whole way with a message on this machine: without load, with one sender, with 200, and with two of each
worker. The first three give the costs; the other ones show how good the predictions are. The results are saved in
docs/benchmarks/results.
`--page` measures nothing: it writes the tables of docs/operations/scale.md from the saved results.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

from filas.observability import logs
from filas.repository import migrate
from filas_local.servers import PostgresServer, RedisServer
from tests.benchmarks import saved_figures
from tests.benchmarks.closed_loop import ClosedLoop, Load, Measured
from tests.benchmarks.flows.definitions import with_message
from tests.benchmarks.saved_figures import Figures
from tests.benchmarks.simulation import tables
from tests.benchmarks.simulation.costs import STAGES, Costs, calibrated
from tests.benchmarks.simulation.model import Layout

PART: Final = "scale"
PAGE: Final = saved_figures.REPOSITORY / "docs" / "operations" / "scale.md"
DATABASE: Final = "bench"
IDLE, ONE, MANY, FEW = "no sender", "1 sender", "200 senders", "32 senders"
TWO: Final = "200 senders, two of each worker"
WORKERS: Final = tuple(name for name in STAGES if name != "ingest")
SENDERS: Final = {IDLE: 0, ONE: 1, MANY: 200, FEW: 32, TWO: 200}
CORES: Final = len(os.sched_getaffinity(0))


def layout_of(name: str, costs: Costs) -> Layout:
    """The layout of a run on this machine. The parts do not have the cores that others used."""
    copies = dict.fromkeys(WORKERS, 2) if name == TWO else {}
    cores = CORES - costs.idle_cores - costs.other_cores
    return Layout(machines={"machine": cores}, senders=SENDERS[name], copies=copies)


def measure(load: Load) -> Measured:
    """The figures of a run on new servers."""
    with tempfile.TemporaryDirectory(prefix="filas-bench-") as name:
        home = Path(name)
        with PostgresServer(home / "postgres") as postgres, RedisServer(home / "redis") as redis:
            postgres.ensure_database(DATABASE)
            asyncio.run(migrate.migrate(postgres.dsn(DATABASE)))
            return asyncio.run(ClosedLoop(postgres, redis, DATABASE, home).measure(with_message, load))


def costs_of(figures: Figures) -> Costs:
    """The costs from the saved runs."""
    return calibrated(*(figures.medians(name) for name in (IDLE, ONE, MANY)))


def write_page(figures: Figures) -> None:
    """Writes the tables of the page."""
    costs = costs_of(figures)
    runs = {
        name: (figures.medians(name), layout_of(name, costs))
        for name, senders in SENDERS.items()
        if senders and name in figures.subjects
    }
    checked, largest = tables.measured_and_predicted(costs, runs)
    tables.replace(
        PAGE,
        {
            "cost": tables.of_a_webhook(costs, figures.medians(MANY)),
            "checked": checked,
            "needed": tables.needed(costs),
        }
        | {str(rate): tables.predicted(costs, rate) for rate in tables.RATES[:2]},
    )
    print(f"{PAGE}: the largest difference is {largest * 100:.0f} %")


def main() -> None:
    """Measures, saves and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.simulation", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(SENDERS), default=list(SENDERS))
    parser.add_argument("--warm-up", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--again", action="store_true", help="drop the earlier rounds of these runs")
    parser.add_argument("--page", action="store_true", help="only write the tables of the page")
    options = parser.parse_args()
    if options.page:
        write_page(saved_figures.read(PART))
        return
    logs.configure("warning", "console", "bench")
    for name in options.only:
        twice = WORKERS if name == TWO else ()
        load = Load(senders=SENDERS[name], warm_up_s=options.warm_up, seconds=options.seconds, twice=twice)
        measured = measure(load).figures()
        figures = saved_figures.load(PART)
        figures.add(name, measured, again=options.again)
        figures.save()
        print(f"{name}: {', '.join(f'{key} {value:,.4g}' for key, value in measured.items())}", flush=True)


if __name__ == "__main__":
    main()
