"""Grafana's dashboards: their files are those of their definitions, and ask for what there is."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.deploy.dashboard_model import WIDTH, Dashboard, Panel, rendered
from tests.deploy.dashboards import DASHBOARDS, DIRECTORY
from tests.deploy.promtool import DEPLOY
from tests.deploy.test_monitoring_rules import RECORDED
from tests.reference.metrics import metrics_in, ours, series_names

UNITS = {"short", "s", "ops", "reqps", "percentunit", "bytes"}
PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
PROVISIONING = DEPLOY / "grafana" / "provisioning"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_the_file_is_that_of_the_definition(dashboard: Dashboard) -> None:
    """Grafana's files are those that tests/deploy/dashboards.py describes."""
    path = DIRECTORY / f"{dashboard.uid}.json"
    assert path.read_text() == rendered(dashboard), "run `python -m tests.deploy.dashboards` to write them"


def test_there_are_no_other_files() -> None:
    """Of a dashboard that was renamed, for instance."""
    assert {path.stem for path in DIRECTORY.iterdir()} == {dashboard.uid for dashboard in DASHBOARDS}


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=[f"{one.uid}: {panel.title}" for one, panel in PANELS])
def test_a_panel_is_explained_and_asks_for_what_exists(dashboard: Dashboard, panel: Panel) -> None:
    """A title, a description, a unit that Grafana knows; metrics of ours, the client's, or recorded ones."""
    assert panel.title
    assert panel.description.endswith(".")
    assert panel.unit in UNITS
    assert panel.queries
    for expression in panel.queries:
        assert metrics_in(expression) <= series_names() | RECORDED | {"up", "ALERTS"}, expression
        assert set(re.findall(r"\$(\w+)", expression)) <= {"__rate_interval", "__range"} | {
            variable.name for variable in dashboard.variables
        }


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_a_choice_is_made_of_a_label_that_the_metric_has(dashboard: Dashboard) -> None:
    """Else its list would be empty."""
    for variable in dashboard.variables:
        assert variable.label in ours()[variable.metric]._labelnames
        assert any(f"${variable.name}" in expression for panel in dashboard.panels for expression in panel.queries)


def test_every_metric_is_on_a_dashboard_or_in_a_rule() -> None:
    """What we count is shown somewhere."""
    texts = [expression for _, panel in PANELS for expression in panel.queries]
    rules = (DEPLOY / "prometheus" / "rules").glob("*.yml")
    text = "\n".join(texts + [path.read_text() for path in rules])
    assert {name for name in ours() if name not in text} == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_panels_lie_side_by_side(dashboard: Dashboard) -> None:
    """Within the width, none over another."""
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(rendered(dashboard))["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        cells = {(place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])}
        assert not cells & taken
        taken |= cells


def test_the_provisioning_fits_the_dashboards() -> None:
    """The source of data is one, is the default, and has the address that the compose file gives it."""
    [source] = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["isDefault"], source["url"]) == ("prometheus", True, "http://prometheus:9090")
    [provider] = yaml.safe_load((PROVISIONING / "dashboards" / "filas.yml").read_text())["providers"]
    assert provider["type"] == "file"
