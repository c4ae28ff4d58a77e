"""Figures over time: their answers, their periods, and the parameters that fit each figure."""

import csv
import io
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from filas.contract.identity import new_id
from filas.models.analytics import SUBJECTS, bucket_of
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


async def test_groups_are_ordered_by_failures_and_by_mean_time(api: Api, rows: Rows) -> None:
    """Only those with a failure, and only those with a time."""
    for figure in ("nodes", "executions", "deliveries"):
        groups = (await api.get(f"/analytics/{figure}/groups")).data["groups"]
        failing = (await api.get(f"/analytics/{figure}/groups", params={"order": "failures"})).data["groups"]
        failures = [sum(one["outcomes"].get(name, 0) for name in ("failed", "timed-out")) for one in failing]
        assert failures == sorted(failures, reverse=True), figure
        assert min(failures) > 0, figure
        assert sum(failures) == sum(one["outcomes"].get(n, 0) for one in groups for n in ("failed", "timed-out"))
        slow = (await api.get(f"/analytics/{figure}/groups", params={"order": "slowest"})).data["groups"]
        means = [one["times"]["meanMs"] for one in slow]
        assert means == sorted(means, reverse=True), figure
        assert len(means) == len(groups), figure
    assert (await api.get("/analytics/received/groups", params={"order": "slowest"})).data["groups"] == []
    nodes = {"order": "slowest", "flowId": "welcome"}
    of_flow = (await api.get("/analytics/nodes/groups", params=nodes)).data["groups"]
    assert {one["subject"] for one in of_flow} == {"welcome"}


async def test_a_period_is_compared_with_the_one_before(api: Api, rows: Rows) -> None:
    """By point and by subject."""
    until = NOW + timedelta(minutes=2)
    later = {"since": until.isoformat(), "until": (until + timedelta(hours=1)).isoformat()}
    one = (await api.get("/analytics/executions", params=later | {"previous": "true"})).data
    assert len(one["previousPoints"]) == len(one["points"]) == 60
    assert sum(point["count"] for point in one["previousPoints"]) == total(rows, "executions")[0]
    assert one["previousPoints"][-1]["at"] < one["points"][0]["at"]
    assert counted(one["previous"]) == total(rows, "executions")
    assert (await api.get("/analytics/executions", params=later)).data["previousPoints"] is None
    # The minutes overlap: the earlier half of the rows is in the period before.
    middle = NOW - timedelta(minutes=1)
    half = {"since": middle.isoformat(), "until": (middle + timedelta(minutes=60)).isoformat()}
    groups = (await api.get("/analytics/received/groups", params=half)).data["groups"]
    present = sum(group["count"] for group in groups)
    assert present == sum(1 for event in rows.tables["events"] if event["received"] >= middle)
    for group in groups:
        earlier = [
            event for event in rows.tables["events"]
            if event["webhook"] == group["subject"] and event["received"] < middle
        ]  # fmt: skip
        assert group["previousCount"] == len(earlier)


async def test_a_figure_is_exported_as_csv(api: Api, rows: Rows) -> None:
    """The table has the same figures as the JSON."""
    for path in ("/analytics/executions", "/analytics/nodes/groups"):
        answer = await api.get(path, params={"format": "csv"})
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        table = list(csv.DictReader(io.StringIO(answer.text)))
        data = (await api.get(path)).data
        found = data.get("groups") or data["points"]
        assert abs(len(table) - len(found)) <= 1  # a minute may begin between the two
        assert sum(int(row["count"]) for row in table) == sum(one["count"] for one in found) > 0
        failed = sum(one["outcomes"].get("failed", 0) for one in found)
        assert sum(int(row["failed"]) for row in table) == failed


async def test_a_cell_of_a_table_is_no_formula(api: Api) -> None:
    """Whatever the reason of a refusal or the id of a node is."""
    hostile = ['=HYPERLINK("http://evil")', "+1", "-1", "@SUM(A1)", "\t=1", 'a"b,c']
    at = NOW - timedelta(minutes=1)
    statement = """
    insert into rollups (resolution, figure, at, subject, part, outcome, count, sum_ms)
    values ('minute', 'nodes', $1, 'flow', $2, 'failed', 1, 0)"""
    for name in hostile:
        await api.database.fetch(statement, at, name)
    answer = await api.get("/analytics/nodes/groups", params={"format": "csv"})
    cells = {row["node"] for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
    assert cells == {*(f"'{name}" for name in hostile[:-1]), hostile[-1]}


async def test_rows_at_the_ends_of_a_day_are_in_their_day(api: Api) -> None:
    """In UTC, to the microsecond; the present day, hour and minute are built as far as they are over."""
    today = bucket_of("day", NOW)
    moments = [today - timedelta(days=2), today - timedelta(days=1, microseconds=1), today - timedelta(days=1),
               today - timedelta(microseconds=1), today, max(today, NOW - timedelta(seconds=1))]  # fmt: skip
    moments = [moment for moment in moments if moment < NOW]
    rows, added = Rows(), Rows()
    for moment in moments:
        added.tables["refusals"].append({"id": new_id(), "received": moment, "webhook": "shop", "reason": "signature"})
    await rows.write(api.database, added)
    store = RollupStore(api.database, "worker-1", pause_share=0.0)
    assert await RollupBuilder(store).build(NOW, budget_s=60)
    params = {"since": (today - timedelta(days=2)).isoformat(), "until": (today + timedelta(days=1)).isoformat()}
    days = (await api.get("/analytics/refusals", params=params | {"step": "day"})).data["points"]
    expected = [sum(bucket_of("day", moment) == today - timedelta(days=age) for moment in moments) for age in (2, 1, 0)]
    assert [point["count"] for point in days] == expected
    assert expected[:2] == [2, 2]
    hours = (await api.get("/analytics/refusals", params=params | {"step": "hour"})).data["points"]
    by_hour = {datetime.fromisoformat(point["at"]): point["count"] for point in hours if point["count"]}
    assert by_hour == dict(Counter(bucket_of("hour", moment) for moment in moments))


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
    assert sorted(answer["figures"]) == [
        "channel-retries", "deliveries", "events", "executions", "flow-retries", "latency", "received", "refusals",
        "webhook-retries",
    ]  # fmt: skip
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
