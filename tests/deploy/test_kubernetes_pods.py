"""House rules for what runs in Kubernetes: confined, watched, bounded, and set up as the processes read it."""

import inspect
import re
import tomllib
from decimal import Decimal
from typing import Any

import pytest
import yaml

from filas.contract import policies
from filas.repository.postgres.database import CLOSE_TIMEOUT_S
from filas.service.private_listener import serve_app
from filas.settings import process_settings, settings_reader
from flow_runner.app import DRAIN_S
from ingest.api.operations.scaling_routes import WORKERS as QUEUES
from tests.deploy.kustomize import (
    KUBERNETES,
    VARIATIONS,
    Manifests,
    image_command,
    needs_kubectl,
    rendered,
)
from tests.deploy.promtool import PROMETHEUS, ROOT
from tests.process_table import PROCESSES

pytestmark = [needs_kubectl, pytest.mark.starts_processes]

DEVELOPMENT, PRODUCTION = rendered_overlays = ("overlays/development", "overlays/production")
BOTH = pytest.mark.parametrize("overlay", rendered_overlays)
EACH = pytest.mark.parametrize("name", PROCESSES)
OF_THE_LIBRARIES = {"PGSSLMODE", "PGSSLROOTCERT", "SSL_CERT_FILE"}
"""Variables that asyncpg and OpenSSL read by themselves."""

SECRETS = {
    "DATABASE_URL": "postgresql://filas_write:x@postgres:5432/filas",
    "DATABASE_READ_URL": "postgresql://filas_read:x@postgres:5432/filas",
    "REDIS_PASSWORD": "x",
    "FILAS_SECRET_KEY": "long-and-random-long-and-random-key",
    "FILAS_ADMIN_TOKEN": "long-and-random-long-and-random-token",
}
SECRET_KEYS = {name: name.removeprefix("FILAS_").lower().replace("_", "-") for name in SECRETS} | {
    "DATABASE_READ_URL": "database-url"
}
SECRET_NAMES = {"DATABASE_URL": "filas-write", "DATABASE_READ_URL": "filas-read"}
"""The Secret of a variable. The others are in `filas`."""
VOLUMES = {"configMap", "emptyDir", "secret", "projected", "downwardAPI", "persistentVolumeClaim"}


def quantity(text: str) -> Decimal:
    """Kubernetes' numbers: 400m, 1, 128Mi, 1Gi."""
    found = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi)?", text)
    assert found, text
    units = {None: Decimal(1), "m": Decimal("0.001"), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}
    return Decimal(found[1]) * units[found[2]]


def known(name: str) -> dict[str, settings_reader.Variable]:
    """The variables that a process reads."""
    return {variable.name: variable for variable in settings_reader.variables(PROCESSES[name].settings)}


# ---- whatever makes pods ---------------------------------------------------------------------------


@pytest.mark.parametrize("variation", VARIATIONS)
def test_a_pod_is_confined(variation: str) -> None:
    """What the level `restricted` of the pod security standards asks for, and a root file system that is read-only."""
    manifests = rendered(variation)
    for name in manifests.pods():
        pod = manifests.pod(name)
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys(), name
        assert all(volume.keys() - {"name"} <= VOLUMES for volume in pod.get("volumes", [])), name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert all("hostPort" not in port for port in container.get("ports", [])), name


@pytest.mark.parametrize("variation", VARIATIONS)
def test_a_pod_can_t_speak_to_the_api_server(variation: str) -> None:
    """Nothing here needs to: no token, and an account for each process of ours, so that none gets rights by chance."""
    manifests = rendered(variation)
    for name in manifests.pods():
        pod = manifests.pod(name)
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        if name not in {"redis", "postgres"}:
            account = manifests.one("ServiceAccount", pod["serviceAccountName"])
            assert account["automountServiceAccountToken"] is False
    accounts = [manifests.pod(name).get("serviceAccountName", name) for name in manifests.pods()]
    assert len(set(accounts)) == len(accounts)
    assert manifests.names("ServiceAccount") <= set(accounts)
    assert not manifests.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


