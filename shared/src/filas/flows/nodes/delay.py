"""`delay`: waits for a time, until a time, or for the next moment of a cron expression."""

import datetime
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from filas.flows import locales, value_limits
from filas.flows.nodes.node_data import NodeData
from filas.flows.problems import Add
from filas.flows.timing import intervals, moments
from filas.models.interval import Interval

MILLISECOND = datetime.timedelta(milliseconds=1)


class DelayData(NodeData, frozen=True, kw_only=True):
    """One of `ms`, `every` (an interval), `until` (ISO 8601 or a template) and `cron`; at most 30 days. `timezone`: of
    `cron`, of days and weeks, and of an `until` without an offset (None: the flow's). `end_on_reply`: the next message
    of the conversation ends it early."""

    ms: Annotated[int, Meta(ge=0, le=value_limits.DELAY_MAX_MS)] | None = None
    every: Interval | None = None
    until: str | None = None
    cron: str | None = None
    timezone: str | None = None
    end_on_reply: bool = False

    def templates(self) -> Iterable[tuple[str, object]]:
        yield "until", self.until

    def check(self, add: Add) -> None:
        given = [name for name in ("ms", "every", "until", "cron") if getattr(self, name) is not None]
        if len(given) != 1:
            add("ms" if not given else given[1], "a delay has exactly one of ms, every, until and cron")
        if self.until is not None and "{" not in self.until:
            _check_moment(self.until, add)
        if self.cron is not None:
            problem = moments.cron_problem(self.cron)
            if problem:
                add("cron", problem)
        if self.timezone is not None:
            _check_zone(self.timezone, self.ms is None, add)
        if self.every is not None:
            _check_interval(self.every, add)

    def crons(self) -> Iterable[tuple[str, str, str | None]]:
        if self.cron is not None:
            yield "cron", self.cron, self.timezone

    def waits_ms(self) -> Iterable[tuple[str, int]]:
        if self.ms is not None:
            yield "ms", self.ms
        if self.every is not None:
            yield "every", intervals.length(self.every) // MILLISECOND

    def delay_ms(self) -> int:
        return 0 if self.end_on_reply else sum(ms for _, ms in self.waits_ms())

    def waits(self) -> bool:
        return self.ms != 0


def _check_moment(text: str, add: Add) -> None:
    try:
        moments.parse_moment(text)
    except ValueError as error:
        add("until", f"{error}, and not a template")


def _check_interval(interval: Interval, add: Add) -> None:
    if problem := intervals.interval_problem(interval):
        add("every", problem)
    elif intervals.length(interval) // MILLISECOND > value_limits.DELAY_MAX_MS:
        add("every", "is longer than 30 days")


def _check_zone(name: str, is_used: bool, add: Add) -> None:
    if not is_used:
        add("timezone", "is allowed only with until, cron and every")
    if problem := locales.zone_problem(name):
        add("timezone", problem)
