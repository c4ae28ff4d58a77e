"""Sentinels and a Cluster with real servers: the queue works, also after a server has died."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from filas.contract.channel_circuits import AdmissionRequest, Admitted, ChannelLimits, ChannelReport
from filas.contract.jobs import NotificationJob
from filas.contract.new_job import NewJob
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.errors import PermanentError, StoreUnavailable
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.job_functions import JobFunction
from filas.queue.operations.finished_job_cleanup import clean
from filas.queue.operations.job_control import JobControl
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis, connect
from filas.queue.worker.worker import Worker
from filas.settings.setting_groups import RedisSettings
from filas.settings.value_types import Addresses, Secret
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job
from tests.shared.queue.topologies import SLOTS, Sentinels, cluster, sentinels
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.starts_processes


@pytest.fixture
async def sentinel_redis(tmp_path: Path) -> AsyncIterator[tuple[Sentinels, Redis]]:
    """Returns three Sentinels with two Redis servers, and a connection through them."""
    with sentinels(tmp_path) as group:
        settings = RedisSettings(
            redis_sentinels=Addresses(group.addresses), redis_sentinel_master=Sentinels.master_name
        )
        redis = connect(settings)
        yield group, redis
        await redis.close()


async def test_the_worker_resumes_after_a_failover_of_sentinels(
    sentinel_redis: tuple[Sentinels, Redis], letters: Letters
) -> None:
    """kill -9 of the master: the worker reports a problem, finds the promoted replica, and resumes."""
    group, redis = sentinel_redis
    producer = QueueProducer(redis)
    seen = Recorder()
    worker = Worker(redis, QUICK, [function(seen)], dead_letters=letters)
    working = asyncio.create_task(worker.run())
    await producer.enqueue_many([job(str(number)) for number in range(20)])
    await eventually(lambda: len(seen.keys) == 20)
    group.master.kill()
    await eventually(lambda: worker.problem)
    await eventually(lambda: worker.problem is None)

    async def enqueued() -> bool:
        return (await producer.enqueue(job("after"))).outcome is EnqueueOutcome.ENQUEUED

    await eventually(enqueued)
    await eventually(lambda: "after" in seen.keys)
    assert "role:master" in group.replica.execute("INFO replication")
    assert letters.stored == []
    worker.stop()
    await working


async def test_sentinels_get_their_own_password(sentinel_redis: tuple[Sentinels, Redis]) -> None:
    """The Sentinels' password differs from that of the servers that they watch."""
    group, _ = sentinel_redis
    for watcher in group.watchers:
        watcher.execute("ACL SETUSER default resetpass >sentinel-password")
    addresses, name = Addresses(group.addresses), Sentinels.master_name
    without_password = connect(RedisSettings(redis_sentinels=addresses, redis_sentinel_master=name))
    with pytest.raises(StoreUnavailable):
        await without_password.command("PING")
    await without_password.close()
    with_password = connect(
        RedisSettings(
            redis_sentinels=addresses, redis_sentinel_master=name, redis_sentinel_password=Secret("sentinel-password")
        )
    )
    assert await with_password.command("PING")
    await with_password.close()


@pytest.fixture
async def cluster_redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """Returns a connection to a Cluster of three masters."""
    with cluster(tmp_path) as nodes:
        redis = connect(RedisSettings(redis_port=nodes[1].port, redis_cluster=True))
        yield redis
        await redis.close()