@pytest.mark.parametrize("variation", VARIATIONS)
def test_a_pod_has_a_share_of_the_machine_and_a_bound(variation: str) -> None:
    """CPU and memory, asked for and limited."""
    manifests = rendered(variation)
    for name in manifests.pods():
        resources = manifests.container(name)["resources"]
        for kind in ("cpu", "memory"):
            assert 0 < quantity(resources["requests"][kind]) <= quantity(resources["limits"][kind]), (name, kind)


def test_the_cluster_refuses_what_is_not_confined() -> None:
    """The namespace's labels enforce it for every pod."""
    for overlay in rendered_overlays:
        labels = rendered(overlay).one("Namespace", "filas")["metadata"]["labels"]
        for mode in ("enforce", "warn", "audit"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


# ---- our five processes ----------------------------------------------------------------------------


@EACH
@BOTH
def test_a_process_is_started_as_documented(overlay: str, name: str) -> None:
    """By its own command, or its image's, which is the same."""
    container = rendered(overlay).container(name)
    command = ["python", "-m", *PROCESSES[name].arguments]
    assert container.get("command", image_command(container["image"])) == command
    assert "args" not in container
    assert f"`{' '.join(command)}`" in (ROOT / "docs/concepts.md").read_text()


@EACH
@BOTH
def test_a_process_gets_its_settings_and_no_others(overlay: str, name: str) -> None:
    """Every variable is one that it reads, what must be set is set, and the process accepts the values."""
    given = rendered(overlay).environment(name)
    assert given.keys() - OF_THE_LIBRARIES <= known(name).keys()
    values = {key: SECRETS[key] if value is None else value for key, value in given.items()}
    settings_reader.load(PROCESSES[name].settings, values)


@EACH
@BOTH
def test_a_secret_comes_from_the_secret_and_nothing_else_does(overlay: str, name: str) -> None:
    """By reference: no ConfigMap and no Deployment has the value of a secret."""
    manifests = rendered(overlay)
    given = manifests.environment(name)
    by_reference = {key for key, value in given.items() if value is None}
    assert by_reference == {key for key, variable in known(name).items() if variable.secret and key in given}
    assert {"DATABASE_URL", "REDIS_PASSWORD"} <= by_reference
    for variable in manifests.container(name)["env"]:
        if "valueFrom" in variable:
            [reference] = variable["valueFrom"].values()
            secret = SECRET_NAMES.get(variable["name"], "filas")
            assert re.fullmatch(rf"{secret}(-[a-z0-9]{{10}})?", reference["name"])
            assert reference["key"] == SECRET_KEYS[variable["name"]]
            assert not reference.get("optional")


@BOTH
def test_no_configmap_holds_a_secret(overlay: str) -> None:
    """Nor anything that looks like one."""
    secrets = {key for process in process_settings.PROCESSES for key, one in _variables(process) if one.secret}
    for document in rendered(overlay).of("ConfigMap"):
        assert not document["data"].keys() & secrets
        for key, value in document["data"].items():
            assert not re.search(r"password|token|secret|api.?key|private", key, re.IGNORECASE), key
            assert not re.search(r"//[^/]*:[^/]*@|whsec_|BEGIN ", value), key


def _variables(process: type[process_settings.ProcessSettings]) -> list[tuple[str, settings_reader.Variable]]:
    return [(variable.name, variable) for variable in settings_reader.variables(process)]


def test_production_brings_no_secret_along() -> None:
    """They exist in the cluster. The README lists the keys, and the development overlay has the same keys."""
    for variation in VARIATIONS:
        if variation != DEVELOPMENT:
            assert not rendered(variation).of("Secret"), variation
    readme = (KUBERNETES / "README.md").read_text()
    assert {key for key in SECRET_KEYS.values() if f"--from-literal={key}=" not in readme} == set()
    held = {
        one["metadata"]["name"].rpartition("-")[0]: one["data"].keys() for one in rendered(DEVELOPMENT).of("Secret")
    }
    assert held["filas"] == {*SECRET_KEYS.values()} - {"database-url"}


def test_production_speaks_tls_to_both_stores() -> None:
    """Redis by the setting, Postgres by what asyncpg reads; the certificate must be for the host."""
    for name in PROCESSES:
        environment = rendered(PRODUCTION).environment(name)
        assert environment["REDIS_TLS"] == "true"
        assert environment["REDIS_HOST"] not in {"redis", "127.0.0.1"}
        assert environment["PGSSLMODE"] == "verify-full"
        assert environment["PGSSLROOTCERT"] == "/etc/ssl/certs/ca-certificates.crt"
    assert not rendered(PRODUCTION).of("StatefulSet")


@EACH
def test_a_private_authority_is_known_to_every_connection(name: str) -> None:
    """Its bundle replaces the image's file, which the settings of asyncpg and OpenSSL name."""
    manifests = rendered("overlays/production + private-ca")
    [mount] = [one for one in manifests.container(name)["volumeMounts"] if one["name"] == "ca-bundle"]
    environment = manifests.environment(name)
    assert mount["mountPath"] == environment["SSL_CERT_FILE"] == environment["PGSSLROOTCERT"]
    assert {"name": "ca-bundle", "configMap": {"name": "filas-ca-bundle"}} in manifests.pod(name)["volumes"]


@EACH
@BOTH
def test_probes_ask_the_private_listener(overlay: str, name: str) -> None:
    """Ready by /readyz; alive, also while it starts, by /livez, which doesn't depend on a store."""
    manifests = rendered(overlay)
    container = manifests.container(name)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    environment = manifests.environment(name)
    wanted = {"private": PROCESSES[name].private_port} | ({"public": "INGEST_PORT"} if name == "ingest" else {})
    assert ports == {key: int(environment.get(one) or known(name)[one].default or 0) for key, one in wanted.items()}
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "private"}, probe
        assert container[probe]["timeoutSeconds"] >= 3, probe
    # A store that is unavailable for a while, or a long garbage collection, must not kill the pod.
    assert container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"] >= 30


