"""The metrics: names, help texts and labels follow the rules of the project."""

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from filas.observability import metrics

OURS = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
LABELS = {
    "misfire",
    "queue",
    "function",
    "outcome",
    "state",
    "table",
    "status",
    "type",
    "store",
    "listener",
    "reason",
    "change",
    "kind",
    "flow",
    "error",
}


@pytest.mark.parametrize("metric", OURS, ids=[metric._name for metric in OURS])
def test_each_metric_has_a_standard_name_a_help_text_and_few_labels(metric: MetricWrapperBase) -> None:
    name = metric._name + ("_total" if isinstance(metric, Counter) else "")
    assert re.fullmatch(r"filas_[a-z]+(_[a-z]+)*", name)
    assert metric._documentation
    assert set(metric._labelnames) <= LABELS
    assert isinstance(metric, Counter | Gauge | Histogram)
    if isinstance(metric, Histogram):
        assert name.endswith(("_seconds", "_size"))


def test_the_registry_has_all_metrics_and_is_not_the_default_registry() -> None:
    text = generate_latest(metrics.REGISTRY).decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {metric._name for metric in OURS} <= names
    assert "process_resident_memory_bytes" in names
