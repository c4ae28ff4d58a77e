"""Who reaches whom in the cluster, and what of it is open to the world."""

from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
import yaml

from filas.outbound import address_rules
from filas.settings.process_settings import IngestServeSettings
from filas.settings.setting_groups import AdminSettings
from filas.settings.settings_reader import load
from tests.deploy.kustomize import VARIATIONS, Manifests, needs_kubectl, rendered
from tests.deploy.network_policies import NAMESPACE, Address, End, Pod, pod_of, reaches
from tests.deploy.promtool import PROMETHEUS
from tests.deploy.test_kubernetes_pods import SECRETS
from tests.process_table import PROCESSES, WORKERS

pytestmark = [needs_kubectl, pytest.mark.starts_processes]

DEVELOPMENT, PRODUCTION = "overlays/development", "overlays/production"
PRIVATE = {"ingest": 8085, "ingest-admin": 8081, "ingest-worker": 8084, "flow-runner": 8082, "notifier": 8083}
NAMES = Pod("kube-system", {"k8s-app": "kube-dns"}, {"dns": 53, "dns-tcp": 53})
CONTROLLER, PROMETHEUS_POD, KEDA = Pod("ingress-nginx"), Pod("monitoring"), Pod("keda")
STRANGER, NEIGHBOUR = Pod("default"), Pod(NAMESPACE, {"app.kubernetes.io/name": "something-else"})
WORLD = ("93.184.216.34", "2606:4700::1111")
CLOUDS = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
"""Where clouds serve the metadata and credentials of a machine."""
INNER = ("10.0.0.1", "172.20.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fd00::1", "fe80::1", *CLOUDS)
EACH = pytest.mark.parametrize("name", PROCESSES)


def migrations() -> tuple[Manifests, Pod]:
    """What runs while the database is migrated: the policies of production, and a pod of the Job."""
    job = rendered("overlays/production/migrate-pre")
    return rendered(PRODUCTION), pod_of(job, "filas-migrate-pre")


def test_what_no_policy_names_is_closed() -> None:
    """In both directions, also for pods that are added to the namespace later."""
    for overlay in (DEVELOPMENT, PRODUCTION):
        default = rendered(overlay).one("NetworkPolicy", "default-deny")["spec"]
        assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        for name in PROCESSES:
            pod = pod_of(rendered(overlay), name)
            assert not reaches(rendered(overlay), NEIGHBOUR, pod, PRIVATE[name])
            assert not reaches(rendered(overlay), pod, NEIGHBOUR, 80)
            assert not reaches(rendered(overlay), STRANGER, pod, PRIVATE[name])
            assert not reaches(rendered(overlay), pod, STRANGER, 80)


@EACH
def test_a_process_reaches_its_stores_and_the_names(name: str) -> None:
    """In production at the addresses of the overlay, in development in the cluster; DNS by UDP and TCP."""
    production, development = rendered(PRODUCTION), rendered(DEVELOPMENT)
    here, there = pod_of(development, name), pod_of(production, name)
    for target, port in ((Address("10.1.0.7"), 6380), (Address("10.1.1.7"), 5432)):
        assert reaches(production, there, target, port)
        assert not reaches(production, there, target, port + 1)
    for store, port in (("redis", 6379), ("postgres", 5432)):
        assert reaches(development, here, pod_of(development, store), port)
    for protocol in ("UDP", "TCP"):
        assert reaches(production, there, NAMES, 53, protocol)
    assert not reaches(production, there, Pod("kube-system"), 443)
    environment = production.environment(name)
    assert environment["REDIS_PORT"] == "6380"
    assert development.environment(name)["REDIS_PORT"] == "6379"


def test_stores_in_the_cluster_are_for_our_processes_alone() -> None:
    """And go nowhere themselves."""
    development = rendered(DEVELOPMENT)
    for store, port in (("redis", 6379), ("postgres", 5432)):
        pod = pod_of(development, store)
        assert not any(
            reaches(development, one, pod, port) for one in (STRANGER, NEIGHBOUR, PROMETHEUS_POD, CONTROLLER)
        )
        assert not any(reaches(development, pod, Address(ip), 443) for ip in WORLD)


