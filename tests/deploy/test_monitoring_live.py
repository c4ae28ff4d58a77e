"""A real Prometheus over the five processes: every target, rule and query, and who sets which metric."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from filas_local.servers import RedisServer
from tests.deploy.dashboards import DIRECTORY
from tests.deploy.prometheus_server import Prometheus, prometheus
from tests.deploy.promtool import needs_prometheus
from tests.deploy.provoking import NOT_PROVOKED, Outside, Provoking
from tests.e2e.pipeline import Pipeline, receiver
from tests.process_table import PROCESSES
from tests.reference.metrics import SET_BY, metrics_in, ours
from tests.waiting import eventually

PLACEHOLDERS = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s"}
"""The value that Grafana sets for a panel of one hour with the source's `timeInterval`."""

pytestmark = needs_prometheus


def panels() -> Iterator[tuple[str, str]]:
    """Each query of each dashboard as Grafana asks it with every choice at All, and the panel's name."""
    for path in sorted(DIRECTORY.glob("*.json")):
        dashboard = json.loads(path.read_text())
        choices = {f"${one['name']}": one["allValue"] for one in dashboard["templating"]["list"] if "allValue" in one}
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in (PLACEHOLDERS | choices).items():
                    expression = expression.replace(name, value)
                assert "$" not in expression, expression
                yield f"{path.stem}: {panel['title']}", expression


def choices() -> Iterator[tuple[str, str]]:
    """The metric and the label of which each choice on a dashboard is made."""
    for path in DIRECTORY.glob("*.json"):
        for one in json.loads(path.read_text())["templating"]["list"]:
            if one["type"] == "query":
                found = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["query"]["query"])
                assert found
                yield found[1], found[2]


async def setters(pipeline: Pipeline) -> dict[str, set[str]]:
    """The processes that have set each metric: those that show a value of it other than the nothing it begins with."""
    found: dict[str, set[str]] = {name: set() for name in ours()}
    for process in PROCESSES:
        url = f"http://127.0.0.1:{pipeline.admin_ports[process]}/metrics"
        async with pipeline.session.get(url) as answer:
            text = await answer.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = re.sub(r"_(count|created|sum|bucket)$", "", sample.name)
                declared = ours().get(name)
                if declared is not None and (declared._labelnames or sample.value) and "_created" not in sample.name:
                    found[name].add(process)
    return found


async def until_all_are_set(pipeline: Pipeline) -> None:
    """Wait until every process has set the metrics that the reference lists for it (bound: 90 s)."""
    absent: list[str] = []

    async def nothing_absent() -> bool:
        found = await setters(pipeline)
        wanted = {name: set(SET_BY[name]) - NOT_PROVOKED.get(name, set()) for name in SET_BY}
        absent[:] = [f"{name} by {one}" for name in SET_BY for one in sorted(wanted[name] - found[name])]
        await asyncio.sleep(0.5)  # the processes are asked twice a second, not without pause
        return not absent

    try:
        await eventually(nothing_absent, 90)
    except AssertionError:
        pytest.fail(f"not set: {', '.join(absent)}")


def check_rules(server: Prometheus) -> list[str]:
    """What is wrong with a rule, by its own evaluation and by ours of its expression."""
    problems = [f"{rule['name']}: {rule.get('lastError')}" for rule in server.rules() if rule["health"] != "ok"]
    for rule in server.rules():
        try:
            server.series(rule["query"])
        except ValueError as error:
            problems.append(f"{rule['name']}: {error}")
    return problems


def check_dashboards(server: Prometheus, since: float) -> list[str]:
    """Queries that can't be evaluated, and those that show nothing though their metrics were set."""
    problems = []
    for panel, expression in panels():
        try:
            curves = server.curves(expression, since, time.time())
        except ValueError as error:
            problems.append(f"{panel}: {error}")
            continue
        if not curves and not metrics_in(expression) & NOT_PROVOKED.keys():
            problems.append(f"{panel} shows nothing: {expression}")
    for metric, label in choices():
        if not server.ask(f"label/{label}/values", match__=metric):
            problems.append(f"the choice of {label} of {metric} is empty")
    return problems


async def test_prometheus_scrapes_the_processes_and_evaluates_every_rule_and_query(
    redis_url: str, redis_server: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """During work that succeeds, is refused and fails. Only the processes that the reference lists set a metric."""
    began, database = time.time(), int(urlsplit(redis_url).path.strip("/"))
    async with (
        receiver(Outside()) as outside,
        Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline,
    ):
        assert isinstance(outside, Outside)
        with prometheus(pipeline.admin_ports, tmp_path) as server:
            await eventually(server.is_ready, message="Prometheus does not start")
            provoking = Provoking(pipeline, outside, redis_server, database)
            await provoking.everything()

            await until_all_are_set(pipeline)
            provoking.close()
            others = {name: found - set(SET_BY[name]) for name, found in (await setters(pipeline)).items()}
            assert {name: found for name, found in others.items() if found} == {}

            # Two scrapes after the last change, so that each rate has its points, and an evaluation of every rule.
            scraped = float(server.series("max(timestamp(up))")[0]["value"][1])
            await eventually(lambda: float(server.series("min(timestamp(up))")[0]["value"][1]) > scraped + 3)
            await eventually(lambda: all(rule["health"] != "unknown" for rule in server.rules()))
            assert server.targets_up().keys() == {*PROCESSES, "prometheus"}
            assert check_rules(server) + check_dashboards(server, began) == []
