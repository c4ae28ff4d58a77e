"""Each process and each Job has the address of one role of Postgres, in compose and in Kubernetes."""

import base64
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from filas.repository import roles
from tests.deploy.kustomize import Manifests, needs_kubectl, rendered
from tests.process_table import PROCESSES

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
DEVELOPMENT, PRODUCTION = overlays = ("overlays/development", "overlays/production")
BOTH = pytest.mark.parametrize("overlay", overlays)
SHORT_NAMES = [role.removeprefix("filas_") for role in roles.ROLES]


def addresses(name: str) -> dict[str, tuple[str | None, str | None]]:
    """User and password, as written in compose, of each address of Postgres that a service has."""
    found = {}
    for variable, value in SERVICES[name].get("environment", {}).items():
        if variable.startswith("DATABASE_") and "://" in value:
            [(user, password)] = re.findall(r"//(\w+):\$\{(\w+):\?[^}]*\}@postgres:5432/filas$", value)
            found[variable] = (user, password)
    return found


def test_a_process_in_compose_has_the_role_that_writes_and_searches_have_the_role_that_reads() -> None:
    """No process has the superuser's password, and none may change the schema."""
    for name in PROCESSES:
        wanted = {"DATABASE_URL": (roles.WRITE, "POSTGRES_WRITE_PASSWORD")}
        if name == "ingest-admin":
            wanted["DATABASE_READ_URL"] = (roles.READ, "POSTGRES_READ_PASSWORD")
        assert addresses(name) == wanted, name
    assert addresses("migrate") == {"DATABASE_URL": (roles.MIGRATE, "POSTGRES_MIGRATE_PASSWORD")}
    assert addresses("roles") == {"DATABASE_URL": ("filas", "POSTGRES_PASSWORD")}
    holders = {name for name, service in SERVICES.items() if "POSTGRES_PASSWORD:" in str(service)}
    assert holders == {"postgres", "roles"}


def test_compose_creates_the_roles_with_the_passwords_of_env() -> None:
    """Before the migrations, which come before the processes. The example has a password of its own for each."""
    assert SERVICES["roles"]["command"] == ["filas", "roles", "create"]
    assert SERVICES["migrate"]["depends_on"] == {"roles": {"condition": "service_completed_successfully"}}
    given = SERVICES["roles"]["environment"]
    variables = {f"POSTGRES_{name.upper()}_PASSWORD" for name in SHORT_NAMES}
    assert given.keys() == {"DATABASE_URL", *variables}
    for name in variables:
        assert given[name].startswith(f"${{{name}:?")
    assert len({EXAMPLE[name] for name in (*variables, "POSTGRES_PASSWORD", "REDIS_PASSWORD")}) == len(variables) + 2


# ---- Kubernetes ------------------------------------------------------------------------------------


def database_secrets(container: dict[str, Any]) -> dict[str, str]:
    """The Secret, without the hash in its name, of each variable with an address of Postgres."""
    found = {one["name"]: one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one}
    return {name: "-".join(secret.split("-")[:2]) for name, secret in found.items() if name.startswith("DATABASE")}


def contents_of_secrets(manifests: Manifests) -> dict[str, dict[str, str]]:
    """The content of each Secret, by its name without the hash of kustomize."""
    return {
        one["metadata"]["name"].rpartition("-")[0]: {
            key: base64.b64decode(value).decode() for key, value in one["data"].items()
        }
        for one in manifests.of("Secret")
    }


@needs_kubectl
@pytest.mark.starts_processes
@BOTH
def test_a_pod_holds_the_address_of_its_own_role(overlay: str) -> None:
    """The Jobs that migrate own the tables; a process writes rows; only searches have the role that reads."""
    manifests = rendered(overlay)
    for name in PROCESSES:
        wanted = {"DATABASE_URL": "filas-write"}
        if name == "ingest-admin":
            wanted["DATABASE_READ_URL"] = "filas-read"
        assert database_secrets(manifests.container(name)) == wanted, name
    jobs = manifests if overlay == DEVELOPMENT else rendered(f"{overlay}/migrate-pre")
    [job] = jobs.names("Job")
    assert database_secrets(jobs.container(job)) == {"DATABASE_URL": "filas-migrate"}


@needs_kubectl
@pytest.mark.starts_processes
def test_development_creates_the_roles_whose_passwords_the_addresses_have() -> None:
    """The superuser's password is in the pod of Postgres and in the container that creates the roles, nowhere else."""
    manifests = rendered(DEVELOPMENT)
    held = contents_of_secrets(manifests)
    assert held.keys() == {"filas", "filas-postgres", *(f"filas-{name}" for name in SHORT_NAMES)}
    for name in SHORT_NAMES:
        address = urlsplit(held[f"filas-{name}"]["database-url"])
        assert (address.username, address.password) == (f"filas_{name}", held["filas-postgres"][f"{name}-password"])
        assert address.hostname in manifests.names("Service")
    administrator = urlsplit(held["filas-postgres"]["database-url"])
    assert (administrator.username, administrator.password) == ("filas", held["filas-postgres"]["postgres-password"])
    [creator] = manifests.pod("filas-migrate")["initContainers"]
    assert creator["command"] == ["filas", "roles", "create"]
    holders = {
        container["name"]
        for name in manifests.pods()
        for container in [*manifests.pod(name)["containers"], *manifests.pod(name).get("initContainers", [])]
        if "filas-postgres" in str(container.get("env"))
    }
    assert holders == {"postgres", "roles"}
