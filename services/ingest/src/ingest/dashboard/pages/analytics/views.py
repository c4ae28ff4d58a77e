"""What each view of analytics shows: its charts, and the figures of its list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from filas.models.analytics import Figure

Measure = Literal["count", "success", "times"]
By = Literal["webhook", "flow", "node", "channel", "queue"]


@dataclass(frozen=True, slots=True)
class ChartKind:
    """One chart. `name` is that of its title in the catalogue (`analytics.chart-…`). Several figures are added."""

    name: str
    figures: tuple[Figure, ...]
    measure: Measure


@dataclass(frozen=True, slots=True)
class View:
    """The entries of one kind. `listed` is the figure of their list, `retries` that of its last column. `parameter` is
    that of the API for one of them, `option` that of `filas`. `section` is the section of the entry's own page."""

    listed: Figure
    retries: Figure
    parameter: str
    option: str
    section: str
    charts: tuple[ChartKind, ...]


OVERVIEW: Final = (
    ChartKind("received", ("received",), "count"),
    ChartKind("success", ("executions",), "success"),
    ChartKind("latency", ("latency",), "times"),
    ChartKind("retries", ("flow-retries", "channel-retries"), "count"),
)

VIEWS: Final[Mapping[By, View]] = {
    "webhook": View(
        "events", "webhook-retries", "webhookId", "--webhook", "webhooks",
        (
            ChartKind("events", ("events",), "count"),
            ChartKind("events-success", ("events",), "success"),
            ChartKind("latency", ("latency",), "times"),
            ChartKind("retries", ("webhook-retries",), "count"),
        ),
    ),
    "flow": View(
        "executions", "flow-retries", "flowId", "--flow", "flows",
        (
            ChartKind("executions", ("executions",), "count"),
            ChartKind("success", ("executions",), "success"),
            ChartKind("execution-time", ("executions",), "times"),
            ChartKind("retries", ("flow-retries",), "count"),
        ),
    ),
    "node": View(
        "nodes", "node-retries", "flowId", "--flow", "flows",
        (
            ChartKind("steps", ("nodes",), "count"),
            ChartKind("steps-success", ("nodes",), "success"),
            ChartKind("step-time", ("nodes",), "times"),
            ChartKind("retries", ("node-retries",), "count"),
        ),
    ),
    "channel": View(
        "deliveries", "channel-retries", "channelId", "--channel", "channels",
        (
            ChartKind("deliveries", ("deliveries",), "count"),
            ChartKind("deliveries-success", ("deliveries",), "success"),
            ChartKind("delivery-time", ("deliveries",), "times"),
            ChartKind("retries", ("channel-retries",), "count"),
        ),
    ),
    "queue": View(
        "queue-total", "queue-retries", "queue", "--queue", "queues",
        (
            ChartKind("jobs", ("queue-total",), "count"),
            ChartKind("queue-time", ("queue-total",), "times"),
            ChartKind("queue-wait", ("queue-wait",), "times"),
            ChartKind("retries", ("queue-retries",), "count"),
        ),
    ),
}  # fmt: skip

RANKED: Final[tuple[tuple[By, str], ...]] = (
    ("node", "failures"),
    ("channel", "failures"),
    ("node", "slowest"),
    ("channel", "slowest"),
)
"""The short lists of the overview: what is listed, and in which order of the API."""
