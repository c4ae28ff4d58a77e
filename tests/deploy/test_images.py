"""Dockerfiles, compose file and `.env.example` agree with one another and with the settings that the code reads."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from filas import settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))
EXAMPLE = (ROOT / ".env.example").read_text()
PROCESSES: dict[str, type[settings.Group]] = {
    "ingest": settings.IngestServeSettings,
    "ingest-worker": settings.IngestWorkSettings,
    "flow-runner": settings.FlowRunnerSettings,
    "notifier": settings.NotifierSettings,
}
OF_THE_IMAGE = {"HEALTH_PORT"}
ALL_VARIABLES = {variable.name for process in settings.PROCESSES for variable in settings.variables(process)}


def test_the_dockerfiles_differ_only_in_what_a_service_is() -> None:
    """Name at the top, ports and command at the end; everything between is one recipe."""
    bodies = {tuple(path.read_text().splitlines()[3:-3]) for path in DOCKERFILES}
    assert len(DOCKERFILES) == 3
    assert len(bodies) == 1


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_as_nobody_special_and_tells_its_health(path: Path) -> None:
    """Non-root by number, so that Kubernetes can check it; nothing but `shared` and the service is copied in."""
    text = path.read_text()
    final = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert re.findall(r"^COPY (.*)$", final, re.MULTILINE) == ["--from=build /opt/filas /opt/filas"]
    assert "# syntax" not in text


@pytest.mark.parametrize("name", PROCESSES)
def test_a_container_gets_the_variables_of_its_process_and_no_others(name: str) -> None:
    """Nobody holds a secret that it doesn't read; no variable is misspelt; nothing that must be set is missing."""
    known = {variable.name: variable for variable in settings.variables(PROCESSES[name])}
    given = set(SERVICES[name]["environment"]) - OF_THE_IMAGE
    assert given <= set(known)
    assert {variable.name for variable in known.values() if variable.default is None} <= given


def test_every_container_is_confined() -> None:
    """Read-only, without capabilities, restarted when it dies, and with time to drain."""
    for name in PROCESSES:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "unless-stopped"
        assert service["stop_grace_period"] == "40s"


def test_the_private_port_stays_on_this_machine() -> None:
    """Only webhooks are open to everybody; the stores are open to nobody outside."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["ingest"]
    public, private = published["ingest"]
    assert public.endswith(":8080")
    assert private.startswith("127.0.0.1:")
    assert private.endswith(":8081")


def test_the_example_has_every_variable_that_can_be_set_here() -> None:
    """`cp .env.example .env` is enough; what compose passes on stands in it, with the code's own default."""
    assigned = dict(re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE))
    optional = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE)) <= set(assigned)
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE)) == {*assigned, *optional}
    defaults = {one.name: one.default for process in settings.PROCESSES for one in settings.variables(process)}
    assert optional == {name: defaults[name] for name in optional}


def test_compose_passes_on_every_setting_that_it_does_not_decide() -> None:
    """A new setting must be reachable from `.env`, or be named here as decided by the deployment."""
    decided = {name for name in ALL_VARIABLES if name.startswith("REDIS_") or name.endswith(("_HOST", "_PORT"))}
    # Nothing here spreads requests over several ingests, so nothing has to look elsewhere when one stops.
    decided |= {"DATABASE_URL", "SHUTDOWN_DELAY_S"}
    passed_on = {name for process in PROCESSES for name in SERVICES[process]["environment"]}
    assert passed_on - OF_THE_IMAGE >= ALL_VARIABLES - decided


def test_the_examples_values_are_accepted() -> None:
    """Each process can be set up with the example's secrets."""
    assigned = dict(re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE))
    for process in settings.PROCESSES:
        settings.load(process, assigned | {"DATABASE_URL": "postgresql://filas:x@postgres:5432/filas"})
