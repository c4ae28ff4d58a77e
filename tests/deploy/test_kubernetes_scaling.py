"""What scales the processes: by metrics that exist, for the right queue, and to the numbers that were meant."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import yaml

from ingest.api.operations.scaling_routes import WORKERS as QUEUES
from ingest.api.operations.scaling_routes import WorkerScaling
from tests.deploy.kustomize import KUBERNETES, VARIATIONS, Manifest, needs_kubectl, rendered
from tests.deploy.promtool import needs_prometheus, promtool
from tests.process_table import PROCESSES, WORKERS
from tests.reference.metrics import metrics_in, ours, series_names

pytestmark = [needs_kubectl, pytest.mark.starts_processes]

BY_PROMETHEUS = "overlays/production + keda"
BY_API = "overlays/production + keda-api"
BY_HPA = "overlays/production + hpa"
EACH = pytest.mark.parametrize("worker", WORKERS)
ADAPTER = yaml.safe_load((KUBERNETES / "components/hpa/prometheus-adapter-values.yaml").read_text())
STATES = {"state": {"waiting", "active", "delayed", "failed", "running", "free"}, "outcome": {"completed", "failed"}}
TARGET_AGE_S = 5


def scaled(variation: str) -> dict[str, list[Manifest]]:
    """The autoscalers of each Deployment."""
    manifests = rendered(variation)
    found: dict[str, list[Manifest]] = {name: [] for name in manifests.names("Deployment")}
    for one in manifests.of("HorizontalPodAutoscaler", "ScaledObject"):
        found[one["spec"]["scaleTargetRef"]["name"]].append(one)
    return found


def triggers(variation: str, worker: str) -> dict[str, Manifest]:
    """Those of the worker's ScaledObject by their names; "" for one without."""
    spec = rendered(variation).one("ScaledObject", worker)["spec"]
    return {trigger.get("name", ""): trigger for trigger in spec["triggers"]}


def adapter_query(queue: str) -> str:
    """What prometheus-adapter asks Prometheus for an autoscaler of this queue."""
    [rule] = ADAPTER["rules"]["external"]
    query: str = rule["metricsQuery"]
    query = query.replace("<<.Series>>", "filas_queue_oldest_waiting_seconds")
    return query.replace("<<.LabelMatchers>>", f'queue="{queue}"')


