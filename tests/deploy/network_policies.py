"""What NetworkPolicies let through, as their documentation defines it, for as much of them as we use.

A connection is there when the policies that select its source let it out and those that select its target let it in;
a pod that no policy selects in that direction is open. Named ports are those of the target's container.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.deploy.kustomize import Manifests

NAMESPACE = "filas"


@dataclass(frozen=True)
class Pod:
    """One end of a connection inside of the cluster. `ports`: its named ports."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """One end outside of the cluster."""

    ip: str


End = Pod | Address


def pod_of(manifests: Manifests, name: str) -> Pod:
    """A pod of ours."""
    ports = manifests.container(name).get("ports", [])
    labels = manifests.pods()[name]["metadata"]["labels"]
    return Pod(NAMESPACE, labels, {port["name"]: port["containerPort"] for port in ports})


def reaches(manifests: Manifests, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection from `source` to this port of `target` comes about."""
    leaves = not isinstance(source, Pod) or _lets(manifests, "Egress", source, target, target, port, protocol)
    return leaves and (
        not isinstance(target, Pod) or _lets(manifests, "Ingress", target, source, target, port, protocol)
    )


def _lets(manifests: Manifests, direction: str, subject: Pod, peer: End, target: End, port: int, protocol: str) -> bool:
    """Whether the policies of one end allow it; they exist in our namespace alone."""
    chosen = [policy for policy in manifests.of("NetworkPolicy") if _selects(policy["spec"], direction, subject)]
    if not chosen:
        return True
    rules = [rule for policy in chosen for rule in policy["spec"].get(direction.lower(), [])]
    side = "to" if direction == "Egress" else "from"
    return any(
        any(_is(one, peer) for one in rule[side]) and any(_fits(one, target, port, protocol) for one in _ports(rule))
        for rule in rules
    )


def _selects(spec: dict[str, Any], direction: str, pod: Pod) -> bool:
    return pod.namespace == NAMESPACE and direction in spec["policyTypes"] and _matches(spec["podSelector"], pod.labels)


def _ports(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    # A rule without ports would be one for all of them: ours name theirs.
    yield from rule["ports"]


def _fits(one: dict[str, Any], target: End, port: int, protocol: str) -> bool:
    wanted: int | str | None = one.get("port", port)
    if isinstance(wanted, str):
        wanted = target.ports.get(wanted) if isinstance(target, Pod) else None
    right: bool = one.get("protocol", "TCP") == protocol
    return right and wanted == port


def _is(one: dict[str, Any], end: End) -> bool:
    if isinstance(end, Address):
        block = one.get("ipBlock")
        return block is not None and _contains(block, end.ip)
    namespaces, pods = one.get("namespaceSelector"), one.get("podSelector")
    if namespaces is None and pods is None:
        return False
    name = {"kubernetes.io/metadata.name": end.namespace}
    inside = end.namespace == NAMESPACE if namespaces is None else _matches(namespaces, name)
    return inside and (pods is None or _matches(pods, end.labels))


def _contains(block: dict[str, Any], ip: str) -> bool:
    address = ip_address(ip)
    networks = [ip_network(text) for text in (block["cidr"], *block.get("except", []))]
    inside = [address.version == network.version and address in network for network in networks]
    return inside[0] and not any(inside[1:])


def _matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    same = selector.get("matchLabels", {}).items() <= labels.items()
    return same and all(_holds(one, labels) for one in selector.get("matchExpressions", []))


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    found = labels.get(expression["key"])
    inside: bool = found in expression["values"]
    return {"In": inside, "NotIn": not inside}[expression["operator"]]
