"""Redis behind Sentinels and as a Cluster, in containers: a master is killed under load, comes back, all are restarted.

`make test-deploy`.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.deploy.deployment import Deployment, docker, needs_engine
from tests.deploy.load import Senders, prepare, until_all_finished
from tests.waiting import eventually

pytestmark = needs_engine

RATE = 30
FILES = {"sentinel": "deploy/redis/sentinel.compose.yml", "cluster": "deploy/redis/cluster.compose.yml"}
NODES = {"sentinel": ["redis", "redis-2", "redis-3"], "cluster": ["redis", *(f"redis-{at}" for at in range(2, 7))]}
FAIL_OVER_S = 60


class Topology(Deployment):
    """Filas over one of the two, and how its nodes are asked."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, beside=[FILES[kind]])
        self.kind = kind
        # A network that an installation on this machine won't have.
        self.environment |= {"REDIS_SENTINEL_PASSWORD": "watch-well", "REDIS_SUBNET": "172.30.98"}

    def ask(self, service: str, *command: str) -> list[str]:
        """What `redis-cli` in a node's container answers, a line a line."""
        return self.compose("exec", "-T", service, "redis-cli", *command).splitlines()

    def role(self, service: str) -> str:
        """`master` or `slave`."""
        return self.ask(service, "role")[0]

    def masters(self, living: list[str]) -> list[str]:
        """Which of these nodes are masters."""
        return [service for service in living if self.role(service) == "master"]

    def first_master(self) -> str:
        """The master that Sentinels name, or that has the slot of the flows' queue."""
        if self.kind == "sentinel":
            address = self.ask("sentinel-1", "-p", "26379", "sentinel", "get-master-addr-by-name", "filas")[0]
            return NODES["sentinel"][int(address.rpartition(".")[2]) - 201]
        slot = int(self.ask("redis", "cluster", "keyslot", "flow-processing")[0])
        for line in self.ask("redis", "cluster", "nodes"):
            fields = line.split()
            for slots in fields[8:]:
                low, _, high = slots.partition("-")
                if int(low) <= slot <= int(high or low):
                    return fields[1].rpartition(",")[2]
        raise AssertionError(f"nobody has the slot {slot}")


@pytest.fixture(scope="module", params=FILES)
def topology(request: pytest.FixtureRequest) -> Iterator[Topology]:
    """Everything up and built; removed with its volumes afterwards."""
    topology = Topology(request.param)
    try:
        topology.compose("up", "--build", "--detach")
        yield topology
    finally:
        topology.remove()


async def test_a_master_that_is_killed_under_load_loses_nothing(topology: Topology) -> None:
    """No webhook is refused; the next master takes over; each flow ends once. Started again, the old one follows."""
    await topology.until_ready()
    prepare(topology)
    senders = Senders(topology, "fail-over", RATE)
    nodes = NODES[topology.kind]
    async with asyncio.TaskGroup() as group:
        group.create_task(senders.run())
        await eventually(lambda: len(senders.accepted) > 3 * RATE, message=str(senders.answers))
        # In threads: a blocked event loop would let the listener close connections on which it sends nothing.
        old = await asyncio.to_thread(topology.first_master)
        others = [node for node in nodes if node != old]
        before = set(await asyncio.to_thread(topology.masters, others))
        await asyncio.to_thread(lambda: docker("kill", topology.containers(old)[0]))

        async def has_new_master() -> bool:
            return set(await asyncio.to_thread(topology.masters, others)) > before

        await eventually(has_new_master, timeout=FAIL_OVER_S, message="no new master")
        so_far = len(senders.accepted)
        await eventually(lambda: len(senders.accepted) > so_far + 3 * RATE, timeout=60, message=str(senders.answers))
        senders.stop.set()
    assert set(senders.answers) == {"200"}, senders.refused[:5]
    await until_all_finished(topology, senders, timeout=120)
    topology.compose("start", old)
    await eventually(lambda: topology.role(old) == "slave", timeout=FAIL_OVER_S, message=f"{old} follows no master")


async def test_all_nodes_restarted_at_once_find_one_another(topology: Topology) -> None:
    """Their addresses may differ afterwards. Earlier jobs are finished, and new jobs too."""
    nodes = NODES[topology.kind]
    watchers = ["sentinel-1", "sentinel-2", "sentinel-3"] if topology.kind == "sentinel" else []
    senders = Senders(topology, "restart", RATE)
    async with asyncio.TaskGroup() as group:
        group.create_task(senders.run())
        await eventually(lambda: len(senders.accepted) > RATE, message=str(senders.answers))
        await asyncio.to_thread(topology.compose, "stop", *nodes, *watchers)
        # In another order, so that the engine gives them other addresses.
        for service in [*reversed(watchers), *reversed(nodes)]:
            await asyncio.to_thread(topology.compose, "start", service)
        so_far = len(senders.accepted)
        await eventually(lambda: len(senders.accepted) > so_far + RATE, timeout=60, message=str(senders.answers))
        senders.stop.set()
    assert set(senders.answers) == {"200"}, senders.refused[:5]
    await until_all_finished(topology, senders, timeout=180)
    found = topology.masters(nodes)
    assert len(found) == (1 if topology.kind == "sentinel" else 3)


async def test_no_client_connects_without_a_password(topology: Topology) -> None:
    """Neither by the nodes nor by the Sentinels; all run as an ordinary user, and can't write but to their data."""
    listeners = [(node, "6379") for node in NODES[topology.kind]]
    if topology.kind == "sentinel":
        listeners += [(f"sentinel-{at}", "26379") for at in (1, 2, 3)]
    for service, port in listeners:
        answer = topology.compose("exec", "-T", service, "env", "-u", "REDISCLI_AUTH", "redis-cli", "-p", port, "ping")
        assert "NOAUTH" in answer, service
        assert topology.compose("exec", "-T", service, "id", "-u").strip() == "999"
        assert topology.inspect(service, "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}") == ["true [ALL]"]
    assert topology.ask("redis", "config", "get", "maxmemory-policy")[1] == "noeviction"
    assert topology.ask("redis", "config", "get", "appendonly")[1] == "yes"
