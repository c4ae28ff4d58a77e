"""Several of each process behind the balancer, under load: containers are killed and replaced, and nothing is lost.

`make test-deploy`.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.deploy.deployment import Deployment, docker, needs_engine
from tests.deploy.load import Senders, prepare, until_all_finished
from tests.process_table import PROCESSES
from tests.waiting import eventually

pytestmark = needs_engine

RATE = 100
SCALES = [word for service in PROCESSES for word in ("--scale", f"{service}=2")]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Two of each process, the balancer in front, a receiver of messages outside."""
    deployment = Deployment("balanced", balanced=True)
    try:
        deployment.compose("up", "--build", "--detach", *SCALES)
        yield deployment
    finally:
        deployment.remove()


async def under_load(deployment: Deployment, senders: Senders, *commands: tuple[str, ...]) -> None:
    """Send while the commands are run one after the other, and for a few seconds before and after."""
    async with asyncio.TaskGroup() as group:
        group.create_task(senders.run())
        await eventually(lambda: len(senders.accepted) > RATE, message=str(senders.answers))
        for command in commands:
            await asyncio.to_thread(deployment.run, *command)
        so_far = len(senders.accepted)
        await eventually(lambda: len(senders.accepted) > so_far + RATE, message=str(senders.answers))
        senders.stop.set()


async def test_a_rolling_restart_of_every_service_refuses_and_loses_nothing(deployment: Deployment) -> None:
    """Every container of the five processes replaced under 100 webhooks/s, each answered 200."""
    await deployment.until_ready()
    prepare(deployment)
    before = {service: set(deployment.containers(service)) for service in PROCESSES}
    senders = Senders(deployment, "roll", RATE)
    await under_load(deployment, senders, ("deploy/compose/rolling-update",))
    for service, containers in before.items():
        after = set(deployment.containers(service))
        assert len(after) == 2, service
        assert not after & containers, service
    assert set(senders.answers) == {"200"}, senders.refused[:5]
    await until_all_finished(deployment, senders, timeout=120)


async def test_stores_that_are_restarted_under_load_refuse_and_lose_nothing(deployment: Deployment) -> None:
    """First Redis, then Postgres: one of the two was always there."""
    senders = Senders(deployment, "stores", RATE)
    redis, postgres = (deployment.containers(store)[0] for store in ("redis", "postgres"))
    await under_load(deployment, senders, ("docker", "restart", redis), ("sleep", "5"), ("docker", "restart", postgres))
    assert set(senders.answers) == {"200"}, senders.refused[:5]
    await until_all_finished(deployment, senders, timeout=120)


@pytest.mark.parametrize("service", PROCESSES)
async def test_a_container_killed_under_load_loses_nothing(deployment: Deployment, service: str) -> None:
    """SIGKILL for one of two: the other does what it had in hand. A webhook that got no answer is posted again."""
    senders = Senders(deployment, f"kill-{service}", RATE, repeat=True)
    victim = deployment.containers(service)[0]
    await under_load(deployment, senders, ("docker", "kill", victim), ("sleep", "3"))
    assert docker("inspect", "--format", "{{.State.ExitCode}}", victim).strip() == "137"
    if service != "ingest":
        assert set(senders.answers) == {"200"}, senders.refused[:5]
    await until_all_finished(deployment, senders, timeout=120)
    docker("start", victim)
