"""Which series are judged, how much each may grow, and what a run has broken."""

from dataclasses import dataclass
from typing import Final

from tests.soak.growth import Bound, Trend, trend
from tests.soak.results import Results

CYCLE_SLACK_MINUTES: Final = 5
"""After the age of retention, so much passes until retention and autovacuum have run with the oldest rows."""

EACH_SESSION: Final = "memory/each session of postgres"

BOUNDS: Final = {
    # The pools of the processes open sessions and close them with the load of the machine.
    "memory/postgres": Bound(0.15, 10),
    "files/postgres": Bound(0.15, 100),
    EACH_SESSION: Bound(0.06, 0.3),
    "memory/": Bound(0.03, 1.5),
    "rss/": Bound(0.03, 2.5),
    "cpu/": Bound(0.25, 1),
    "files/": Bound(0.1, 4),
    "threads/": Bound(0.1, 1),
    "redis/memory": Bound(0.1, 1),
    "redis/keys": Bound(0.1, 20),
    "redis/clients": Bound(0.1, 4),
    "postgres/sessions": Bound(0.1, 4),
    "table/": Bound(0.15, 1),
    "index/": Bound(0.2, 1),
    "rows/": Bound(0.1, 500),
    "dead/": Bound(0.5, 3000),
    "free/": Bound(0.0, 0.15),
    "unfinished/": Bound(0.2, 50),
    "latency/": Bound(1.0, 100),
}
"""By the beginning of the name; the first one counts.

Units: MiB, seconds in a minute, files, threads, keys, clients, rows, shares, ms."""

EXPLAINED: Final = {
    "rollups": "figures by minute are kept for two days, whatever the retention of rows is",
    "refusals": "at most 10,000 are kept, for 7 days",
}
"""Tables that the retention of this run does not bound, and why."""

NOT_JUDGED: Final = {
    "redis/log": "Redis writes its log again when it has doubled, and not before it has 64 MiB",
    "postgres/database": "the sum of the tables and indexes, which are judged one by one",
    "sessions/": "the pools open up to `DATABASE_POOL_SIZE` connections under load",
    "machine/load": "other work on the machine",
    "rate/": "judged by its level",
    "oldest/": "judged by its level at each minute",
}

LOWEST_RATE: Final = 0.97
"""The part of the requested rate that must be accepted after the first life cycle."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A series with its trend and its bound."""

    name: str
    trend: Trend
    bound: Bound

    @property
    def is_broken(self) -> bool:
        """Whether it grows more than allowed."""
        return self.trend.exceeds(self.bound)


def first_minute(results: Results) -> int:
    """The first judged minute: the first life cycle of the rows is over."""
    return int(results.retention_minutes) + CYCLE_SLACK_MINUTES


def explained(name: str) -> str | None:
    """Why a series may grow, if it may."""
    group, _, rest = name.partition("/")
    if group in ("table", "index", "rows", "dead", "free"):
        return EXPLAINED.get(rest.partition(".")[0])
    return next((reason for start, reason in NOT_JUDGED.items() if name.startswith(start)), None)


def derived(results: Results) -> dict[str, list[float | None]]:
    """The series that others add up to: the memory of a session of Postgres."""
    memory, sessions = (results.series.get(name, []) for name in ("memory/postgres", "postgres/sessions"))
    pairs = zip(memory, sessions, strict=False)
    return {EACH_SESSION: [used / number if used and number else None for used, number in pairs]}


def judged(results: Results) -> list[Judged]:
    """Each series that is judged and has enough minutes."""
    found = []
    for name, values in sorted({**results.series, **derived(results)}.items()):
        bound = next((bound for start, bound in BOUNDS.items() if name.startswith(start)), None)
        one = trend(values[first_minute(results) :])
        if bound is not None and one is not None and explained(name) is None:
            found.append(Judged(name, one, bound))
    return found


def breaches(results: Results) -> list[str]:
    """What does not hold, in one line each: series that grow, a rate that is too low, and broken checks."""
    found = [
        f"{one.name} grows by {one.trend.growth:.3g} in {one.trend.minutes} minutes (from {one.trend.first:.4g} to "
        f"{one.trend.last:.4g}); allowed: {one.bound.of(one.trend.median):.3g}"
        for one in judged(results)
        if one.is_broken
    ]
    rates = [one for one in results.series.get("rate/accepted", [])[first_minute(results) :] if one is not None]
    if rates and (rate := sorted(rates)[len(rates) // 2]) < LOWEST_RATE * results.rate:
        found.append(f"rate/accepted is {rate:.4g}, not {results.rate:g} webhooks/s")
    for name, outcome in results.checks.items():
        if outcome.broken:
            found.append(f"{name}: {len(outcome.broken)} times, first: {outcome.broken[0]}")
    return found
