"""Each alert fires when it should and not otherwise, names metrics that exist, and has a section in the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.alert_cases import CASES
from tests.deploy.promtool import DEPLOY, PROMETHEUS, ROOT, RULES, needs_prometheus, promtool
from tests.reference.metrics import metrics_in, series_names

RECORDING = PROMETHEUS / "rules" / "recording.yml"
RUNBOOK = PROMETHEUS / "runbook.md"
PARTS = ("**Means.**", "**Look at.**", "**Do.**")


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of every file."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def sections() -> dict[str, str]:
    """The runbook's sections by the anchors that their headings get."""
    found = re.split(r"^### (\w+)\n", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return {name.lower(): text for name, text in zip(found[::2], found[1::2], strict=True)}


@pytest.mark.starts_processes
@needs_prometheus
def test_the_configuration_is_one() -> None:
    """As promtool sees it, with every file of rules."""
    printed = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert f"{len(RULES)} rule files found" in printed
    assert "FAILED" not in printed


@pytest.mark.starts_processes
@needs_prometheus
def test_the_configuration_for_kubernetes_is_one(tmp_path: Path) -> None:
    """Debian's Prometheus finds no pods, so the place where it finds them is another; the rest is checked as it is."""
    document = yaml.safe_load((PROMETHEUS / "prometheus-kubernetes.yml").read_text())
    [job] = document["scrape_configs"]
    assert [found["role"] for found in job.pop("kubernetes_sd_configs")] == ["pod"]
    job["static_configs"] = [{"targets": ["localhost:8081"]}]
    document["rule_files"] = [str(path) for path in RULES]
    changed = tmp_path / "prometheus.yml"
    changed.write_text(yaml.safe_dump(document))
    promtool("check", "config", str(changed))
    kept = re.compile(job["relabel_configs"][0]["regex"])
    compose = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    ours = [one for one in compose if one["job_name"] != "prometheus"]
    assert all(kept.fullmatch(one["job_name"]) for one in ours)
    ports = re.compile(job["relabel_configs"][2]["regex"])
    assert all(ports.fullmatch(str(one["dns_sd_configs"][0]["port"])) for one in ours)


def test_every_scraped_name_is_a_service_of_the_compose_file() -> None:
    """At the port of its private listener."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]:
        for discovery in job.get("dns_sd_configs", []):
            assert set(discovery["names"]) <= set(services)


def test_every_rule_asks_for_metrics_that_exist() -> None:
    """Of ours, of the Python client's, of Prometheus's own, or recorded by another rule."""
    known = series_names() | RECORDED | {"up"}
    for rule in rules():
        assert metrics_in(rule["expr"]) <= known, rule.get("alert") or rule["record"]


def test_every_recorded_series_is_used() -> None:
    """Each recorded series is read by an alert or a dashboard."""
    texts = "\n".join(rule["expr"] for rule in rules())
    texts += "\n".join(path.read_text() for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"))
    assert {name for name in RECORDED if name not in texts} == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_description_and_a_section_of_the_runbook(name: str) -> None:
    """A severity, a summary, a description, and a section of the runbook with its three parts."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    path, anchor = rule["annotations"]["runbook_url"].split("#")
    assert ROOT / path == RUNBOOK
    assert anchor == name.lower()
    section = sections()[anchor]
    assert all(part in section for part in PARTS), section


def test_the_runbook_has_no_section_without_an_alert() -> None:
    """Nor two of one name."""
    headings = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


def test_every_alert_has_its_cases() -> None:
    """Series under which it fires, and series under which it doesn't."""
    assert CASES.keys() == ALERTS.keys()
    assert all(case.firing and case.quiet for case in CASES.values())


def files_of(alert: str) -> list[str]:
    """The file of the alert and the file of the recorded series. promtool evaluates each rule that it reads."""
    return [str(path) for path in RULES if path == RECORDING or f"alert: {alert}\n" in path.read_text()]


def unit_test(name: str, series: dict[str, str], minutes: int, fires: bool) -> dict[str, Any]:
    """One of promtool's tests: whether the alert is firing after so many minutes."""
    expression = f'clamp_max(count(ALERTS{{alertname="{name}",alertstate="firing"}}), 1) or vector(0)'
    wanted = [{"labels": "{}", "value": int(fires)}]
    return {
        "name": f"{name} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": f"{minutes}m", "exp_samples": wanted}],
    }


@pytest.mark.starts_processes
@needs_prometheus
@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(name: str, tmp_path: Path) -> None:
    """As promtool evaluates the rules, minute by minute."""
    case = CASES[name]
    tests = [unit_test(name, series, case.minutes, True) for series in case.firing]
    tests += [unit_test(name, series, case.minutes, False) for series in case.quiet]
    document = {"rule_files": files_of(name), "evaluation_interval": "1m", "tests": tests}
    written = tmp_path / "alerts.yml"
    written.write_text(yaml.safe_dump(document))
    promtool("test", "rules", str(written))