def test_a_migration_reaches_postgres_alone() -> None:
    """And the names."""
    production, job = migrations()
    assert reaches(production, job, Address("10.1.1.7"), 5432)
    assert reaches(production, job, NAMES, 53, "UDP")
    assert not reaches(production, job, Address("10.1.0.7"), 6380)
    assert not any(reaches(production, job, Address(ip), 443) for ip in WORLD)


@EACH
def test_flows_and_channels_call_the_world_and_nothing_private(name: str) -> None:
    """From the flow-runner and the notifier; ingest and its worker call no other system."""
    for overlay in (DEVELOPMENT, PRODUCTION):
        manifests = rendered(overlay)
        pod = pod_of(manifests, name)
        for ip in WORLD:
            for port in (80, 443, 8443):
                assert reaches(manifests, pod, Address(ip), port) == (name in {"flow-runner", "notifier"}), ip
        for ip in INNER:
            assert not reaches(manifests, pod, Address(ip), 443), ip


def test_the_network_refuses_what_the_services_refuse() -> None:
    """The same networks, so that neither is a hole in the other."""
    [rule] = rendered(PRODUCTION).one("NetworkPolicy", "outbound")["spec"]["egress"]
    v4, v6 = [one["ipBlock"] for one in rule["to"]]
    assert (v4["cidr"], v6["cidr"]) == ("0.0.0.0/0", str(address_rules._GLOBAL_UNICAST_V6))
    assert {ip_network(one) for one in v4["except"]} == {network for network, _ in address_rules._REFUSED_V4}
    assert {ip_network(one) for one in v6["except"]} == {network for network, _ in address_rules._REFUSED_V6}


@EACH
def test_only_webhooks_come_in_and_only_through_the_controller(name: str) -> None:
    """To ingest's public listener; never to a private one, where the API is."""
    production = rendered(PRODUCTION)
    pod = pod_of(production, name)
    assert reaches(production, CONTROLLER, pod, 8080) == (name == "ingest")
    assert not reaches(production, CONTROLLER, pod, PRIVATE[name])
    outsiders: list[End] = [*map(Address, WORLD), Address("10.0.0.1"), STRANGER, KEDA]
    for outside in outsiders:
        assert not any(reaches(production, outside, pod, port) for port in (8080, PRIVATE[name]))
    for other in PROCESSES:
        if other != name:
            assert not reaches(production, pod, pod_of(production, other), PRIVATE[other])


@EACH
def test_prometheus_reads_every_private_listener(name: str) -> None:
    """And nothing else."""
    for overlay in (DEVELOPMENT, PRODUCTION):
        manifests = rendered(overlay)
        pod = pod_of(manifests, name)
        assert reaches(manifests, PROMETHEUS_POD, pod, PRIVATE[name])
        assert not reaches(manifests, PROMETHEUS_POD, pod, 8080)


def test_keda_asks_the_api_where_it_scales_by_it() -> None:
    """KEDA reaches ingest-admin and no other process, and only with that component."""
    manifests = rendered("overlays/production + keda-api")
    assert reaches(manifests, KEDA, pod_of(manifests, "ingest-admin"), 8081)
    assert not reaches(manifests, KEDA, pod_of(manifests, "ingest"), 8080)
    assert not any(reaches(manifests, KEDA, pod_of(manifests, name), PRIVATE[name]) for name in ("ingest", *WORKERS))
    assert not reaches(rendered(PRODUCTION), KEDA, pod_of(rendered(PRODUCTION), "ingest-admin"), 8081)


def test_the_public_pods_hold_no_admin_token() -> None:
    """Only ingest-admin gets it, and no public Service or Ingress leads to ingest-admin."""
    for overlay in (DEVELOPMENT, PRODUCTION):
        manifests = rendered(overlay)
        holders = {name for name in PROCESSES if "FILAS_ADMIN_TOKEN" in manifests.environment(name)}
        assert holders == {"ingest-admin"}
        ports = manifests.container("ingest-admin")["ports"]
        assert [port["name"] for port in ports] == ["private"]


