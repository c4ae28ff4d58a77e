"""When flows failed, by their executions."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tests.chaos.alerts import FAILURES, MINIMUM, SHARE, WINDOW_S
from tests.chaos.evidence import Evidence, Execution

FAILED: Final = frozenset({"failed", "timed-out"})

Met = Callable[[int, int], bool]
"""Whether a rule is met by a number of failed executions, and of ended ones, within WINDOW_S."""


def many_failed(failed: int, _: int) -> bool:
    return failed >= FAILURES


def most_failed(failed: int, ended: int) -> bool:
    return ended >= MINIMUM and failed >= SHARE * ended


def ended_by_flow(evidence: Evidence) -> dict[str, list[Execution]]:
    """The executions that have ended, by flow."""
    found: dict[str, list[Execution]] = defaultdict(list)
    for one in evidence.executions:
        if one.ended_at is not None and one.resumed_id is None:
            found[one.flow_id].append(one)
    return found


def windows(ended: Sequence[Execution]) -> Iterator[tuple[datetime, tuple[int, int]]]:
    """Each time at which the numbers of the last WINDOW_S change: that of failed executions, and of ended ones."""
    changes = [(one.ended_at, one.status in FAILED, 1) for one in ended if one.ended_at is not None]
    changes += [(at + timedelta(seconds=WINDOW_S), failed, -1) for at, failed, _ in changes]
    failures = number = 0
    for at, failed, step in sorted(changes):
        failures += step * failed
        number += step
        yield at, (failures, number)


def times_met(ended: Sequence[Execution], is_met: Met) -> Iterator[tuple[datetime, datetime]]:
    """From when to when a rule was met."""
    since: datetime | None = None
    for at, counts in windows(ended):
        if is_met(*counts):
            since = since or at
        elif since is not None:
            yield since, at
            since = None
