"""Figures over time: their answers, their periods, and the parameters that fit each figure."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from filas.models.analytics import SUBJECTS
from filas.repository.analytics.rollup_builder import RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from tests.ingest.api.serving import Api, fields_of
from tests.shared.repository.rollup_rows import Rows

NOW = datetime.now(UTC).replace(second=0, microsecond=0)


@pytest_asyncio.fixture
async def rows(api: Api) -> AsyncIterator[Rows]:
    """Twelve chains of rows of the last minutes, with their rollups."""
    chance, rows, added = random.Random(1), Rows(), Rows()
    for number in range(12):
        added.chain(chance, NOW - timedelta(seconds=number * 5))
    await rows.write(api.database, added)
    store = RollupStore(api.database, "worker-1", pause_share=0.0)
    assert await RollupBuilder(store).build(NOW, budget_s=60)
    yield rows


def total(rows: Rows, figure: str, subject: str = "*", part: str = "") -> tuple[int, dict[str, int]]:
    """Count and outcomes in all rows."""
    count, outcomes = 0, dict[str, int]()
    for (name, _, one, node, outcome), (number, _, _) in rows.figures("day").items():
        if (name, one, node) == (figure, subject, part):
            count += number
            if outcome:
                outcomes[outcome] = outcomes.get(outcome, 0) + number
    return count, outcomes


def counted(answer: dict[str, Any]) -> tuple[int, dict[str, int]]:
    return answer["count"], answer["outcomes"]


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(
            [
                ("received", {}, ("*", "")),
                ("events", {"webhookId": "shop"}, ("shop", "")),
                ("executions", {"flowId": "welcome"}, ("welcome", "")),
                ("nodes", {"flowId": "orders", "nodeId": "node-1"}, ("orders", "node-1")),
                ("deliveries", {"channelId": "crm"}, ("crm", "")),
                ("latency", {"webhookId": "shop"}, ("shop", "")),
                ("refusals", {}, ("*", "")),
                ("queue-wait", {"queue": "flow"}, ("flow-processing", "")),
                ("queue-total", {"queue": "webhook-processing"}, ("webhook-processing", "")),
            ],
            id="each figure, of all or of one subject",
        )
    ],
)
async def test_a_figure_over_time_adds_up_to_the_rows(
    api: Api, rows: Rows, cases: list[tuple[str, dict[str, str], tuple[str, str]]]
) -> None:
    for figure, params, key in cases:
        answer = (await api.get(f"/analytics/{figure}", params=params)).data
        assert counted(answer["total"]) == total(rows, figure, *key), figure
        assert sum(point["count"] for point in answer["points"]) == answer["total"]["count"] > 0
        assert counted(answer["previous"]) == (0, {})
        assert answer["step"] == "minute"
        assert len(answer["points"]) in (60, 61)
        assert datetime.fromisoformat(answer["builtUntil"]) >= NOW - timedelta(minutes=3)


async def test_the_times_of_a_figure_are_read_from_its_histogram(api: Api, rows: Rows) -> None:
    """In order, and within factor 2 of the exact times."""
    times = (await api.get("/analytics/executions")).data["total"]["times"]
    exact = sorted(
        (one["ended"] - one["started"]).total_seconds() * 1000
        for one in rows.tables["executions"]
        if one["started"] is not None
    )
    assert times["measured"] == len(exact)
    assert times["meanMs"] == pytest.approx(sum(exact) / len(exact), abs=0.1)
    assert times["p50Ms"] <= times["p95Ms"] <= times["p99Ms"]
    assert exact[(len(exact) - 1) // 2] / 2 <= times["p50Ms"] <= exact[len(exact) // 2] * 2
    assert (await api.get("/analytics/received")).data["total"]["times"] == {
        "measured": 0, "meanMs": None, "p50Ms": None, "p95Ms": None, "p99Ms": None,
    }  # fmt: skip


async def test_the_groups_of_each_figure_are_ordered_by_their_counts(api: Api, rows: Rows) -> None:
    for figure in SUBJECTS:
        groups = (await api.get(f"/analytics/{figure}/groups")).data["groups"]
        counts = [group["count"] for group in groups]
        assert counts == sorted(counts, reverse=True) != []
        for group in groups:
            assert counted(group) == total(rows, figure, group["subject"], group["nodeId"] or ""), figure


async def test_groups_are_limited_and_filtered(api: Api, rows: Rows) -> None:
    """The groups of a flow's nodes are those of its heat map."""
    nodes = (await api.get("/analytics/nodes/groups", params={"flowId": "welcome"})).data
    assert {(one["subject"], one["nodeId"]) for one in nodes["groups"]} == {
        ("welcome", "node-1"),
        ("welcome", "node-2"),
    }
    assert nodes["more"] is False
    first = (await api.get("/analytics/nodes/groups", params={"limit": "1"})).data
    assert (len(first["groups"]), first["more"]) == (1, True)


