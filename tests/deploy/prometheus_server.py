"""A real Prometheus with the configuration and rules of deploy/prometheus, its targets on this machine."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.promtool import PROMETHEUS, RULES, program
from tests.ports import free_port

EVERY = "1s"
"""How often it scrapes and evaluates. The interval of the configuration, 15 s, would make the tests long."""


class Prometheus:
    """A client of the server. Its methods return the `data` of the answers."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, route: str, **parameters: str) -> Any:
        """The data of `/api/v1/{route}`; an error is raised as ValueError with Prometheus' own words."""
        query = urllib.parse.urlencode({name.rstrip("_"): value for name, value in parameters.items()})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{route}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    def is_ready(self) -> bool:
        """Whether the server has loaded its data and answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def targets_up(self) -> dict[str, str]:
        """Every target that answered its last scrape, by its job."""
        targets = self.ask("targets", state="active")["activeTargets"]
        return {one["labels"]["job"]: one["labels"]["instance"] for one in targets if one["health"] == "up"}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus evaluates it."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def series(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now. Raises ValueError where it can't be evaluated."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def curves(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """What a panel of Grafana asks: the expression over a time. Raises ValueError as `series` does."""
        answer = self.ask("query_range", query=expression, start=str(start), end=str(end), step="1")
        found: list[dict[str, Any]] = answer["result"]
        return found


def configuration(ports: Mapping[str, int], own_port: int) -> dict[str, Any]:
    """deploy/prometheus/prometheus.yml, with each job's processes at the port of `ports` instead of by DNS."""
    document: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    document["global"] |= {"scrape_interval": EVERY, "evaluation_interval": EVERY}
    document["rule_files"] = [str(path) for path in RULES]
    for job in document["scrape_configs"]:
        if job.pop("dns_sd_configs", None):
            job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
        else:
            job["static_configs"] = [{"targets": [f"127.0.0.1:{own_port}"]}]
    return document


@contextmanager
def prometheus(ports: Mapping[str, int], directory: Path) -> Iterator[Prometheus]:
    """A Prometheus that runs until the end of the block. Its configuration, data and log are in `directory`."""
    command, own_port = program("prometheus"), free_port()
    assert command is not None, "no prometheus: tests/deploy/install-prometheus"
    written = directory / "prometheus.yml"
    written.write_text(yaml.safe_dump(configuration(ports, own_port)))
    arguments = [f"--config.file={written}", f"--storage.tsdb.path={directory / 'prometheus'}"]
    arguments += [f"--web.listen-address=127.0.0.1:{own_port}"]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([command, *arguments], stdout=log, stderr=log)
    try:
        yield Prometheus(own_port)
    finally:
        process.terminate()
        process.wait(timeout=30)