@EACH
@BOTH
def test_there_is_time_to_drain(overlay: str, name: str) -> None:
    """Longer than all the time limits of an orderly stop together, so that nothing is killed under way."""
    manifests = rendered(overlay)
    listener_s = inspect.signature(serve_app).parameters["shutdown_s"].default
    if name == "ingest":
        delay_s = int(manifests.environment(name)["SHUTDOWN_DELAY_S"] or 0)
        # Longer than the readiness probe needs to be noticed.
        probe = manifests.container(name)["readinessProbe"]
        assert delay_s >= probe["periodSeconds"] * probe["failureThreshold"]
        longest = delay_s + 2 * listener_s
    else:
        longest = DRAIN_S + 3 + listener_s
    assert manifests.pod(name)["terminationGracePeriodSeconds"] > longest + CLOSE_TIMEOUT_S


@EACH
@BOTH
def test_replicas_are_spread_and_replaced_one_by_one(overlay: str, name: str) -> None:
    """Over nodes and zones; a roll-out never has fewer ready than before; a drain of a node waits for one at a time."""
    manifests = rendered(overlay)
    labels = manifests.one("Deployment", name)["spec"]["selector"]["matchLabels"]
    constraints = manifests.pod(name)["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for constraint in constraints:
        assert constraint["labelSelector"]["matchLabels"] == labels
        # A cluster with one node runs it too.
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
    strategy = manifests.one("Deployment", name)["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    budget = manifests.one("PodDisruptionBudget", name)["spec"]
    assert budget["selector"]["matchLabels"] == labels
    # Not `minAvailable`, with which a single replica could never be moved; and what is sick anyway may go.
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@BOTH
def test_priorities_are_those_of_the_queues(overlay: str) -> None:
    """The worker of the more important queue is scheduled first, and evicts no other pod."""
    manifests = rendered(overlay)
    classes = {one["metadata"]["name"]: one for one in manifests.of("PriorityClass")}
    value = {name: classes[manifests.pod(name)["priorityClassName"]]["value"] for name in PROCESSES}
    by_queue = sorted(QUEUES, key=lambda worker: QUEUES[worker].priority)
    assert [QUEUES[worker] for worker in by_queue] == [policies.WEBHOOKS, policies.FLOWS, policies.NOTIFICATIONS]
    assert value["ingest"] == value["ingest-worker"] > value["flow-runner"] > value["notifier"] > 0
    assert value["ingest"] > value["ingest-admin"] > value["notifier"]
    assert all(one["preemptionPolicy"] == "Never" and not one.get("globalDefault") for one in classes.values())
    assert {manifests.pod(name)["priorityClassName"] for name in PROCESSES} == classes.keys()


def test_cpu_is_shared_as_in_compose() -> None:
    """By the queues' priorities: where it is short, each gets the same part of it here and there."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    asked = {name: quantity(rendered(PRODUCTION).container(name)["resources"]["requests"]["cpu"]) for name in PROCESSES}
    assert {share / services[name]["cpu_shares"] for name, share in asked.items()} == {asked["notifier"] / 1024}


def test_the_memory_alert_comes_before_the_limit() -> None:
    """FilasMemoryHigh fires while a process still lives, whichever it is."""
    rules = yaml.safe_load((PROMETHEUS / "rules" / "availability.yml").read_text())["groups"][0]["rules"]
    [rule] = [one for one in rules if one.get("alert") == "FilasMemoryHigh"]
    found = re.search(r"> (\d+) \* 1024 \* 1024$", rule["expr"])
    assert found, rule["expr"]
    for name in PROCESSES:
        limit = quantity(rendered(PRODUCTION).container(name)["resources"]["limits"]["memory"])
        assert int(found[1]) * 2**20 <= limit * Decimal("0.8"), name


# ---- images and migrations -------------------------------------------------------------------------


def versions() -> set[str]:
    """Of the packages that the images hold."""
    paths = [ROOT / "shared/pyproject.toml", *ROOT.glob("services/*/pyproject.toml")]
    return {tomllib.loads(path.read_text())["project"]["version"] for path in paths}


@pytest.mark.parametrize("variation", VARIATIONS)
def test_an_image_is_of_one_release(variation: str) -> None:
    """By a tag: for production the version of the packages, the same for all. What a node has it doesn't fetch."""
    manifests = rendered(variation)
    for name in manifests.pods():
        container = manifests.container(name)
        image, _, tag = container["image"].rpartition(":")
        assert image, container["image"]
        assert tag not in {"", "latest"}
        if "filas" in image:
            assert {tag} == ({"development"} if variation == DEVELOPMENT else versions()), name
            assert container["imagePullPolicy"] == "IfNotPresent"
            assert (ROOT / "services" / image.rpartition("filas-")[2] / "Dockerfile").exists()


MIGRATIONS = {
    DEVELOPMENT: ("filas-migrate", "all"),
    "overlays/production/migrate-pre": ("filas-migrate-pre", "pre"),
    "overlays/production/migrate-post": ("filas-migrate-post", "all"),
}


@pytest.mark.parametrize("overlay", MIGRATIONS)
def test_a_migration_runs_by_itself(overlay: str) -> None:
    """A Job for which nothing has to be in the cluster but its Secret, of which it gets the database's address."""
    manifests = rendered(overlay)
    name, phase = MIGRATIONS[overlay]
    assert manifests.names("Job") == {name}
    assert manifests.container(name)["command"] == ["filas", "migrate", "--phase", phase]
    environment = manifests.environment(name)
    assert environment.keys() - OF_THE_LIBRARIES == {"DATABASE_URL"}
    assert environment["DATABASE_URL"] is None
    if overlay != DEVELOPMENT:
        assert environment["PGSSLMODE"] == "verify-full"
        assert {document["kind"] for document in manifests.documents} == {"Job", "ServiceAccount"}
        assert "priorityClassName" not in manifests.pod(name)
    job: dict[str, Any] = manifests.one("Job", name)["spec"]
    assert job["ttlSecondsAfterFinished"] > 0
    assert job["backoffLimit"] > 0


def test_what_is_applied_for_a_release_runs_no_migration() -> None:
    """They are applied before and after it, by themselves."""
    assert not rendered(PRODUCTION).of("Job")


def test_variations_are_made_of_manifests() -> None:
    """A slip in the fixtures would let everything pass."""
    for overlay in rendered_overlays:
        manifests: Manifests = rendered(overlay)
        assert manifests.names("Deployment") == PROCESSES.keys()
