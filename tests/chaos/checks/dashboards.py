"""What the open dashboards showed during the run."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from tests.chaos.actions import possible
from tests.chaos.evidence import Evidence
from tests.chaos.schedule import Fault

SILENT_S: Final = 20.0
"""How long a stream may be silent while nothing hits `ingest admin`: a beat follows after 10 s without a change."""

BACK_S: Final = 25.0
"""How long after the end of a fault of `ingest admin` its streams may be silent and its pages may not be answered: it
starts, connects to the stores, and the browser tries again after at most four seconds by then."""

STORE_BACK_S: Final = 15.0
"""How long after the end of a fault of a store a page may be answered with 503, and figures may be marked as out of
date."""

SKEW_S: Final = 1.0
"""How much the clocks of the senders and the dashboards may differ: each begins on its own."""

ADMIN: Final = "ingest-admin"
QUEUES: Final = ("webhook", "flow", "notification")


def streams_come_back(evidence: Evidence) -> Iterator[str]:
    """Each open dashboard hears something at least every SILENT_S, and at most BACK_S after a fault of its process."""
    observed = evidence.observed
    heard: dict[int, list[float]] = defaultdict(list)
    for frame in observed.frames:
        heard[frame.dashboard]  # one that has heard nothing at all is silent too
        if frame.kind != "lost":
            heard[frame.dashboard].append(frame.at_s)
    for dashboard, times in sorted(heard.items()):
        for since, until in zip([0.0, *times], [*times, observed.ended_s], strict=True):
            if until - since > SILENT_S and not _explained(evidence.faults, since, until):
                yield f"dashboard {dashboard} heard nothing from {since:.1f} s to {until:.1f} s"


def figures_are_not_out_of_date_for_long(evidence: Evidence) -> Iterator[str]:
    """The mark of figures that are out of date is gone STORE_BACK_S after the fault of a store."""
    for frame in evidence.observed.frames:
        if frame.missing is not None and not store_explains(evidence.faults, frame.at_s):
            yield f"dashboard {frame.dashboard}: figures of {frame.missing} are out of date at {frame.at_s:.1f} s"


def pages_answer(evidence: Evidence) -> Iterator[str]:
    """Every page and figure is answered; 503 only while a store does not work, no answer only while the process does
    not."""
    for one in evidence.observed.readings:
        if one.answer == "200" or _explained(evidence.faults, one.asked_s, one.asked_s):
            continue
        may_fail = store_explains(evidence.faults, one.asked_s) or store_explains(evidence.faults, one.at_s)
        if one.answer.isdigit() and not (one.answer == "503" and may_fail):
            yield f"{one.path} was answered with {one.answer} at {one.at_s:.1f} s"
        elif not one.answer.isdigit() and not may_fail:
            yield f"{one.path} was not answered at {one.at_s:.1f} s: {one.answer}"


def figures_are_possible(evidence: Evidence) -> Iterator[str]:
    """No figure exceeds what was sent until then, and none goes back unless Redis has lost its data."""
    begun = sorted(at_s for one in evidence.sent for at_s in one.requests)
    replays = sum(1 + one.uncertain for one in possible(evidence.actions, "replay-event", "replay-letter"))
    before: dict[str, tuple[float, float, int]] = {}
    for one in sorted(evidence.observed.readings, key=lambda each: each.asked_s):
        if not one.figures:
            continue
        most = bisect_right(begun, one.at_s + SKEW_S) + replays
        jobs = sum(count for name, count in one.figures.items() if name.startswith("webhook "))
        if jobs > most:
            yield f"{jobs} jobs of webhooks at {one.at_s:.1f} s, of {most} requests and replays"
        for queue in QUEUES:
            name, completed = f"{queue} completed", one.figures[f"{queue} completed"]
            asked_s, at_s, last = before.get(name, (0.0, 0.0, 0))
            if completed < last and at_s <= one.asked_s and not _lost(evidence.faults, asked_s, one.at_s):
                yield f"{name}: {last} at {at_s:.1f} s, and {completed} at {one.at_s:.1f} s"
            if completed >= last or one.asked_s >= at_s:
                before[name] = (one.asked_s, one.at_s, completed)


def _lost(faults: Sequence[Fault], since: float, until: float) -> bool:
    """Whether Redis may have lost its data between two times."""
    return any(one.loses_redis and one.at_s - SKEW_S <= until and since <= one.ends_s + SKEW_S for one in faults)


def _explained(faults: Sequence[Fault], since: float, until: float) -> bool:
    """Whether a fault of `ingest admin` itself explains that it was silent from `since` to `until`: the fault began
    before the silence was too long, and the silence ended in time."""
    return any(
        hits_admin(one) and one.at_s - SKEW_S <= since + SILENT_S and until <= one.ends_s + BACK_S for one in faults
    )


def hits_admin(fault: Fault) -> bool:
    """Whether a fault hits the process itself."""
    return ADMIN in fault.processes


def store_explains(faults: Sequence[Fault], at_s: float) -> bool:
    """Whether a store, or the way of `ingest admin` to it, is hit at a time or was shortly before."""
    near = [one for one in faults if one.at_s - SKEW_S <= at_s <= one.ends_s + STORE_BACK_S]
    return any(one.store is not None or one.target.startswith(f"{ADMIN}/") or hits_admin(one) for one in near)
