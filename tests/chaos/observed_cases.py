"""What a good run reports, and ways in which each check of it is broken once. Used by `test_checker`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from tests.chaos.dashboards import Frame, Reading
from tests.chaos.evidence import Evidence
from tests.chaos.observed import Figures, Observed
from tests.chaos.schedule import Fault

STATES: Final = ("waiting", "active", "delayed", "completed", "failed")
TRUE: Final = {"received order-messages-a": 4, "executions order succeeded": 1, "edge order start": 1, "overview": 4}
METRICS: Final = {
    "ingest": {'filas_webhooks_total{outcome="accepted"}': 4.0},
    "ingest-admin": {'filas_queue_jobs{queue="flow-processing",state="waiting"}': 0.0},
    "ingest-worker": {'filas_jobs_total{function="a",outcome="completed",queue="webhook-processing"}': 4.0},
    "flow-runner": {'filas_jobs_total{function="b",outcome="completed",queue="flow-processing"}': 5.0},
    "notifier": {'filas_jobs_total{function="c",outcome="completed",queue="notifications"}': 3.0},
}
STATS: Final = {f"{queue} {state}": 0 for queue in ("webhook", "flow", "notification") for state in STATES} | {
    "webhook completed": 4,
    "flow completed": 5,
    "notification completed": 3,
}


def reading(at_s: float, **changes: object) -> Reading:
    values: dict[str, object] = {"path": "/api/queue/stats", "answer": "200", "figures": STATS}
    return Reading(1, at_s, at_s + 0.1, **(values | changes))  # type: ignore[arg-type] # values of several types


def observed() -> Observed:
    """A dashboard that hears a beat every ten seconds, and figures that are true."""
    frames = [Frame(1, 0.5, "opened"), *(Frame(1, at_s, "regions") for at_s in (1.0, 11.0, 21.0, 31.0))]
    return Observed(
        frames=frames,
        readings=[reading(6.0), reading(12.0, path="/dashboard/", figures={}), reading(30.0)],
        ended_s=40.0,
        figures=Figures(TRUE, TRUE, STATS, {"webhook": 4, "flow": 3, "notification": 3}, METRICS),
    )


def _with_figures(evidence: Evidence, **changes: object) -> None:
    figures = evidence.observed.figures
    assert figures is not None
    evidence.observed.figures = replace(figures, **changes)  # type: ignore[arg-type] # as above


def _read(evidence: Evidence, one: Reading) -> None:
    evidence.observed.readings = [*evidence.observed.readings, one]


def _fail_before_the_answer(evidence: Evidence) -> None:
    """The pages are not answered although a fault is long over."""
    evidence.faults = [Fault(1, "kill", "ingest-admin", 1.0, 2.0)]
    _read(evidence, reading(35.0, answer="ClientConnectorError", figures={}))


def _out_of_date(evidence: Evidence) -> None:
    evidence.faults = [Fault(1, "store-kill", "redis", 1.0, 2.0)]
    evidence.observed.frames = [*evidence.observed.frames, Frame(1, 35.0, "regions", "redis")]


def _silent_after_a_fault(evidence: Evidence) -> None:
    evidence.faults = [Fault(1, "kill", "ingest-admin", 1.0, 2.0)]
    evidence.observed.frames = evidence.observed.frames[:2]


BROKEN: Final[Mapping[str, list[Callable[[Evidence], None]]]] = {
    "figures_equal_the_rows": [
        lambda found: _with_figures(found, reported=TRUE | {"overview": 3}),
        lambda found: _with_figures(found, reported={}),
        lambda found: _with_figures(found, reported=TRUE | {"nodes order call failed": 100}),
    ],
    "counters_are_exact_since_redis_was_lost": [
        lambda found: _with_figures(found, finished={"webhook": 5, "flow": 3, "notification": 3}),
        lambda found: _with_figures(found, stats=STATS | {"flow completed": 6}),
        lambda found: _with_figures(found, stats=STATS | {"flow completed": 4}),
    ],
    "metrics_equal_the_statistics": [
        lambda found: _with_figures(found, stats=STATS | {"flow waiting": 1}),
        lambda found: _with_figures(
            found, metrics=METRICS | {"ingest": {'filas_webhooks_total{outcome="accepted"}': 5.0}}
        ),
        lambda found: _with_figures(found, metrics=METRICS | {"ingest": {}}),
    ],
    "streams_come_back": [
        lambda found: setattr(found.observed, "frames", found.observed.frames[:3]),
        lambda found: setattr(found.observed, "frames", [Frame(1, 20.0, "lost"), Frame(2, 39.0, "opened")]),
        _silent_after_a_fault,
    ],
    "figures_are_not_out_of_date_for_long": [_out_of_date],
    "pages_answer": [
        lambda found: _read(found, reading(7.0, answer="500", figures={})),
        lambda found: _read(found, reading(7.0, answer="503", figures={})),
        _fail_before_the_answer,
    ],
    "figures_are_possible": [
        lambda found: _read(found, reading(7.0, figures=STATS | {"webhook waiting": 100})),
        lambda found: _read(found, reading(35.0, figures=STATS | {"flow completed": 4})),
    ],
}
