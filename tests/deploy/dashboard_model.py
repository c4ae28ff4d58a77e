"""Grafana's dashboards as short Python values, and the JSON that Grafana reads.

The JSON is that of Grafana's dashboard schema version 39 (Grafana 10.4 and newer), with what is not given left to
Grafana's own defaults.
"""

import json
from dataclasses import dataclass, field
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
SIZES = {"stat": (6, 4), "timeseries": (8, 8)}


@dataclass(frozen=True)
class Panel:
    """One picture. `queries`: expression of PromQL to legend (`{{label}}` is that label's value). `unit` is Grafana's
    name of one. `alarm`: from this value on a stat is red."""

    title: str
    description: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"
    stacked: bool = False
    alarm: float | None = None


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of `label` in the series `metric`."""

    name: str
    metric: str
    label: str


@dataclass(frozen=True)
class Dashboard:
    """One page. Its file is named by `uid`."""

    uid: str
    title: str
    description: str
    panels: list[Panel]
    variables: list[Variable] = field(default_factory=list)


def rendered(dashboard: Dashboard) -> str:
    """The file that Grafana reads."""
    document = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["filas"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["filas"], "title": "Filas", "asDropdown": True, "keepTime": True}],
        "templating": {"list": [_data_source(), *map(_variable, dashboard.variables)]},
        "panels": _placed(dashboard.panels),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.label})"
    return {
        "name": variable.name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed(panels: list[Panel]) -> list[dict[str, Any]]:
    """The panels from left to right, a new row where the next one finds no room."""
    found: list[dict[str, Any]] = []
    x = y = row = 0
    for number, panel in enumerate(panels, 1):
        width, height = SIZES[panel.kind]
        if x + width > WIDTH or (row and height != row):
            x, y = 0, y + row
        found.append({"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}, **_panel(panel)})
        x, row = x + width, height
    return found


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        for number, (expression, legend) in enumerate(panel.queries.items())
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.kind == "stat":
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if panel.alarm is not None:
            steps.append({"color": "red", "value": panel.alarm})
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    else:
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never"}
        if panel.stacked:
            defaults["custom"] |= {"fillOpacity": 40, "stacking": {"mode": "normal"}}
        options = {"tooltip": {"mode": "multi", "sort": "desc"}, "legend": {"displayMode": "list"}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }
