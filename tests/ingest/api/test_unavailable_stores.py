"""The answers of the API while a store is unavailable."""

from typing import Any

from filas_local.servers import PostgresServer, RedisServer
from tests.ingest.api.seeding import queued_notifications
from tests.ingest.api.serving import Api, Reply, serving
from tests.ingest.api.test_history import new_event, started
from tests.shared.repository.builders import end_events
from tests.waiting import eventually


async def assert_unavailable(api: Api, method: str, path: str, store: str) -> None:
    """Asserts that the answer is a 503 with the name of the store and `Retry-After`."""
    document = {"flowId": "f"} if method == "PUT" else None
    reply: Reply = await api.call(method, path, json=document)
    assert reply.status == 503, reply.text
    assert reply.json["store"] == store
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in reply.text


async def test_without_redis_the_history_is_still_available(own_redis: RedisServer, postgres_dsn: str) -> None:
    """Only the routes that need Redis answer 503, until Redis is available again."""
    async with serving(own_redis.url, postgres_dsn) as api:
        own_redis.kill()
        await assert_unavailable(api, "GET", "/queue/stats", "redis")
        await assert_unavailable(api, "GET", "/jobs/x", "redis")
        await assert_unavailable(api, "POST", "/queue/clean", "redis")
        assert (await api.get("/events")).status == 200
        assert (await api.put("/webhooks/x?force=true", {"flowId": "f"})).status == 200
        own_redis.start()

        async def answers() -> bool:
            return (await api.get("/queue/stats")).status == 200

        await eventually(answers)


async def test_without_postgres_the_queues_are_still_available(own_postgres: PostgresServer, redis_url: str) -> None:
    """Only the routes that need Postgres answer 503, until Postgres is available again."""
    async with serving(redis_url, own_postgres.dsn()) as api:
        own_postgres.kill()

        async def unavailable() -> bool:
            # A backend process answers for a moment after its postmaster was killed.
            return (await api.get("/events")).status == 503

        await eventually(unavailable)
        for method, path in (
            ("GET", "/events"),
            ("GET", "/flows"),
            ("PUT", "/webhooks/x"),
            ("POST", "/queue/flow/pause"),
        ):
            await assert_unavailable(api, method, path, "postgres")
        assert (await api.get("/queue/stats")).status == 200
        own_postgres.start()

        async def answers() -> Any:
            return (await api.get("/events")).status == 200

        await eventually(answers)


async def test_without_redis_executions_and_notifications_can_be_cancelled(
    own_redis: RedisServer, postgres_dsn: str
) -> None:
    """The cancel is stored. Its worker finds it."""
    async with serving(own_redis.url, postgres_dsn) as api:
        _, execution = await started(api)
        [notification] = await queued_notifications(api, (await started(api))[1])
        own_redis.kill()
        assert (await api.post(f"/executions/{execution}/cancel")).status == 200
        assert (await api.post(f"/notifications/{notification}/cancel")).status == 200
        assert [one.execution_id for one in await api.context.cancels.unapplied_executions(0.0, 10)] == [execution]
        assert await api.context.cancels.unapplied_notifications(0.0, 10) == [notification]


async def test_without_redis_an_event_can_be_replayed(own_redis: RedisServer, postgres_dsn: str) -> None:
    """The replay is stored, and the relay finds it. With an error, the operator would replay the event once more."""
    async with serving(own_redis.url, postgres_dsn) as api:
        event = new_event()
        await api.context.events.insert_many([event])
        await end_events(api.database, event.id)
        own_redis.kill()
        reply = await api.post(f"/events/{event.id}/replay")
        assert (reply.status, reply.data["replay"]) == (200, 1)
        assert [one.replay for one in await api.context.events.unfinished(0.0, 10)] == [1]
        [entry] = (await api.get(f"/audit?subject=events/{event.id}")).data
        assert (entry["action"], entry["outcome"]) == ("replayEvent", "done")
