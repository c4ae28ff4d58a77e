"""The saved results of the benchmarks."""

from pathlib import Path

from tests.benchmarks.report import results
from tests.benchmarks.report.machine import cpu_name, version_in
from tests.benchmarks.report.results import Machine, PartResult, Subject, ratio, significant


def test_a_saved_part_is_loaded_as_it_was(tmp_path: Path) -> None:
    """The rounds of each figure are kept in their order, and figures that were not measured are left out."""
    subject = Subject()
    subject.add({"rate": 1234.5678, "p99": None}, [10, 20])
    subject.add({"rate": 2000.0, "p99": 3.0}, [30])
    part = PartResult(
        part="queue", measured_on="2026-11-27", commit="bbbbbbbb", form="60 s", machine=Machine("A CPU", 2, 7.8, "6.1"),
        versions={"Redis": "7.0"}, subjects={"filas": subject}, notes=["arq was left out"],
    )  # fmt: skip
    results.save(part, tmp_path)
    loaded = results.load("queue", tmp_path)
    assert loaded == part
    assert loaded is not None
    assert loaded.subjects["filas"].figures == {"rate": [1234.6, 2000.0], "p99": [3.0]}
    assert loaded.subjects["filas"].intervals == [[10, 20], [30]]
    assert results.load_all(["queue", "search"], tmp_path) == {"queue": part}


def test_medians_and_ratios() -> None:
    subject = Subject({"rate": [3.0, 1.0, 2.0], "p99": [1.0, 2.0]})
    assert subject.median("rate") == 2.0
    assert subject.median("p99") == 1.5
    assert subject.median("memory") is None
    assert ratio(3.0, 1.5) == 2.0
    assert ratio(3.0, None) is None
    assert ratio(3.0, 0.0) is None


def test_a_saved_figure_has_five_significant_digits() -> None:
    assert significant(123456.7) == 123460.0
    assert significant(0.000123456) == 0.00012346


def test_the_machine_is_named_as_the_kernel_names_it() -> None:
    assert cpu_name("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nmodel name\t: AMD EPYC 7B13\n") == "AMD EPYC 7B13"
    assert cpu_name("processor: 0") is None
    assert version_in("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc", "v=") == "7.0.15"
    assert version_in("postgres (PostgreSQL) 18.1", ") ") == "18.1"
