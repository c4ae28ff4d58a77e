"""What the API answers while a store is away."""

from typing import Any

from filas_local.servers import PostgresServer, RedisServer
from tests.ingest.api.serving import Api, Reply, serving
from tests.waiting import eventually


async def refused(api: Api, method: str, path: str, store: str) -> None:
    """The request ends in a 503 that names the store and says when to come again."""
    document = {"flowId": "f"} if method == "PUT" else None
    reply: Reply = await api.call(method, path, json=document)
    assert reply.status == 503, reply.text
    assert reply.json["store"] == store
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in reply.text


async def test_without_redis_the_history_is_still_shown(own_redis: RedisServer, postgres_dsn: str) -> None:
    """503 for what needs Redis, nothing else; and all is well when it is back."""
    async with serving(own_redis.url, postgres_dsn) as api:
        own_redis.kill()
        await refused(api, "GET", "/queue/stats", "redis")
        await refused(api, "GET", "/jobs/x", "redis")
        await refused(api, "POST", "/queue/clean", "redis")
        assert (await api.get("/events")).status == 200
        assert (await api.put("/webhooks/x", {"flowId": "f"})).status == 200
        own_redis.start()

        async def well() -> bool:
            return (await api.get("/queue/stats")).status == 200

        await eventually(well)


async def test_without_postgres_the_queues_are_still_shown(own_postgres: PostgresServer, redis_url: str) -> None:
    """503 for what needs Postgres, nothing else; and all is well when it is back."""
    async with serving(redis_url, own_postgres.dsn()) as api:
        own_postgres.kill()

        async def away() -> bool:
            # A backend outlives its killed postmaster for a moment, and answers.
            return (await api.get("/events")).status == 503

        await eventually(away)
        for method, path in (
            ("GET", "/events"),
            ("GET", "/flows"),
            ("PUT", "/webhooks/x"),
            ("POST", "/queue/flow/pause"),
        ):
            await refused(api, method, path, "postgres")
        assert (await api.get("/queue/stats")).status == 200
        own_postgres.start()

        async def well() -> Any:
            return (await api.get("/events")).status == 200

        await eventually(well, 30)