async def test_the_overview_compares_with_the_period_before(api: Api, rows: Rows) -> None:
    answer = (await api.get("/analytics")).data
    assert sorted(answer["figures"]) == ["deliveries", "events", "executions", "latency", "received", "refusals"]
    for figure, one in answer["figures"].items():
        assert counted(one["total"]) == total(rows, figure)
    later = {"since": (NOW + timedelta(minutes=2)).isoformat(), "until": (NOW + timedelta(hours=1)).isoformat()}
    one = (await api.get("/analytics", params=later)).data["figures"]["received"]
    assert one["total"]["count"] == 0
    assert counted(one["previous"]) == total(rows, "received")


async def test_a_longer_period_has_longer_steps(api: Api, rows: Rows) -> None:
    """Every step has every row: minutes, hours and days are built at the same time."""
    for hours, step, points in ((6, "minute", 360), (192, "hour", 192), (90 * 24, "day", 90)):
        since = datetime.now(UTC) - timedelta(hours=hours)
        answer = (await api.get("/analytics/executions", params={"since": since.isoformat()})).data
        assert answer["step"] == step
        assert points <= len(answer["points"]) <= points + 2
        assert counted(answer["total"]) == total(rows, "executions")


WRONG = {
    "executions have no webhook": ("/executions", {"webhookId": "shop"}, "webhookId"),
    "executions have no node": ("/executions", {"nodeId": "a", "flowId": "b"}, "nodeId"),
    "a node without its flow": ("/nodes", {"nodeId": "a"}, "flowId"),
    "groups of one node": ("/nodes/groups", {"nodeId": "a", "flowId": "b"}, "nodeId"),
    "an unknown queue": ("/queue-run", {"queue": "other"}, "queue"),
    "empty": ("", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since"),
    "longer than two years": ("", {"since": "2020-01-02T00:00:00Z"}, "since"),
    "too many points": ("", {"since": "2026-01-02T00:00:00Z", "step": "minute"}, "step"),
    "an unknown step": ("", {"step": "week"}, "step"),
    "no hour before": ("", {"until": "0001-01-01T00:30:00Z"}, "until"),
    "no period before": ("", {"since": "0001-01-01T00:00:00Z", "until": "0001-01-01T01:00:00Z"}, "since"),
    "no end of the hour": ("", {"since": "9999-12-31T23:00:00Z", "until": "9999-12-31T23:59:59Z"}, "since"),
}


async def test_a_wrong_parameter_is_named(api: Api) -> None:
    for case, (path, params, field) in WRONG.items():
        assert fields_of(await api.get(f"/analytics{path}", params=params)) == [field], case


async def test_an_unknown_figure_does_not_exist(api: Api) -> None:
    for path in ("/analytics/speed", "/analytics/speed/groups"):
        assert (await api.get(path)).status == 404


async def test_without_rollups_every_answer_is_empty(api: Api) -> None:
    """Also before the first round of the builder."""
    assert (await api.get("/analytics")).data["builtUntil"] is None
    assert (await api.get("/analytics/queue-run")).data["total"]["count"] == 0
    assert (await api.get("/analytics/nodes/groups")).data["groups"] == []