@pytest.mark.parametrize("variation", VARIATIONS)
def test_a_service_leads_to_pods_that_are_there(variation: str) -> None:
    """Of one Deployment, at a port that its container has; and what selects pods selects some."""
    manifests = rendered(variation)
    for service in manifests.of("Service"):
        [name] = manifests.selected(service["spec"]["selector"])
        ports = {port["name"] for port in manifests.container(name)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"
        assert "externalIPs" not in service["spec"]
    for maker in manifests.of("Deployment", "StatefulSet"):
        labels = maker["spec"]["selector"]["matchLabels"]
        assert manifests.selected(labels) == {maker["metadata"]["name"]}
    for stateful in manifests.of("StatefulSet"):
        assert manifests.one("Service", stateful["spec"]["serviceName"])["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("overlay", [DEVELOPMENT, PRODUCTION])
def test_a_private_listener_accepts_the_names_of_its_services_only(overlay: str) -> None:
    """The probes and Prometheus call a pod by its address, which is always accepted."""
    manifests = rendered(overlay)
    services = {f"{name}.{NAMESPACE}.svc" for name in manifests.names("Service")}
    for name in PROCESSES:
        given = manifests.environment(name)
        hosts = load(AdminSettings, {"ADMIN_HOSTS": given.get("ADMIN_HOSTS") or ""}).accepted_names
        assert hosts - {"localhost", "127.0.0.1"} <= services, name


def test_the_stores_of_development_are_found_by_their_names() -> None:
    """The settings have the names of their Services. (The addresses of Postgres: test_database_roles.py.)"""
    development = rendered(DEVELOPMENT)
    assert development.environment("ingest")["REDIS_HOST"] in development.names("Service")


def test_the_public_listener_alone_is_open_to_the_world() -> None:
    """One Ingress, over TLS, to the Service of webhooks, for the paths that there are."""
    production = rendered(PRODUCTION)
    [ingress] = production.of("Ingress")
    hosts = set()
    for rule in ingress["spec"]["rules"]:
        hosts.add(rule["host"])
        assert {path["path"] for path in rule["http"]["paths"]} == {"/webhooks/", "/resume/"}
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            [port] = production.one("Service", backend["name"])["spec"]["ports"]
            assert (backend["port"]["name"], port["targetPort"]) == (port["name"], "public")
    assert hosts == {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
    assert "defaultBackend" not in ingress["spec"]
    private = [service for service in production.of("Service") if service["metadata"]["name"].endswith("-private")]
    assert len(private) == len(PROCESSES)
    public = production.environment("flow-runner")["PUBLIC_URL"] or ""
    assert (urlsplit(public).scheme, urlsplit(public).hostname in hosts) == ("https", True)
    assert not rendered(DEVELOPMENT).of("Ingress")


def test_the_controller_is_believed_and_the_world_is_not() -> None:
    """TRUSTED_PROXIES is a network of the cluster."""
    environment = {
        key: SECRETS[key] if value is None else value
        for key, value in rendered(PRODUCTION).environment("ingest").items()
    }
    proxies = load(IngestServeSettings, environment).trusted_proxies
    assert proxies
    assert all(network.is_private and network.prefixlen >= 8 for network in proxies)


def test_prometheus_finds_the_pods_by_the_labels_that_they_have() -> None:
    """With its operator (PodMonitor), and without (deploy/prometheus/prometheus-kubernetes.yml)."""
    manifests = rendered("overlays/production + monitoring")
    monitor = manifests.one("PodMonitor", "filas")["spec"]
    [endpoint] = monitor["podMetricsEndpoints"]
    assert manifests.selected(monitor["selector"]["matchLabels"]) == PROCESSES.keys()
    assert (endpoint["port"], endpoint["path"]) == ("private", "/metrics")
    [job] = yaml.safe_load((PROMETHEUS / "prometheus-kubernetes.yml").read_text())["scrape_configs"]
    [discovery] = job["kubernetes_sd_configs"]
    assert discovery["namespaces"]["names"] == [NAMESPACE]
    key = monitor["jobLabel"]
    label = "__meta_kubernetes_pod_label_" + key.replace(".", "_").replace("/", "_").replace("-", "_")
    assert [rule["source_labels"] for rule in job["relabel_configs"] if rule.get("target_label") == "job"] == [[label]]
    assert job["relabel_configs"][0]["source_labels"] == [label]
    for name in PROCESSES:
        assert manifests.pods()[name]["metadata"]["labels"][key] == name
