"""Dockerfiles, compose file and `.env.example` agree with one another and with the settings that the code reads."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from filas.settings import process_settings, settings_reader
from filas_local import processes as local_processes
from tests.process_table import PROCESSES

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
BALANCER = (ROOT / "deploy/compose/balancer.yml").read_text()
TRACING = (ROOT / "deploy/compose/tracing.yml").read_text()
PROJECT: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, Any] = PROJECT["services"]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))
EXAMPLE = (ROOT / ".env.example").read_text()
OF_THE_IMAGE = {"HEALTH_PORT"}
SITE_PACKAGES = Path(sysconfig.get_path("platlib"))
WITHOUT_WHAT_IS_LEFT_OUT = """
import importlib, sys
for name in ("cel_expr_python.ext", "zstandard._cffi"):
    sys.modules[name] = None  # an import of it fails
for root in ("ingest.app", "ingest.admin_app", "ingest.worker_app", "flow_runner.app", "notifier.app"):
    importlib.import_module(root)
import zstandard
from filas.flows.expressions import cel
assert zstandard.decompress(zstandard.compress(b"text")) == b"text"
assert cel.evaluate('vars.name.startsWith("An") && size(vars.list) == 2', {"vars": {"name": "Ana", "list": [1, 2]}})
"""
ALL_VARIABLES = {
    variable.name for process in process_settings.PROCESSES for variable in settings_reader.variables(process)
}


def test_the_dockerfiles_differ_only_in_what_a_service_is() -> None:
    """Name and description at the top, ports and command at the end; everything between is one recipe."""
    bodies = {tuple(path.read_text().splitlines()[4:-3]) for path in DOCKERFILES}
    assert len(DOCKERFILES) == 3
    assert len(bodies) == 1


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_as_an_ordinary_user_and_has_a_health_check(path: Path) -> None:
    """Non-root by number, so that Kubernetes can check it; nothing but `shared` and the service is copied in."""
    text = path.read_text()
    final = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    copied = ["--from=build /opt/filas /opt/filas", "--from=build /ours /opt/filas"]
    assert re.findall(r"^COPY (.*)$", final, re.MULTILINE) == copied
    assert "# syntax" not in text


def test_what_the_images_leave_out_exists() -> None:
    """A package that moves its files would otherwise make the images larger unnoticed."""
    [command] = re.findall(r"^RUN rm -rf ((?:.*\\\n)*.*)$", DOCKERFILES[0].read_text(), re.MULTILINE)
    left_out = re.findall(r"/site-packages/(\S+)", command)
    assert len(left_out) == 2
    for pattern in left_out:
        assert list(SITE_PACKAGES.glob(pattern)), pattern


@pytest.mark.starts_processes
def test_nothing_imports_what_the_images_leave_out() -> None:
    """The processes start, evaluate CEL and read zstandard without these modules."""
    subprocess.run([sys.executable, "-c", WITHOUT_WHAT_IS_LEFT_OUT], check=True, timeout=120)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_images_labels_are_those_of_its_package(path: Path) -> None:
    """The image repeats the name, description, version and licence of pyproject.toml."""
    text = path.read_text()
    arguments = dict(re.findall(r'^ARG ([A-Z]+)="?(.+?)"?$', text, re.MULTILINE))
    project = tomllib.loads((path.parent / "pyproject.toml").read_text())["project"]
    assert arguments["SERVICE"] == path.parent.name
    assert (arguments["DESCRIPTION"], arguments["VERSION"]) == (project["description"], project["version"])
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z]+)="(.*)"', text))
    assert labels["licenses"] == project["license"]
    assert labels.keys() >= {"title", "description", "version"}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_container_gets_the_variables_of_its_process_and_no_others(name: str) -> None:
    """Nobody holds a secret that it doesn't read; no variable is misspelt; nothing that must be set is missing."""
    known = {variable.name: variable for variable in settings_reader.variables(PROCESSES[name].settings)}
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


def test_a_container_answers_to_its_name_in_the_network() -> None:
    """Its private listener is called by the name of the service, and by localhost from this machine."""
    for name in PROCESSES:
        hosts = SERVICES[name]["environment"]["ADMIN_HOSTS"].split(",")
        assert hosts[0] == name
        assert hosts[1] in {"localhost", "${ADMIN_HOSTS:-localhost}"}


