"""The tables of docs/operations/scale.md, made from the costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks.simulation.costs import ADMIN, STAGES, Costs
from tests.benchmarks.simulation.model import Layout, Model, bound
from tests.benchmarks.trees import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "operations" / "scale.md"
RATES: Final = (1_000, 10_000, 100_000)
FULL: Final = 0.7
"""How busy a part may be in the long run: a load has peaks."""

STORE_CORES: Final = 16
SIMULATED_S: Final = 4.0
WARM_UP_S: Final = 2.0
QUEUES: Final = 3
MIB: Final = 1024 * 1024
DAY_S: Final = 86_400

Figures = Mapping[str, float]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown. The columns after the first are numbers."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def of_a_webhook(costs: Costs) -> str:
    """What each part pays for a webhook: in a batch of its own, and as measured with 200 senders."""
    rows = [
        [
            name if name in ("postgres", "redis") else f"`{name}`",
            f"{costs.alone_s(name) * 1000:.2f}",
            f"{costs.loaded_s(name) * 1000:.2f}",
        ]
        for name in (*STAGES, ADMIN, "postgres", "redis")
    ]
    return table(["CPU ms of a webhook", "in a batch of its own", "with 200 senders"], rows)


def whole_cell(costs: Costs) -> tuple[float, str]:
    """The rate of an installation with one Redis and one Postgres of STORE_CORES cores, and what limits it."""
    limits = {
        "Redis": FULL / costs.loaded_s("redis"),
        "Postgres": FULL * STORE_CORES / costs.loaded_s("postgres"),
    }
    slowest = min(limits, key=lambda name: limits[name])
    return limits[slowest], slowest


def needed(costs: Costs) -> str:
    """What each rate needs."""
    rows = []
    for rate in RATES:
        processes = {name: math.ceil(rate * costs.loaded_s(name) / FULL) for name in STAGES}
        rows.append(
            [
                f"{rate:,}/s",
                *(f"{processes[name]:,}" for name in STAGES),
                f"{rate * costs.loaded_s('postgres') / FULL:,.1f}",
                f"{rate * costs.loaded_s('redis') / FULL:,.1f}",
                f"{rate * costs.wal_bytes / MIB:,.0f}",
                f"{math.ceil(rate / whole_cell(costs)[0]):,}",
            ]
        )
    head = ["webhooks", *(f"`{name}`" for name in STAGES), "Postgres, cores", "Redis, cores", "WAL, MiB/s", "cells"]
    return table(head, rows)


def layouts(rate: int, costs: Costs) -> Iterator[tuple[str, Layout]]:
    """The steps from one machine to an installation that is as large as one Redis allows."""
    yield "one machine with 2 cores, one of each process", Layout(arrivals=rate)
    many = {name: max(1, math.ceil(rate * costs.loaded_s(name) / FULL)) for name in STAGES}
    workers = float(sum(many.values()) + 2)
    yield (
        "processes and stores on one machine with 16 cores",
        Layout(machines={"machine": 16}, arrivals=rate, copies=many),
    )
    yield (
        "stores on machines of their own",
        Layout(
            machines={"workers": workers, "postgres": STORE_CORES, "redis": 1},
            places={"postgres": "postgres", "redis": "redis"},
            arrivals=rate,
            copies=many,
        ),
    )


def predicted(costs: Costs, rate: int) -> str:
    """What the simulation predicts for a rate."""
    rows = []
    for title, layout in layouts(rate, costs):
        found = Model(costs, layout).run(SIMULATED_S, WARM_UP_S)
        most, slowest = bound(costs, layout)
        keeps_up = found.rate > 0.95 * rate
        first = "none" if keeps_up and not found.saturated else f"{slowest.removesuffix(' of machine')}"
        latency = f"{found.latency_s * 1000:,.0f}" if keeps_up else "grows"
        rows.append([title, f"{most:,.0f}", "yes" if keeps_up else "no", first, latency])
    return table([f"{rate:,} webhooks/s", "at most, webhooks/s", "keeps up", "full first", "mean, ms"], rows)


def measured_and_predicted(costs: Costs, runs: Mapping[str, tuple[Figures, Layout]]) -> tuple[str, float]:
    """The measured and the predicted rates, and the largest difference as a part of the measured rate."""
    rows, largest = [], 0.0
    for title, (figures, layout) in runs.items():
        rate = Model(costs, layout).run(20.0, 5.0).rate
        difference = rate / figures["flows/s"] - 1
        largest = max(largest, abs(difference))
        rows.append([title, f"{figures['flows/s']:,.0f}", f"{rate:,.0f}", f"{difference * 100:+.0f} %"])
    return table(["2 cores, all parts", "measured, flows/s", "predicted", "difference"], rows), largest


def replace(page: Path, tables: Mapping[str, str]) -> None:
    """Writes the tables between their marks in the page."""
    text = page.read_text()
    for name, rows in tables.items():
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end: {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{page} has no place for the table {name}")
        text = f"{before}{begin}{rows}\n{end}{after}"
    page.write_text(text)