async def test_all_queues_work_on_a_cluster(cluster_redis: Redis, start_worker: StartWorker, letters: Letters) -> None:
    """Jobs are enqueued, run in groups, become dead letters, and are counted, cancelled and cleaned."""
    redis = cluster_redis
    producer, stats = QueueProducer(redis), QueueStats(redis)
    control = JobControl(redis, producer)
    seen = Recorder(lambda context, message: _act(context.attempt, message.channel_id))
    policies = (QUICK, WEBHOOKS, FLOWS)
    for policy in policies:
        start_worker([JobFunction("f", seen, NotificationJob)], on=redis, policy=policy)
    for policy in policies:
        jobs = [
            NewJob(policy, f"{policy.short}-{text}", job(text=text).message, group=group, function="f")
            for text, group in [("a", "g"), ("b", "g"), ("bad", "g"), ("c", "g"), ("free", None)]
        ]
        assert set(await producer.enqueue_many(jobs)) == {EnqueueOutcome.ENQUEUED}
    await eventually(lambda: len(letters.stored) == 3)

    async def done() -> bool:
        return all([(await stats.snapshot(policy)).completed >= 4 for policy in policies])

    await eventually(done)
    for policy in policies:
        order = [key for key in seen.keys if key.startswith(policy.short) and "free" not in key]
        assert [key.split("-")[1] for key in order][:4] == ["a", "b", "bad", "c"]
        assert (await stats.snapshot(policy)).failed == 1
    late = job("late", defer_until_ms=int(time.time() * 1000) + 3_600_000, function="f")
    await producer.enqueue(late)
    assert await control.cancel(QUICK, late.job_id) == "done"
    await eventually(lambda: letters.ids[-1] == late.job_id)
    assert await clean(redis, NOTIFICATIONS, "failed", 0) == 2
    assert (await stats.jobs(QUICK, "completed")).items


def _act(attempt: int, text: str) -> None:
    if text == "bad":
        raise PermanentError("no")


async def test_a_client_of_a_cluster_reconnects_after_commands_failed_on_all_nodes(tmp_path: Path) -> None:
    """redis-py forgets a node on which a command failed, so these commands make it forget all of them."""
    with cluster(tmp_path) as nodes:
        redis = connect(RedisSettings(redis_port=nodes[1].port, redis_cluster=True))
        keys = ["a", "b", "c"]
        assert {key_slot(key.encode()) * len(nodes) // SLOTS for key in keys} == {0, 1, 2}
        blocked = [asyncio.create_task(redis.pop_blocking(key, 30)) for key in keys]
        await eventually(lambda: all("blocked_clients:1" in node.execute("INFO clients") for node in nodes))
        for node in nodes:
            node.kill()
        failures = await asyncio.gather(*blocked, return_exceptions=True)
        assert {type(failure) for failure in failures} == {StoreUnavailable}
        for node in nodes:
            node.start()

        async def answered() -> bool:
            try:
                return [await redis.command("GET", key) for key in keys] == [None] * len(keys)
            except StoreUnavailable:
                return False

        await eventually(answered, message=str(redis.problem))
        await redis.close()


async def test_a_node_that_is_removed_during_a_connection_attempt_does_not_interrupt_it() -> None:
    """redis-py removes a node when a command fails, also while another command asks the nodes for the slots."""
    connected, removed = asyncio.Event(), asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await removed.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        redis = connect(RedisSettings(redis_port=server.sockets[0].getsockname()[1], redis_cluster=True))
        attempt = asyncio.create_task(redis.command("GET", "a"))
        await asyncio.wait_for(connected.wait(), PATIENCE_S)
        redis.client.nodes_manager.startup_nodes.popitem()
        removed.set()
        with pytest.raises(StoreUnavailable):
            await attempt
        await redis.close()


async def test_an_id_of_a_foreign_slot_becomes_a_dead_letter_and_delays_no_other_job(
    cluster_redis: Redis, start_worker: StartWorker, letters: Letters
) -> None:
    """The keys of an id without braces are in another slot than the queue, so no script can read them."""
    await cluster_redis.command("ZADD", QUICK.name, 1, "no-braces")
    seen = Recorder()
    await QueueProducer(cluster_redis).enqueue(job("good"))
    start_worker([function(seen)], on=cluster_redis)
    await eventually(lambda: seen.keys == ["good"])
    await eventually(lambda: letters.ids == ["no-braces"])
    assert await cluster_redis.command("ZSCORE", QUICK.name, "no-braces") is None


async def test_channel_circuits_work_on_a_cluster(cluster_redis: Redis) -> None:
    """One call updates many circuits, because all their keys are in the slot of the queue."""
    circuits = ChannelCircuits(cluster_redis)
    limits = ChannelLimits(per_second=10.0, per_recipient=1.0)
    asked = [AdmissionRequest(channel_id=f"d{number}", id="m", recipient="r", limits=limits) for number in range(20)]
    assert await circuits.admit_many(asked) == [Admitted()] * 20
    await circuits.report_many([ChannelReport(channel_id=f"d{number}", id="m", outcome="busy") for number in range(20)])
    found = await circuits.status_many([f"d{number}" for number in range(20)])
    assert {status.state for status in found} == {"open"}