@pytest.mark.parametrize("variation", [one for one in VARIATIONS if "migrate" not in one])
def test_the_number_is_said_by_one(variation: str) -> None:
    """The Deployment or one autoscaler: applying the manifests again must not undo the autoscaler's number."""
    for name, autoscalers in scaled(variation).items():
        fixed = "replicas" in rendered(variation).one("Deployment", name)["spec"]
        assert fixed + len(autoscalers) == 1, name
    for one in rendered(variation).of("HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        assert (target["apiVersion"], target["kind"]) == ("apps/v1", "Deployment")


def test_production_has_two_of_everything() -> None:
    """At least two, by the Deployment or by the autoscaler: one pod may end at any time."""
    for variation in ("overlays/production", BY_PROMETHEUS, BY_API, BY_HPA):
        manifests = rendered(variation)
        for name, autoscalers in scaled(variation).items():
            specs = [one["spec"] for one in autoscalers]
            least = [spec.get("minReplicas", spec.get("minReplicaCount")) for spec in specs]
            assert (least or [manifests.one("Deployment", name)["spec"].get("replicas")]) == [2], name


def test_ingest_is_scaled_by_its_cpu() -> None:
    """What it uses of the one core that it can use; at once upwards, slowly down."""
    [autoscaler] = scaled("overlays/production")["ingest"]
    [metric] = autoscaler["spec"]["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "600m"}}
    assert rendered("overlays/production").container("ingest")["resources"]["limits"]["cpu"] == "1"
    check_behavior(autoscaler["spec"]["behavior"])


@EACH
def test_workers_are_scaled_alike_by_all_three(worker: str) -> None:
    """Between the same numbers; at once upwards, slowly down."""
    [hpa] = scaled(BY_HPA)[worker]
    bounds = (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"])
    check_behavior(hpa["spec"]["behavior"])
    for variation in (BY_PROMETHEUS, BY_API):
        [one] = scaled(variation)[worker]
        assert (one["spec"]["minReplicaCount"], one["spec"]["maxReplicaCount"]) == bounds
        check_behavior(one["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"])


def check_behavior(behavior: dict[str, Any]) -> None:
    """A burst is met at once; what isn't needed any more is kept for five minutes."""
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300


@EACH
def test_queries_ask_for_what_exists_of_the_workers_queue(worker: str) -> None:
    """Metrics, labels and their values; every figure is of the queue that the worker alone consumes."""
    queries = [trigger["metadata"]["query"] for trigger in triggers(BY_PROMETHEUS, worker).values()]
    for query in queries:
        assert metrics_in(query) <= series_names()
        assert set(re.findall(r'queue="([^"]*)"', query)) == {QUEUES[worker].name}
    for query in [*queries, adapter_query(QUEUES[worker].name)]:
        for metric, selector in re.findall(r"(filas_\w+)\{([^}]*)\}", query):
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selector):
                assert label in ours()[metric]._labelnames
                assert label not in STATES or set(values.split("|")) <= STATES[label]
    [metric] = [one["external"] for one in scaled(BY_HPA)[worker][0]["spec"]["metrics"] if one["type"] == "External"]
    assert metric["metric"]["selector"]["matchLabels"] == {"queue": QUEUES[worker].name}
    assert metric["target"] == {"type": "Value", "value": str(TARGET_AGE_S)}
    [rule] = ADAPTER["rules"]["external"]
    assert rule["seriesQuery"].startswith(metric["metric"]["name"] + "{")


def test_missing_figures_remove_no_worker() -> None:
    """Without a value from Prometheus the age is an error, and an autoscaler with an error does not scale down."""
    for worker in WORKERS:
        assert triggers(BY_PROMETHEUS, worker)["oldest"]["metadata"]["ignoreNullValues"] == "false"
        assert "vector" not in triggers(BY_PROMETHEUS, worker)["oldest"]["metadata"]["query"]


# ---- what the queries answer -----------------------------------------------------------------------


def series(queue: str, **changes: str) -> list[dict[str, str]]:
    """A queue over ten minutes as two ingests report it; the values may be changed by the names here."""
    values = {
        "age": "0x10",
        "waiting": "0x10",
        "running": "50x10",
        "free": "50x10",
        "paused": "0x10",
        "rate": "0+600x10",
    }
    values |= changes
    q = f'queue="{queue}"'
    found = {f'filas_jobs_total{{{q},function="f",outcome="completed"}}': values["rate"]}
    for instance in ("a", "b"):
        i = f'instance="{instance}"'
        found |= {
            f"filas_queue_oldest_waiting_seconds{{{q},{i}}}": values["age"],
            f'filas_queue_jobs{{{q},state="waiting",{i}}}': values["waiting"],
            f'filas_worker_slots{{{q},state="running",{i}}}': values["running"],
            f'filas_worker_slots{{{q},state="free",{i}}}': values["free"],
            f"filas_queue_paused{{{q},{i}}}": values["paused"],
        }
    return [{"series": name, "values": value} for name, value in found.items() if value]


FULL = {"running": "100x10", "free": "0x10"}
CASES: list[tuple[str, dict[str, str], dict[str, float | None]]] = [
    ("in time: the share of busy slots decides", {}, {"oldest": 0, "backlog": 0, "slots": 50}),
    ("too old with full slots", {"age": "40x10", **FULL}, {"oldest": 40, "backlog": 0, "slots": 100}),
    (
        "too old beside free slots: as many as there are",
        {"age": "40x10", "waiting": "900x10"},
        {"oldest": TARGET_AGE_S, "backlog": 0, "slots": 50},
    ),
    ("a little old beside free slots", {"age": "3x10"}, {"oldest": 3, "backlog": 0, "slots": 50}),
    (
        "a backlog of 600 at 10 a second takes a minute",
        {"age": "4x10", "waiting": "600x10", **FULL},
        {"oldest": 4, "backlog": 60, "slots": 100},
    ),
    (
        "nothing ends: the calculation assumes at least one job per second",
        {"age": "90x10", "waiting": "600x10", "rate": "", **FULL},
        {"oldest": 90, "backlog": 600, "slots": 100},
    ),
    (
        "paused, while the last jobs still run",
        {"age": "900x10", "waiting": "9000x10", "paused": "1x10", **FULL},
        {"oldest": TARGET_AGE_S, "backlog": 0, "slots": 100},
    ),
    (
        "nobody works: more of what doesn't start is no help",
        {"age": "900x10", "waiting": "9x10", "running": "0x10", "free": "0x10"},
        {"oldest": TARGET_AGE_S, "backlog": 0, "slots": 0},
    ),
    (
        "no figures",
        {"age": "", "waiting": "", "running": "", "free": "", "paused": "", "rate": ""},
        {"oldest": None, "backlog": 0, "slots": 0},
    ),
]


@needs_prometheus
@EACH
def test_what_the_queries_answer(worker: str, tmp_path: Path) -> None:
    """One number each (or none), as Prometheus computes it; prometheus-adapter's is that of `oldest`."""
    queue = QUEUES[worker].name
    queries = {name: trigger["metadata"]["query"] for name, trigger in triggers(BY_PROMETHEUS, worker).items()}
    tests = []
    for name, changes, answers in CASES:
        asked = []
        for key, answer in answers.items():
            samples = [] if answer is None else [{"labels": "{}", "value": answer}]
            asked.append({"expr": queries[key], "eval_time": "8m", "exp_samples": samples})
        answer = answers["oldest"]
        samples = [] if answer is None else [{"labels": f'{{queue="{queue}"}}', "value": answer}]
        asked.append({"expr": adapter_query(queue), "eval_time": "8m", "exp_samples": samples})
        tests.append(
            {"name": name, "interval": "1m", "input_series": series(queue, **changes), "promql_expr_test": asked}
        )
    written = tmp_path / "queries.yml"
    written.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(written))


# ---- by Filas' own answer --------------------------------------------------------------------------


@EACH
def test_keda_asks_for_one_replica_for_each_that_is_asked_for(worker: str) -> None:
    """At the private Service, within the ScaledObject's own bounds, with the token of the Secret."""
    manifests = rendered(BY_API)
    spec = manifests.one("ScaledObject", worker)["spec"]
    [trigger] = spec["triggers"]
    url = urlsplit(trigger["metadata"]["url"])
    service = manifests.one("Service", "ingest-admin-private")
    assert url.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert url.port == service["spec"]["ports"][0]["port"]
    assert url.hostname in (manifests.environment("ingest-admin")["ADMIN_HOSTS"] or "").split(",")
    assert url.path == f"/api/scaling/{worker}"
    assert parse_qs(url.query) == {"min": [str(spec["minReplicaCount"])], "max": [str(spec["maxReplicaCount"])]}
    assert (trigger["metricType"], trigger["metadata"]["targetValue"]) == ("AverageValue", "1")
    fields = {field.encode_name for field in msgspec.structs.fields(WorkerScaling)}
    envelope, _, field = trigger["metadata"]["valueLocation"].partition(".")
    assert (envelope, field in fields) == ("data", True)
    authentication = manifests.one("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]
    [reference] = [
        one["valueFrom"]["secretKeyRef"] for one in manifests.container("ingest-admin")["env"] if "TOKEN" in one["name"]
    ]
    assert authentication["secretTargetRef"] == [{"parameter": "token", **reference}]


def test_the_processes_are_those_that_are_scaled() -> None:
    """Three workers and ingest, whichever component is chosen. Operators need no autoscaler."""
    assert set(WORKERS) == QUEUES.keys()
    for variation in (BY_PROMETHEUS, BY_API, BY_HPA):
        assert {name for name, autoscalers in scaled(variation).items() if autoscalers} == {"ingest", *WORKERS}
        assert scaled(variation).keys() == PROCESSES.keys()
