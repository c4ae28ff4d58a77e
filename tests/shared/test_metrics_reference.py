"""deploy/prometheus/METRICS.md lists every metric, as it is declared."""

import pytest

from tests.shared.metrics_reference import BEGIN, END, REFERENCE, SET_BY, metrics_in, ours, table


def test_the_table_is_that_of_the_declarations() -> None:
    """Every metric with its type, labels and meaning, and no other."""
    text = REFERENCE.read_text()
    found = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert found == table(), "run `python -m tests.shared.metrics_reference` to write the table anew"


def test_every_metric_has_its_processes() -> None:
    """In tests/shared/metrics_reference.py, where the declaration can't say it."""
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
