"""The results of a run, and its plots."""

from pathlib import Path

from tests.soak.judgement import first_minute
from tests.soak.results import Results, load, save
from tests.soak.test_judgement import results


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "soak" / "results.json"
    run = results()
    run.minutes = 0
    run.series = {}
    run.add({"memory/ingest": 41.123456, "table/events": 0.1, "dead/events": 5, "table/flows": 0.1})
    run.add({"files/ingest": 23, "table/events": 0.5, "index/events.events_pkey": 0.01})
    run.check("old rows go", "minute 2")
    save(run, path)
    found = load(path)
    assert found.series == {
        "memory/ingest": [41.123, None],
        "table/events": [0.1, 0.5],
        "dead/events": [5, None],
        "files/ingest": [None, 23],
        "index/events.events_pkey": [None, 0.01],
    }, "a table that was never large is left out"
    assert (found.minutes, found.ended, found.checks["old rows go"].broken) == (2, False, ["minute 2"])
    assert path.read_text().count("\n") < 60, "a series is one line"
    assert [one.name for one in path.parent.iterdir()] == ["results.json"]


def test_an_empty_run_can_be_written(tmp_path: Path) -> None:
    run = results()
    run.series, run.minutes = {}, 0
    save(run, tmp_path / "results.json")
    assert isinstance(load(tmp_path / "results.json"), Results)
    assert first_minute(run) == 15
