"""The figures that Filas reports equal the truth: after a run exactly, during a run within what was possible."""

from collections.abc import Iterator
from typing import Final

from tests.chaos.actions import possible
from tests.chaos.evidence import Evidence
from tests.chaos.figures import jobs_completed

WORKERS: Final = {"webhook": "ingest-worker", "flow": "flow-runner", "notification": "notifier"}
QUEUES: Final = {"webhook": "webhook-processing", "flow": "flow-processing", "notification": "notifications"}


def figures_equal_the_rows(evidence: Evidence) -> Iterator[str]:
    """Analytics, the traffic of the flows, the lists and the overview have the counts of the rows.

    A row that a replay ends a second time counts in both minutes until the first one is built again, 15 minutes later.
    """
    figures = evidence.observed.figures
    if figures is None:
        return
    moved = sum(1 + one.uncertain for one in possible(evidence.actions, "replay-event", "replay-letter"))
    for name in sorted(figures.reported.keys() | figures.true.keys()):
        reported, true = figures.reported.get(name, 0), figures.true.get(name, 0)
        more = 0 if name.startswith(("received", "list", "overview")) else moved
        if not true <= reported <= true + more:
            yield f"{name}: {reported} is reported, {true} is true"


def counters_are_exact_since_redis_was_lost(evidence: Evidence) -> Iterator[str]:
    """The statistics count each job that ended since Redis lost its data, and nothing waits after the run."""
    figures = evidence.observed.figures
    if figures is None:
        return
    for queue, name in QUEUES.items():
        ended = figures.stats[f"{queue} completed"] + figures.stats[f"{queue} failed"]
        if ended < figures.finished[queue]:
            yield f"{name}: {ended} jobs have ended by the statistics, {figures.finished[queue]} rows have"
        if any(one.loses_redis for one in evidence.faults):
            continue
        # A worker that was started again counts from zero.
        completed, counted = figures.stats[f"{queue} completed"], jobs_completed(figures.metrics, name)
        is_complete = not {WORKERS[queue], f"{WORKERS[queue]}-2"} & evidence.observed.restarted
        if completed < counted or (is_complete and completed > counted):
            yield f"{name}: {completed} jobs are completed by the statistics, {counted} by the workers"


def metrics_equal_the_statistics(evidence: Evidence) -> Iterator[str]:
    """The gauges of the queues are those of the statistics, and no counter of a process exceeds the rows."""
    figures = evidence.observed.figures
    if figures is None:
        return
    for name, value in figures.metrics["ingest-admin"].items():
        for queue, full in QUEUES.items():
            for state in ("waiting", "active", "delayed", "failed"):
                gauge = f'filas_queue_jobs{{queue="{full}",state="{state}"}}'
                if name == gauge and value != figures.stats[f"{queue} {state}"]:
                    yield f"{gauge} is {value:g}, {figures.stats[f'{queue} {state}']} in the statistics"
    accepted = figures.metrics["ingest"].get('filas_webhooks_total{outcome="accepted"}', 0.0)
    events = sum(count for name, count in figures.true.items() if name.startswith("received "))
    if accepted > events or ("ingest" not in evidence.observed.restarted and accepted < events):
        yield f"{accepted:g} webhooks are accepted by the metrics, {events} events exist"
