"""The parts of a snapshot, read from a real Redis and a real Postgres, and without them."""

from collections.abc import Sequence

import msgspec

from filas.contract.channel_circuits import FAILURES_TO_OPEN, ChannelReport
from filas.contract.policies import QUEUES, WEBHOOKS
from filas.queue.channel_circuits import ChannelCircuits
from filas_local.servers import PostgresServer, RedisServer
from ingest.dashboard.live.hub import LiveHub
from ingest.dashboard.live.moments import KEPT_S, KEY, MOST, MomentStore
from ingest.dashboard.live.part_readers import part_readers
from ingest.dashboard.live.snapshot import PARTS, Snapshot
from tests.freezing import frozen
from tests.heartbeats import present
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import Api, serving
from tests.ingest.dashboard.live.feeds import WAIT_S, Clock
from tests.waiting import eventually


def readings(snapshot: Snapshot, names: Sequence[str] = PARTS) -> dict[str, str | None]:
    """The store that each part misses."""
    return {name: getattr(snapshot, name).missing for name in names}


async def test_a_snapshot_has_the_figures_of_every_part(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as api:
        for name in ("shop", "broken"):
            assert (await api.put(f"/channels/{name}", {"type": "console"})).status == 200
        for policy in QUEUES:
            await present(api.redis, policy, 3, 10)
        await delayed_job(api, "later")
        assert (await api.post("/queue/flow/pause")).status == 200
        report = ChannelReport(channel_id="broken", id="m", outcome="failure")
        await ChannelCircuits(api.redis).report_many([report] * FAILURES_TO_OPEN)
        hub = LiveHub(part_readers(api.context, clock := Clock()), clock=clock)

        async def complete() -> Snapshot | None:
            clock.now += 10
            snapshot = await hub.tick()
            return snapshot if snapshot.findings.value and snapshot.hour.value and snapshot.circuits.value else None

        snapshot = await eventually(complete, WAIT_S)
        assert snapshot.queues.value is not None
        queues = {one.queue: one for one in snapshot.queues.value}
        assert list(queues) == ["webhook", "flow", "notification"]
        assert queues["webhook"].counts.delayed == 1
        assert (queues["flow"].load.workers, queues["flow"].load.running, queues["flow"].load.slots) == (1, 3, 10)
        assert snapshot.pauses.value == ["flow-processing"]
        assert [(one.id, one.type) for one in snapshot.channels.value or []] == [
            ("broken", "console"),
            ("shop", "console"),
        ]
        assert {name: one.state for name, one in (snapshot.circuits.value or {}).items()} == {"broken": "open"}
        assert snapshot.hour.value is not None
        assert len(snapshot.hour.value.received.points) == 60
        assert snapshot.findings.value is not None
        assert {one.code for one in snapshot.findings.value.findings} >= {"queue-paused", "channel-failing"}
        assert set(readings(snapshot).values()) == {None}
        await stop(hub)


async def test_while_redis_is_frozen_the_parts_of_postgres_stay_up_to_date(
    own_redis: RedisServer, postgres_dsn: str
) -> None:
    async with serving(own_redis.url, postgres_dsn) as api:
        hub, clock = await read_once(api)
        before = await hub.tick()
        with frozen(own_redis):

            async def marked() -> Snapshot | None:
                clock.now += 10
                snapshot = await hub.tick()
                names = ("queues", "channels", "pauses", "hour")
                expected = {"queues": "redis", "channels": None, "pauses": None, "hour": None}
                is_newer = (snapshot.pauses.read_at or 0) != before.pauses.read_at
                return snapshot if readings(snapshot, names) == expected and is_newer else None

            snapshot = await eventually(marked, WAIT_S)
            assert snapshot.queues.value == before.queues.value
            assert snapshot.queues.read_at is not None
            assert snapshot.findings.value is not None, "the doctor reports the outage"
        await recovered(hub, clock)
        await stop(hub)


async def test_while_postgres_is_frozen_the_queues_stay_up_to_date(
    own_postgres: PostgresServer, redis_url: str
) -> None:
    async with serving(redis_url, own_postgres.dsn()) as api:
        hub, clock = await read_once(api)
        before = await hub.tick()
        with frozen(own_postgres):
            await delayed_job(api, "later")
            await present(api.redis, WEBHOOKS, 1, 2)

            async def marked() -> Snapshot | None:
                clock.now += 10
                snapshot = await hub.tick()
                names = ("queues", "channels", "pauses", "hour")
                expected = {"queues": None, "channels": "postgres", "pauses": "postgres", "hour": "postgres"}
                return snapshot if readings(snapshot, names) == expected else None

            snapshot = await eventually(marked, WAIT_S)
            assert snapshot.queues.value is not None
            assert snapshot.queues.value[0].counts.delayed == 1
            assert snapshot.channels.value == before.channels.value
        await recovered(hub, clock)
        await stop(hub)


async def test_a_stored_moment_is_shown_by_another_process_and_expires(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as api:
        assert (await api.put("/channels/shop", {"type": "console"})).status == 200
        hub, _clock = await read_once(api)
        snapshot = await hub.snapshot()
        await MomentStore(api.redis).save(snapshot)
        assert await MomentStore(api.redis).load(snapshot.at) == snapshot
        assert await MomentStore(api.redis).load(snapshot.at + 1) is None
        assert 0 < await api.redis.command("TTL", KEY) <= KEPT_S
        await api.redis.command("HSET", KEY, "7", b"of another version")
        assert await MomentStore(api.redis).load(7) is None
        await stop(hub)


async def test_only_the_newest_moments_are_kept(redis_url: str, postgres_dsn: str) -> None:
    async with serving(redis_url, postgres_dsn) as api:
        hub, _clock = await read_once(api)
        first = await hub.snapshot()
        last = msgspec.structs.replace(first, at=first.at + 2 * MOST)
        store = MomentStore(api.redis)
        await store.save(first)
        fields = [part for number in range(MOST) for part in (str(first.at + 1 + number), b"content")]
        await api.redis.command("HSET", KEY, *fields, str(first.at - KEPT_S * 1000), b"too old")
        await store.save(last)
        assert await api.redis.command("HLEN", KEY) == MOST
        assert await store.load(first.at) is None
        assert await store.load(last.at) == last
        await stop(hub)


async def read_once(api: Api) -> tuple[LiveHub, Clock]:
    """A hub that has read every part."""
    hub = LiveHub(part_readers(api.context, clock := Clock()), clock=clock)

    async def complete() -> bool:
        clock.now += 10
        snapshot = await hub.tick()
        return all(getattr(snapshot, name).read_at is not None for name in PARTS)

    await eventually(complete, WAIT_S)
    return hub, clock


async def recovered(hub: LiveHub, clock: Clock) -> None:
    """Waits until every part is up to date."""

    async def is_complete() -> bool:
        clock.now += 10
        return set(readings(await hub.tick()).values()) == {None}

    await eventually(is_complete, WAIT_S)


async def stop(hub: LiveHub) -> None:
    """Ends what the hub reads, before the stores are closed."""
    for reader in hub.readers:
        await reader.stop()
