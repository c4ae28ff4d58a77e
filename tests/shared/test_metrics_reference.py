"""The reference of metrics knows every metric and the processes that set it."""

import pytest

from tests.reference.metrics import SET_BY, metrics_in, ours, table


def test_the_table_has_every_metric() -> None:
    """Every metric has one row with its type and meaning."""
    rows = {line.split("`")[1]: line for line in table().splitlines() if line.startswith("| `")}
    assert all(f"{metric._documentation} |" in rows[name] for name, metric in ours().items())
    assert all(f" {metric._type} " in rows[name] for name, metric in ours().items())


def test_every_metric_has_its_processes() -> None:
    """tests/reference/metrics.py lists the processes of each metric."""
    assert SET_BY.keys() == ours().keys()


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (queue) (rate(a_total{outcome=~"x|y"}[5m])) > 0', {"a_total"}),
        ("max_over_time(q:b:max[1h:1m]) unless on (queue) c == 1", {"q:b:max", "c"}),
        ("histogram_quantile(0.99, sum by (le, job) (rate(d_bucket[$__rate_interval])))", {"d_bucket"}),
        ("1024 * 1e9 - g / on () group_left () h", {"g", "h"}),
    ],
)
def test_the_names_in_an_expression_are_found(expression: str, names: set[str]) -> None:
    """Neither functions, labels and words of the language, nor durations and numbers."""
    assert metrics_in(expression) == names
