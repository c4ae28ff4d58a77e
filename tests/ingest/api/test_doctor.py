"""`GET /api/doctor`: the state of the stores, the queues and their workers."""

import re
import time
from typing import Any

import pytest

from filas.contract.policies import FLOWS, QUEUES
from filas.queue.worker_presence import beat
from filas_local.servers import PostgresServer, RedisServer
from ingest.api.operations import doctor_routes
from tests.freezing import frozen
from tests.ingest.api.seeding import delayed_job
from tests.ingest.api.serving import Api, serving
from tests.waiting import eventually


async def findings(api: Api) -> dict[str, Any]:
    """The findings by part."""
    data = (await api.get("/doctor")).data
    assert data["ok"] is all(one["ok"] for one in data["findings"])
    return {one["part"]: one for one in data["findings"]}


async def failing(api: Api) -> list[str]:
    """The parts that are not OK."""
    return [part for part, one in (await findings(api)).items() if not one["ok"]]


async def test_every_part_is_ok_with_a_worker_on_every_queue(own_redis: RedisServer, postgres_dsn: str) -> None:
    """The finding of a queue without a worker names the worker to start."""
    async with serving(own_redis.url, postgres_dsn) as api:
        await api.context.webhook_cache.refresh()
        found = await findings(api)
        assert [part for part, one in found.items() if not one["ok"]] == [f"queue {one.name}" for one in QUEUES]
        assert found["queue flow-processing"]["detail"] == "0 jobs waiting; no flow-runner is running: start one"
        for policy in QUEUES:
            await beat(api.redis, policy, "a-worker", 25, 100)
        found = await findings(api)
        assert [part for part, one in found.items() if not one["ok"]] == []
        assert found["queue notifications"]["detail"] == "0 jobs waiting; 1 notifier, 25 % busy"
        assert found["redis"]["detail"].startswith("answers in ")


async def test_a_paused_queue_and_a_late_one_fail(
    own_redis: RedisServer, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finding has its remedy."""
    monkeypatch.setattr(doctor_routes, "MAX_WAIT_S", 0.0)
    async with serving(own_redis.url, postgres_dsn) as api:
        await api.context.webhook_cache.refresh()
        for policy in QUEUES:
            await beat(api.redis, policy, "a-worker", 1, 1)
        await api.post("/queue/flow/pause")
        await delayed_job(api, "{webhook-processing}:x")
        await api.post("/jobs/{webhook-processing}:x/promote")
        assert await failing(api) == ["queue webhook-processing", f"queue {FLOWS.name}"]
        found = await findings(api)
        assert "POST /api/queue/flow/resume" in found[f"queue {FLOWS.name}"]["detail"]
        assert found["queue webhook-processing"]["detail"].startswith("1 job waiting, the oldest for ")
        assert "too few or too slow" in found["queue webhook-processing"]["detail"]


async def test_a_redis_that_may_lose_jobs_fails(own_redis: RedisServer, postgres_dsn: str) -> None:
    """With an eviction policy, and without an append-only file."""
    async with serving(own_redis.url, postgres_dsn) as api:
        own_redis.execute("CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory 100mb")
        assert "maxmemory-policy allkeys-lru" in (await findings(api))["redis"]["detail"]
        own_redis.execute("CONFIG SET maxmemory-policy noeviction", "CONFIG SET appendonly no")
        assert "appendonly is off" in (await findings(api))["redis"]["detail"]


async def test_an_unavailable_store_is_a_finding(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """The answer is 200, and the parts that need the store are unknown."""
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        own_redis.kill()
        assert {"redis", f"queue {FLOWS.name}"} <= set(await failing(api))
        own_redis.start()

        async def redis_is_ok() -> bool:
            return "redis" not in await failing(api)

        await eventually(redis_is_ok)
        own_postgres.kill()

        async def postgres_fails() -> bool:
            return "postgres" in await failing(api)

        await eventually(postgres_fails)
        found = await findings(api)
        assert found["dead letters"]["detail"] == "unknown while postgres is unavailable"


async def test_jobs_that_wait_for_a_newer_version_fail(own_redis: RedisServer, postgres_dsn: str) -> None:
    """The finding names the function and the version, so that the operator knows what to start."""
    async with serving(own_redis.url, postgres_dsn) as api:
        payload = b'{"f":"deliver_fax","k":{"job":{"schemaVersion":2}}}'
        await api.redis.client.set("arq:job:{notifications}:fax", payload)
        since_ms = int((time.time() - 95) * 1000)
        await api.redis.client.hset("{notifications}:newer", "{notifications}:fax", f"{since_ms}|w")
        found = (await findings(api))["versions"]
        assert not found["ok"]
        waits = r"1 jobs of notifications wait for a newer worker for up to (?:9|1\d)\d s: deliver_fax \(schema ver"
        assert re.search(waits, found["detail"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("frozen_store", ["redis", "postgres"])
async def test_a_frozen_store_delays_no_finding_of_the_other(
    own_redis: RedisServer, own_postgres: PostgresServer, frozen_store: str
) -> None:
    """Every answer of the API names the store within about a second. The doctor reports what the other store knows."""
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        await api.context.webhook_cache.refresh()
        with frozen(own_redis if frozen_store == "redis" else own_postgres):
            began = time.monotonic()
            found = await findings(api)
            assert time.monotonic() - began < 2.5
            other = "postgres" if frozen_store == "redis" else "redis"
            assert found[other]["ok"]
            assert (found[frozen_store]["ok"], found[frozen_store]["detail"]) == (False, "timed out")
            queue = found["queue notifications"]["detail"]
            if frozen_store == "postgres":
                assert queue.startswith("0 jobs waiting; ")
                assert queue.endswith("whether it is paused is unknown while postgres is unavailable")
            began = time.monotonic()
            answer = await api.get("/queue/stats" if frozen_store == "redis" else "/flows")
            assert (answer.status, answer.json["store"]) == (503, frozen_store)
