"""docs/operations/soak.md is what the recorded results make of it."""

import pytest

from tests.soak.page import FILES, PAGE, RESULTS, page
from tests.soak.plots import PLOTS, plots
from tests.soak.results import load
from tests.soak.test_judgement import growing, results

AGAIN = "`.venv/bin/python -m tests.soak.page` writes it again"


@pytest.mark.skipif(not RESULTS.exists(), reason="no run was recorded yet")
def test_the_page_and_the_plots_in_the_repository_are_up_to_date() -> None:
    recorded = load(RESULTS)
    assert PAGE.read_text() == page(recorded), AGAIN
    assert {path.name: path.read_text() for path in FILES.glob("*.svg")} == plots(recorded), AGAIN


def test_a_series_that_grows_is_on_the_page() -> None:
    text = page(results(memory__ingest=growing(40, 1)))
    assert "- **Breach**: memory/ingest grows by 44 in 45 minutes" in text
    assert "| `memory/ingest` | 62 | 92 | 44 | 2.31 | **too much** |" in text
    assert "not to its end" in text


def test_a_run_without_a_breach_has_none_on_the_page() -> None:
    run = results(files__ingest=[23.0] * 60)
    run.ended = True
    run.check("old rows go", None)
    run.totals["order succeeded"] = 1234
    text = page(run)
    assert "Breach" not in text
    assert "No check was broken, and no series grew." in text
    assert "| old rows go | 1 | 0 |" in text
    assert "- order succeeded: 1,234." in text
    assert "| `files/ingest` | 23 | 23 | 0 | 4 |  |" in text


def test_a_run_that_is_too_short_is_not_called_a_success() -> None:
    run = results()
    run.minutes, run.series = 10, {"files/ingest": [23.0] * 10}
    assert "too short to judge growth" in page(run)
    assert "no series grew" not in page(run)


def test_only_the_indexes_closest_to_their_bound_are_on_the_page() -> None:
    run = results()
    run.series |= {f"index/events.index_{number:02}": growing(10, number / 100) for number in range(20)}
    text = page(run)
    assert "`index/events.index_10`" in text
    assert "`index/events.index_09`" not in text
    assert "Of 20 indexes, the 10 closest" in text


def test_each_plot_has_its_values() -> None:
    run = results()
    run.series |= {f"{plot.start}x": [1.0] * 60 for plot in PLOTS.values() if plot.stores is not True}
    run.series |= {"memory/redis": [5.0, None] * 30, "memory/postgres": [250.0] * 60}
    made = plots(run)
    assert made.keys() == PLOTS.keys()
    assert made["memory-stores.svg"].count("<polyline") == 2
    assert ">postgres<" in made["memory-stores.svg"]
    assert ">postgres<" not in made["memory.svg"]
    assert "20 min" in made["rate.svg"]
    assert "stroke-dasharray" in made["rate.svg"], "the end of the first life cycle"
