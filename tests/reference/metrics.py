"""The table of all metrics, made from their declarations in `filas.observability.metrics`.

A declaration does not show which processes set the metric. SET_BY lists them, and
`tests/deploy/test_monitoring_live.py` compares the list with running processes.
"""

import re

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from filas.observability import metrics
from tests.process_table import PROCESSES, WORKERS

_ALL = tuple(PROCESSES)
_INGEST, _ADMIN, _RUNNER, _NOTIFIER = ("ingest",), ("ingest-admin",), ("flow-runner",), ("notifier",)

SET_BY: dict[str, tuple[str, ...]] = {
    "filas_jobs_total": WORKERS,
    "filas_job_wait_seconds": WORKERS,
    "filas_job_run_seconds": WORKERS,
    "filas_jobs_enqueued_total": _ALL,
    "filas_queue_jobs": _ADMIN,
    "filas_search_index_behind_seconds": _ADMIN,
    "filas_queue_oldest_waiting_seconds": _ADMIN,
    "filas_queue_paused": WORKERS,
    "filas_workers": _ADMIN,
    "filas_worker_slots": _ADMIN,
    "filas_leases_lost_total": WORKERS,
    "filas_jobs_newer_version_total": WORKERS,
    "filas_dead_letters_total": WORKERS,
    "filas_relayed_total": WORKERS,
    "filas_webhooks_total": (*_INGEST, *_ADMIN),
    "filas_webhook_duplicates_total": (*_INGEST, *_ADMIN),
    "filas_webhook_seconds": _INGEST,
    "filas_refusals_unrecorded_total": _INGEST,
    "filas_webhook_batch_size": (*_INGEST, *_ADMIN),
    "filas_auth_failures_total": (*_INGEST, *_ADMIN),
    "filas_events_ignored_total": ("ingest-worker",),
    "filas_connections_shed_total": _INGEST,
    "filas_resume_calls_total": _INGEST,
    "filas_executions_total": _RUNNER,
    "filas_executions_failed_total": _RUNNER,
    "filas_steps_total": _RUNNER,
    "filas_fences_lost_total": _RUNNER,
    "filas_schedule_runs_total": _RUNNER,
    "filas_schedule_misfires_total": _RUNNER,
    "filas_schedule_lag_seconds": _RUNNER,
    "filas_notifications_total": _NOTIFIER,
    "filas_notifications_interrupted_total": _NOTIFIER,
    "filas_notification_seconds": _NOTIFIER,
    "filas_alerts_firing": _NOTIFIER,
    "filas_alert_evaluator": _NOTIFIER,
    "filas_notifications_deferred_total": _NOTIFIER,
    "filas_channel_circuits": _NOTIFIER,
    "filas_channel_circuit_changes_total": _NOTIFIER,
    "filas_delivery_statuses_total": _NOTIFIER,
    "filas_outbound_requests_total": ("flow-runner", "notifier"),
    "filas_store_up": _ALL,
    "filas_rows_locked_total": _ALL,
    "filas_store_circuits": _ALL,
    "filas_event_loop_lag_seconds": _ALL,
    "filas_spans_dropped_total": _ALL,
}
"""The processes whose work sets the metric."""

_WORDS = {"and", "or", "unless", "on", "ignoring", "by", "without", "group_left", "group_right", "bool", "offset", "le"}


def ours() -> dict[str, MetricWrapperBase]:
    """Every declared metric by its name in queries."""
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    return {name_of(metric): metric for metric in declared}


def name_of(metric: MetricWrapperBase) -> str:
    """A counter ends in `_total`."""
    return f"{metric._name}_total" if isinstance(metric, Counter) else str(metric._name)


def from_the_client() -> dict[str, str]:
    """The metrics that the Python client adds about the process: name to type."""
    families = {family.name: family for family in metrics.REGISTRY.collect()}
    own = {metric._name for metric in ours().values()}
    return {
        name + ("_total" if family.type == "counter" else ""): family.type
        for name, family in families.items()
        if name not in own
    }


def series_names() -> set[str]:
    """Every name that a query can use."""
    names = set(from_the_client())
    for name, metric in ours().items():
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if isinstance(metric, Histogram) else {name}
    return names


def metrics_in(expression: str) -> set[str]:
    """The names of the series in a PromQL expression."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()", bare)
    return {name for name in found if name not in _WORDS}


def table() -> str:
    """One row for each metric, in the order of declaration; the client's own metrics follow."""
    lines = ["| metric | type | labels | set by | meaning |", "|---|---|---|---|---|"]
    for name, metric in ours().items():
        kind = metric._type
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        setters = "all" if SET_BY[name] == _ALL else ", ".join(SET_BY[name])
        lines.append(f"| `{name}` | {kind} | {labels} | {setters} | {metric._documentation} |")
    for name, kind in from_the_client().items():
        lines.append(f"| `{name}` | {kind} | | all | By the Python client for Prometheus |")
    return "\n".join(lines) + "\n"
