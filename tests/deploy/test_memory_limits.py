"""Compose, the manifests and the documentation have the memory limits of deploy/memory-limits.yml."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.memory_limits import JOBS_MIB, LIMITS_MIB, STORES
from tests.process_table import PROCESSES

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
REDIS = ROOT / "deploy" / "redis" / "kubernetes"
UNITS = {"Mi": 1, "Gi": 1024, "m": 1, "mb": 1}


def mib(text: str) -> int:
    """A size in MiB: 512Mi, 1Gi, 512m (compose), 384mb (Redis)."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|m|mb)", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]


def containers(*paths: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The containers of manifests, each with its name."""
    for path in paths:
        for document in yaml.safe_load_all(path.read_text()):
            pod = ((document or {}).get("spec") or {}).get("template", {}).get("spec", {})
            for container in [*pod.get("initContainers", ()), *pod.get("containers", ())]:
                yield container["name"], container


def limits(*paths: Path) -> dict[str, int]:
    """The memory limit of each container that has one, in MiB."""
    return {
        name: mib(container["resources"]["limits"]["memory"])
        for name, container in containers(*paths)
        if "limits" in container.get("resources", {})
    }


def test_every_process_has_a_limit() -> None:
    assert set(LIMITS_MIB) == set(PROCESSES)


def test_compose_has_the_limits() -> None:
    """Each process has its own; the stores have none."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {name: mib(services[name]["mem_limit"]) for name in LIMITS_MIB} == LIMITS_MIB


def test_the_manifests_have_the_limits() -> None:
    """The processes, the jobs that prepare the database, and the stores of the development overlay."""
    assert limits(*(KUBERNETES / "base" / f"{name}.yaml" for name in PROCESSES)) == LIMITS_MIB
    overlay = KUBERNETES / "overlays" / "development"
    assert limits(KUBERNETES / "migrate" / "base" / "job.yaml", overlay / "roles.yaml") == JOBS_MIB
    stores = limits(overlay / "redis.yaml", overlay / "postgres.yaml")
    assert stores == {name: STORES[name]["limit"] for name in ("redis", "postgres")}


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_the_nodes_of_redis_have_the_limits(kind: str) -> None:
    """Each node refuses writes before it reaches its limit."""
    [(_, node)] = list(containers(REDIS / kind / "nodes.yaml"))
    assert mib(node["resources"]["limits"]["memory"]) == STORES["redis-node"]["limit"]
    [most] = [mib(one["value"]) for one in node["env"] if one["name"] == "MAXMEMORY"]
    assert most == STORES["redis-node"]["maxmemory"]
    if kind == "sentinel":
        [limit] = limits(REDIS / kind / "sentinels.yaml").values()
        assert limit == STORES["redis-sentinel"]["limit"]


def test_redis_refuses_writes_before_it_reaches_its_limit() -> None:
    """Redis that is killed loses a second of jobs. Redis that refuses writes loses none."""
    [(_, redis)] = list(containers(KUBERNETES / "overlays" / "development" / "redis.yaml"))
    arguments = redis["args"]
    assert mib(arguments[arguments.index("--maxmemory") + 1]) == STORES["redis"]["maxmemory"]
    for store in STORES.values():
        assert store.get("maxmemory", 0) <= 0.75 * store["limit"]


def test_the_documentation_has_the_limits() -> None:
    """The table of docs/operations/scaling.md, with peaks that leave a margin."""
    text = (ROOT / "docs" / "operations" / "scaling.md").read_text()
    rows = re.findall(r"^\| `([a-z -]+)` \| (\d+) MiB \| \d+ MiB \| (\d+) MiB \|", text, re.MULTILINE)
    names = {"ingest serve": "ingest", "ingest admin": "ingest-admin", "ingest work": "ingest-worker"}
    assert {names.get(name, name): int(limit) for name, limit, _ in rows} == LIMITS_MIB
    assert all(int(peak) <= 0.75 * int(limit) for _, limit, peak in rows)