def test_the_private_ports_stay_on_this_machine() -> None:
    """Only the public listener is published on every address; the stores are not published."""
    published = {name: list(service["ports"]) for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"ingest", "ingest-admin", "prometheus", "grafana"}
    assert published.pop("ingest") == ["${INGEST_PORT:-8080}:8080"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert published["ingest-admin"] == ["127.0.0.1:${INGEST_ADMIN_PORT:-8081}:8081"]
    public, private = yaml.safe_load(BALANCER)["services"]["balancer"]["ports"]
    assert public == "${BALANCER_PORT:-8080}:8080"
    assert private.startswith("127.0.0.1:")


def test_the_stores_are_in_a_network_without_internet_access() -> None:
    """Together with those alone that work with them; Prometheus asks the processes in a network of its own."""
    assert {name for name, network in PROJECT["networks"].items() if network} == {"stores", "metrics"}
    assert all(PROJECT["networks"][name]["internal"] for name in ("stores", "metrics"))
    members: dict[str, set[str]] = {network: set() for network in PROJECT["networks"]}
    for name, service in SERVICES.items():
        for network in service["networks"]:
            members[network].add(name)
    assert members["stores"] == {"redis", "postgres", "roles", "migrate", *PROCESSES}
    assert members["metrics"] == {"prometheus", *PROCESSES}
    assert members["monitoring"] == {"prometheus", "grafana"}
    assert members["outside"] == {"ingest", "flow-runner", "notifier"}
    assert members["operators"] == {"ingest-admin"}
    assert SERVICES["redis"]["networks"] == SERVICES["postgres"]["networks"] == ["stores"]


def test_traces_are_a_file_of_its_own_that_asks_for_what_writes_them() -> None:
    """Every process is built with it and reaches the collector; no image has it otherwise."""
    services = yaml.safe_load(TRACING)["services"]
    for name in PROCESSES:
        assert services[name]["build"]["args"] == {"TRACING": "1"}
        assert services[name]["environment"].keys() == {"OTEL_EXPORTER_OTLP_ENDPOINT"}
        assert services[name]["networks"] == services["jaeger"]["networks"] == ["traces"]
    assert all(port.startswith("127.0.0.1:") for port in services["jaeger"]["ports"])
    assert "TRACING" not in COMPOSE
    for path in DOCKERFILES:
        assert re.search(r"^ARG TRACING$", path.read_text(), re.MULTILINE)


def test_the_shares_of_the_processor_go_by_the_queues_priorities() -> None:
    """High, medium, low; receiving has no less than processing, and the API no more than the lowest queue."""
    shares = {name: SERVICES[name]["cpu_shares"] for name in PROCESSES}
    assert shares["ingest"] >= shares["ingest-worker"] > shares["flow-runner"] > shares["notifier"]
    assert shares["ingest-admin"] <= shares["notifier"]
    assert all(SERVICES[store]["cpu_shares"] > max(shares.values()) for store in ("redis", "postgres"))


def test_the_local_run_shares_the_processor_as_compose_does() -> None:
    """A step of niceness is a factor of 1.25 in the weight of a process."""
    weights = {one.name: SERVICES["ingest"]["cpu_shares"] / 1.25**one.niceness for one in local_processes.PROCESSES}
    assert weights == {name: pytest.approx(SERVICES[name]["cpu_shares"], rel=0.1) for name in PROCESSES}


def test_monitoring_is_a_profile_whose_files_are_mounted_for_reading() -> None:
    """Nobody gets it who doesn't ask; what Prometheus and Grafana read is what the repository holds."""
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"prometheus", "grafana"}
    mounts = [mount for name in ("prometheus", "grafana") for mount in SERVICES[name]["volumes"]]
    ours = [mount.split(":") for mount in mounts if mount.startswith("./")]
    assert {source for source, _, _ in ours} == {
        "./deploy/prometheus",
        "./deploy/grafana/provisioning",
        "./deploy/grafana/dashboards",
    }
    assert all((ROOT / source).is_dir() and mode == "ro" for source, _, mode in ours)
    [provider] = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/filas.yml").read_text())["providers"]
    assert provider["options"]["path"] in {target for _, target, _ in ours}


def test_the_example_has_every_variable_that_can_be_set_here() -> None:
    """`cp .env.example .env` is enough. The file has every variable that compose passes, with its default."""
    assigned = dict(re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE))
    optional = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE)) <= set(assigned)
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE + BALANCER + TRACING)) == {*assigned, *optional}
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]+)\}", BALANCER + TRACING + COMPOSE))
    defaults |= {
        one.name: one.default for process in process_settings.PROCESSES for one in settings_reader.variables(process)
    }
    assert optional == {name: defaults[name] for name in optional}


def test_compose_passes_on_every_setting_that_it_does_not_decide() -> None:
    """A new setting must be reachable from `.env`, or be named here as decided by the deployment."""
    decided = {name for name in ALL_VARIABLES if name.startswith("REDIS_") or name.endswith(("_HOST", "_PORT"))}
    # With one name for all processes, their traces could not be distinguished. Only `filas up` accepts short keys.
    decided |= {"DATABASE_URL", "DATABASE_READ_URL", "OTEL_SERVICE_NAME", "FILAS_LOCAL_RUN"}
    passed_on = {name for process in PROCESSES for name in SERVICES[process]["environment"]}
    assert passed_on - OF_THE_IMAGE >= ALL_VARIABLES - decided


def test_the_examples_values_are_accepted() -> None:
    """Each process can be set up with the example's secrets."""
    assigned = dict(re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE, re.MULTILINE))
    for process in process_settings.PROCESSES:
        settings_reader.load(process, assigned | {"DATABASE_URL": "postgresql://filas:x@postgres:5432/filas"})
