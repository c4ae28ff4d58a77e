"""What the API says of itself and its surroundings, in words."""

from typing import Any

import pytest

from filas.contract.policies import FLOWS, QUEUES
from filas.queue.worker_presence import beat
from filas_local.servers import PostgresServer, RedisServer
from ingest.api.operations import doctor_routes
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import Api, serving
from tests.waiting import eventually


async def findings(api: Api) -> dict[str, Any]:
    """The findings by their parts."""
    data = (await api.get("/doctor")).data
    assert data["well"] is all(one["well"] for one in data["findings"])
    return {one["part"]: one for one in data["findings"]}


async def ill(api: Api) -> list[str]:
    """The parts that are not well."""
    return [part for part, one in (await findings(api)).items() if not one["well"]]


async def test_all_is_well_with_a_worker_on_every_queue(own_redis: RedisServer, postgres_dsn: str) -> None:
    """Each part says how it is; a queue without its worker says which one to start."""
    async with serving(own_redis.url, postgres_dsn) as api:
        await api.context.webhook_cache.refresh()
        found = await findings(api)
        assert [part for part, one in found.items() if not one["well"]] == [f"queue {one.name}" for one in QUEUES]
        assert found["queue flow-processing"]["words"] == "0 jobs wait; no flow-runner is there: start one"
        for policy in QUEUES:
            await beat(api.redis, policy, "a-worker", 25, 100)
        found = await findings(api)
        assert [part for part, one in found.items() if not one["well"]] == []
        assert found["queue notifications"]["words"] == "0 jobs wait; 1 of notifier, busy by 25%"
        assert found["redis"]["words"].startswith("answers in ")


async def test_a_paused_queue_and_a_late_one_are_told(
    own_redis: RedisServer, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about each."""
    monkeypatch.setattr(doctor_routes, "LATE_S", 0.0)
    async with serving(own_redis.url, postgres_dsn) as api:
        await api.context.webhook_cache.refresh()
        for policy in QUEUES:
            await beat(api.redis, policy, "a-worker", 1, 1)
        await api.post("/queue/flow/pause")
        await delayed_job(api, "{webhook-processing}:x")
        await api.post("/jobs/{webhook-processing}:x/promote")
        assert await ill(api) == ["queue webhook-processing", f"queue {FLOWS.name}"]
        found = await findings(api)
        assert "POST /api/queue/flow/resume" in found[f"queue {FLOWS.name}"]["words"]
        assert found["queue webhook-processing"]["words"].startswith("1 job waits, the oldest for ")
        assert "too few or too slow" in found["queue webhook-processing"]["words"]


async def test_a_redis_that_may_lose_jobs_is_told(own_redis: RedisServer, postgres_dsn: str) -> None:
    """One that evicts, and one without an append-only file."""
    async with serving(own_redis.url, postgres_dsn) as api:
        own_redis.execute("CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory 100mb")
        assert "maxmemory-policy allkeys-lru" in (await findings(api))["redis"]["words"]
        own_redis.execute("CONFIG SET maxmemory-policy noeviction", "CONFIG SET appendonly no")
        assert "append-only file is off" in (await findings(api))["redis"]["words"]


async def test_a_store_that_is_away_is_a_finding(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """200 all the same, and what can't be asked meanwhile says so."""
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        own_redis.kill()
        assert {"redis", f"queue {FLOWS.name}"} <= set(await ill(api))
        own_redis.start()

        async def redis_is_well() -> bool:
            return "redis" not in await ill(api)

        await eventually(redis_is_well)
        own_postgres.kill()

        async def postgres_is_away() -> bool:
            return "postgres" in await ill(api)

        await eventually(postgres_is_away)
        found = await findings(api)
        assert found["dead letters"]["words"] == "can't be asked while postgres is away"
