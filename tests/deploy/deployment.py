"""docker-compose.yml as a project of its own, on free ports of the loopback, with the example's secrets."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filas.cli.api_client import Client
from filas_local import image_lock
from tests.ports import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
BALANCER = "deploy/compose/balancer.yml"
IMAGE_VARIABLES = {
    "haproxy": "BALANCER_IMAGE",
    "postgres": "POSTGRES_IMAGE",
    "prom/prometheus": "PROMETHEUS_IMAGE",
    "python": "PYTHON_IMAGE",
    "redis": "REDIS_IMAGE",
}
REPLACEMENTS = {"haproxy": "filas-test-haproxy"}
"""Debian's HAProxy, where tests/deploy/install-images has found no registry."""

needs_engine = [
    pytest.mark.skipif(
        not os.environ.get("FILAS_TEST_DEPLOY"), reason="needs a container engine: run `make test-deploy`"
    ),
    pytest.mark.timeout(1200),
    pytest.mark.starts_processes,
]


def _assigned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.+)$", text, re.MULTILINE))


def _compose_command() -> list[str]:
    """Compose of either generation."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            if subprocess.run([*command, "version"], check=False, capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            continue
    pytest.fail("no Compose: neither `docker compose` nor `docker-compose`")


def docker(*arguments: str) -> str:
    """Run the engine's client; returns what it prints, fails with all of it."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _image_exists(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], check=False, capture_output=True).returncode == 0


def available_images() -> dict[str, str]:
    """The variables that name another image where a locked one is not on this machine and no registry is reached.

    It is a local image of the same name, of whatever version: tests/deploy/install-images has tried to pull the locked
    one.
    """
    found: dict[str, str] = {}
    locked = image_lock.locked_references(image_lock.read_lock((ROOT / image_lock.LOCK).read_text()))
    for name, variable in IMAGE_VARIABLES.items():
        if _image_exists(locked[name]):
            continue
        local = docker("images", "--format", "{{.Repository}}:{{.Tag}}", name).split()
        if name in REPLACEMENTS and not local:
            local = [REPLACEMENTS[name]]
        if local and _image_exists(local[0]):
            found[variable] = local[0]
    return found


def _status(method: str, url: str) -> int:
    """The status of a request, or 0 if there is no answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=3) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Deployment:
    """`balanced`: with HAProxy in front, and a receiver of messages beside. `beside`: more files of Compose, and that
    receiver."""

    def __init__(self, name: str, *, balanced: bool = False, beside: Sequence[str] = ()) -> None:
        self.public_port, self.admin_port = free_port(), free_port()
        self.receiver_port, self.prometheus_port = free_port(), free_port()
        self.name = f"filas-test-{name}-{os.getpid()}"
        public, admin = str(self.public_port), str(self.admin_port)
        files = ["docker-compose.yml"]
        self.environment = os.environ | _assigned((ROOT / ".env.example").read_text())
        if balanced:
            files += [BALANCER, "tests/deploy/receiver.yml"]
            self.environment |= {
                # The engine takes free ones for the ingests themselves.
                "INGEST_PORT": "127.0.0.1:0",
                "INGEST_ADMIN_PORT": "0",
                "BALANCER_PORT": f"127.0.0.1:{public}",
                "BALANCER_ADMIN_PORT": admin,
                "RECEIVER_PORT": str(self.receiver_port),
            }
        else:
            self.environment |= {"INGEST_PORT": f"127.0.0.1:{public}", "INGEST_ADMIN_PORT": admin}
        if beside:
            files += ["tests/deploy/receiver.yml", *beside]
            self.environment["RECEIVER_PORT"] = str(self.receiver_port)
        self.environment |= available_images() | {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": ":".join(files),
            "PROMETHEUS_PORT": str(self.prometheus_port),
            # Flows and channels call containers by the engine's networks.
            "OUTBOUND_ALLOW": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16",
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
        }
        self._command = _compose_command()

    @property
    def python_image(self) -> str:
        """The image under those of the processes, as the tests build them."""
        locked = image_lock.locked_references(image_lock.read_lock((ROOT / image_lock.LOCK).read_text()))
        return self.environment.get("PYTHON_IMAGE", locked["python"])

    @property
    def api(self) -> Client:
        """The operator's API."""
        return Client(f"http://127.0.0.1:{self.admin_port}", self.environment["FILAS_ADMIN_TOKEN"])

    def run(self, *command: str) -> str:
        """Run a program in the repository's root with this project's settings; returns what it prints."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def compose(self, *arguments: str) -> str:
        """Run Compose; returns what it prints, fails with all of it."""
        return self.run(*self._command, *arguments)

    def remove(self) -> None:
        """Everything, with its volumes."""
        self.compose("--profile", "monitoring", "down", "--volumes", "--timeout", "60")

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self.compose("ps", "-q", service).split()

    def inspect(self, service: str, template: str) -> list[str]:
        """A field of each of the service's containers, as `docker inspect` gives it."""
        return [docker("inspect", "--format", template, one).strip() for one in self.containers(service)]

    def query(self, sql: str) -> list[str]:
        """Ask the project's Postgres; a line a row."""
        return self.compose("exec", "-T", "postgres", "psql", "-U", "filas", "-d", "filas", "-Atc", sql).splitlines()

    def received(self, path: str) -> dict[str, list[Any]]:
        """What was posted to `path` of the receiver: bodies by idempotency key."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.receiver_port}/received{path}", timeout=30) as answer:
            document: dict[str, list[Any]] = json.load(answer)
            return document

    def prometheus(self, route: str) -> Any:
        """The `data` of an answer of the project's Prometheus."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.prometheus_port}/api/v1/{route}", timeout=10) as answer:
            return json.load(answer)["data"]

    async def until_ready(self) -> None:
        """Waits until the API is ready and the public endpoint has read the webhooks (bound: 120 s)."""

        def ready() -> bool:
            api = _status("GET", f"http://127.0.0.1:{self.admin_port}/readyz")
            return api == 200 and self._public_status("no-such-webhook") == 404

        await eventually(ready, timeout=120)

    def _public_status(self, path: str) -> int:
        return _status("OPTIONS", f"http://127.0.0.1:{self.public_port}/webhooks/{path}")
