"""The plots of a run: their files, and what each shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.report.svg import lines
from tests.soak.judgement import first_minute
from tests.soak.results import Results

LABEL_EVERY: Final = 10
SHOWN: Final = 8
"""The most lines of one plot: the series with the largest values, or those of the largest tables, are shown."""

STORES: Final = ("redis", "postgres")

Series = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of the series whose names begin with `start`. `stores`: of the two stores, or only of the others; None: of
    all."""

    title: str
    unit: str
    start: str
    stores: bool | None = None


PLOTS: Final = {
    "rate.svg": Plot("Webhooks, and requests that flows and channels sent", "per second", "rate/"),
    "accept.svg": Plot("A webhook until its answer", "ms", "latency/accept"),
    "flow.svg": Plot("An event until its flow ended", "ms", "latency/flow"),
    "api.svg": Plot("Reads of the API", "ms", "latency/API"),
    "memory.svg": Plot("Private memory of each process", "MiB", "memory/", stores=False),
    "memory-stores.svg": Plot("Memory of the stores, without shared memory", "MiB", "memory/", stores=True),
    "cpu.svg": Plot("CPU of each process", "seconds in a minute", "cpu/"),
    "files.svg": Plot("Open files of each process", "files", "files/", stores=False),
    "threads.svg": Plot("Threads of each process", "threads", "threads/", stores=False),
    "redis.svg": Plot("Redis: its data in memory, and its log on disk", "MiB", "redis/"),
    "database.svg": Plot("Postgres: the database", "MiB", "postgres/database"),
    "tables.svg": Plot("Postgres: the largest tables, without indexes", "MiB", "table/"),
    "indexes.svg": Plot("Postgres: the largest indexes", "MiB", "index/"),
    "rows.svg": Plot("Postgres: live rows", "rows", "rows/"),
    "dead.svg": Plot("Postgres: dead rows, which autovacuum removes", "rows", "dead/"),
    "free.svg": Plot("Postgres: free part of each table, an estimate", "part of 1", "free/"),
    "load.svg": Plot("Processes of the whole machine that wanted a core", "processes", "machine/load"),
    "oldest.svg": Plot("The age of the oldest row", "minutes", "oldest/"),
}
"""By the name of the file."""

_OTHER_UNITS: Final = ("redis/keys", "redis/clients")


def plots(results: Results) -> dict[str, str]:
    """The SVG of each plot that has values, by the name of its file."""
    mark = first_minute(results)
    found = {}
    for file, plot in PLOTS.items():
        if series := _series(results, plot):
            found[file] = lines(
                plot.title,
                plot.unit,
                series,
                1,
                time_unit="min",
                label_every=LABEL_EVERY,
                mark=mark if mark < results.minutes else None,
            )
    return found


def _series(results: Results, plot: Plot) -> Series:
    found = {
        name.partition("/")[2] or name: values
        for name, values in results.series.items()
        if name.startswith(plot.start) and name not in _OTHER_UNITS
        and (plot.stores is None or (name.partition("/")[2] in STORES) == plot.stores)
    }  # fmt: skip
    largest = sorted(found, key=lambda name: -_size(results, plot, name))[:SHOWN]
    return {name: values for name, values in found.items() if name in largest}


def _size(results: Results, plot: Plot, name: str) -> float:
    """What a series is ranked by: that of a table by the size of the table, any other by its largest value."""
    of_table = plot.start in ("rows/", "dead/", "free/")
    values = results.series.get(f"table/{name}" if of_table else f"{plot.start.partition('/')[0]}/{name}", [])
    return max((value or 0.0 for value in values), default=0.0)
