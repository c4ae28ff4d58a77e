"""The manifests of Redis' two topologies: rendered into an overlay, known to Kubernetes, confined as ours, and what the
settings make of the variables that they give to the processes."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from filas.settings import setting_groups, settings_reader
from tests.deploy.kubernetes_schemas import OLDEST, VERSIONS, read_all, validate
from tests.deploy.promtool import DEPLOY
from tests.process_table import PROCESSES

SECRETS = {
    "DATABASE_URL": "postgresql://filas_write:x@postgres:5432/filas",
    "DATABASE_READ_URL": "postgresql://filas_read:x@postgres:5432/filas",
    "REDIS_PASSWORD": "x",
    "REDIS_SENTINEL_PASSWORD": "y",
    "FILAS_SECRET_KEY": "long-and-random-long-and-random-key",
    "FILAS_ADMIN_TOKEN": "long-and-random-long-and-random-token",
}
KINDS = ("sentinel", "cluster")
STATEFUL = {"sentinel": {"redis-node": 3, "redis-sentinel": 3}, "cluster": {"redis-cluster": 6}}
EACH = pytest.mark.parametrize("kind", KINDS)

Manifest = dict[str, Any]


def kubectl() -> str | None:
    """Where it is: beside this Python, or on PATH."""
    return shutil.which(str(Path(sys.executable).with_name("kubectl"))) or shutil.which("kubectl")


pytestmark = [
    pytest.mark.skipif(kubectl() is None, reason="needs kubectl on PATH"),
    pytest.mark.starts_processes,
]


@cache
def rendered(kind: str) -> tuple[Manifest, ...]:
    """Everything of an overlay that has this topology."""
    with TemporaryDirectory() as directory:
        for part in ("kubernetes", "redis"):
            shutil.copytree(DEPLOY / part, Path(directory) / part)
        overlay = Path(directory) / "kubernetes" / "overlays" / "tried"
        overlay.mkdir()
        (overlay / "kustomization.yaml").write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "kustomize.config.k8s.io/v1beta1",
                    "kind": "Kustomization",
                    "namespace": "filas",
                    "resources": ["../../base"],
                    "components": [f"../../../redis/kubernetes/{kind}"],
                }
            )
        )
        done = subprocess.run([str(kubectl()), "kustomize", str(overlay)], check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return tuple(read_all(done.stdout))


def stores(kind: str) -> dict[str, Manifest]:
    """The StatefulSets by their names."""
    return {one["metadata"]["name"]: one for one in rendered(kind) if one["kind"] == "StatefulSet"}


@EACH
def test_everything_fits_the_schemas(kind: str) -> None:
    """Strictly, for the newest Kubernetes that the validator knows and an old one."""
    for document in rendered(kind):
        for version in (OLDEST, VERSIONS[-1]):
            validate(document, version)


@EACH
def test_a_node_is_confined_watched_and_bounded(kind: str) -> None:
    """As our own processes are: the level `restricted`, probes, limits, no secret in the open, spread over machines."""
    assert {name: one["spec"]["replicas"] for name, one in stores(kind).items()} == STATEFUL[kind]
    for one in stores(kind).values():
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert "affinity" in pod or "topologySpreadConstraints" in pod
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"readinessProbe", "livenessProbe", "startupProbe"} <= set(container)
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        for variable in container["env"]:
            assert "PASSWORD" not in variable["name"] or "secretKeyRef" in variable["valueFrom"]


@EACH
def test_each_set_of_nodes_has_its_service_and_a_budget(kind: str) -> None:
    """Names are theirs while they aren't ready; at most one is taken away at a time."""
    found = {(one["kind"], one["metadata"]["name"]): one["spec"] for one in rendered(kind) if "spec" in one}
    for name, one in stores(kind).items():
        labels = one["spec"]["template"]["metadata"]["labels"]
        service, budget = found["Service", name], found["PodDisruptionBudget", name]
        assert one["spec"]["serviceName"] == name
        assert service["clusterIP"] == "None"
        assert service["publishNotReadyAddresses"] is True
        assert service["selector"].items() <= labels.items()
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"].items() <= labels.items()


@EACH
@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_finds_the_nodes_that_there_are(kind: str, name: str) -> None:
    """The settings take what the manifests give, and every address is that of a pod and its port."""
    documents = rendered(kind)
    [deployment] = [one for one in documents if (one["kind"], one["metadata"]["name"]) == ("Deployment", name)]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    maps = {one["metadata"]["name"]: one["data"] for one in documents if one["kind"] == "ConfigMap"}
    given: dict[str, str] = {}
    for source in container["envFrom"]:
        given |= maps[source["configMapRef"]["name"]]
    given |= {one["name"]: one.get("value") or SECRETS[one["name"]] for one in container["env"]}
    loaded: Any = settings_reader.load(PROCESSES[name].settings, given)
    redis: setting_groups.RedisSettings = loaded.redis
    if kind == "cluster":
        assert (redis.redis_cluster, redis.redis_host, redis.redis_port) == (True, "redis-cluster", 6379)
        return
    assert redis.redis_sentinel_password is not None
    assert list(redis.redis_sentinels) == [(f"redis-sentinel-{at}.redis-sentinel", 26379) for at in range(3)]


def test_a_cluster_knows_all_its_nodes() -> None:
    """The list that the scripts are given is that of the pods."""
    one = stores("cluster")["redis-cluster"]
    [container] = one["spec"]["template"]["spec"]["containers"]
    given = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert given["CLUSTER_NODES"] == " ".join(f"redis-cluster-{at}.redis-cluster" for at in range(6))
    assert given["NODE"] == "$(POD).redis-cluster"


@EACH
def test_only_our_processes_and_the_nodes_reach_a_node(kind: str) -> None:
    """And migrating, which needs Postgres alone, does not."""
    policies = {one["metadata"]["name"]: one["spec"] for one in rendered(kind) if one["kind"] == "NetworkPolicy"}
    callers = [peer["podSelector"] for rule in policies["redis"]["ingress"] for peer in rule["from"]]
    assert [one["matchLabels"]["app.kubernetes.io/name"] for one in callers] == ["filas", "redis"]
    assert policies["redis"]["policyTypes"] == ["Ingress", "Egress"]
    for selector in (callers[0], policies["redis-clients"]["podSelector"]):
        assert selector["matchExpressions"][0]["values"] == ["migrate"]
