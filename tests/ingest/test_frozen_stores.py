"""A store that does not answer (SIGSTOP) delays requests once, for at most a second in total.

The bounds are wider than the requirement, because the machine may be busy.
"""

import asyncio
import time
from typing import Any

import pytest

from filas.errors import StoreUnavailable
from filas.queue.redis_client.connection import Redis
from filas.repository.postgres.database import Database
from filas_local.servers import PostgresServer, RedisServer
from tests.freezing import frozen
from tests.ingest.serving import DEDUPED, Serving, problem_of, serving, webhook
from tests.long_form import by_form
from tests.redis_address import connect_url
from tests.waiting import PATIENCE_S, eventually

FIRST_S = by_form(4.5, 2.5)
"""A bound for the request that notices. The requirement is 1 s; a store is otherwise given up after 5 s."""

LATER_S = 0.7
"""A bound for the least of the requests after it. They take milliseconds, and each would wait for a second."""


async def timed(app: Serving, path: str, body: Any) -> tuple[int, Any, float]:
    """Returns status, answer and seconds of a request."""
    began = time.monotonic()
    async with app.request("POST", path, json=body) as answer:
        document = await (answer.json() if answer.status == 200 else problem_of(answer))
        return answer.status, document, time.monotonic() - began


async def unfinished(app: Serving) -> int:
    """Returns how many events are in Postgres; -1 while it is unavailable."""
    try:
        return len(await app.events.unfinished(0, 100))
    except StoreUnavailable:
        return -1


def states(app: Serving) -> tuple[str, str]:
    return app.redis.watch.circuit.state, app.database.watch.circuit.state


@pytest.mark.timeout(90)
async def test_a_frozen_redis_delays_one_request(own_redis: RedisServer, postgres_dsn: str) -> None:
    """The events are in Postgres. Their jobs are enqueued, in order, as soon as Redis answers."""
    async with serving(own_redis.url, postgres_dsn, webhook(), requests_per_address=1000) as app:
        await app.post("orders", {"n": -1})
        with frozen(own_redis):
            status, first, took = await timed(app, "orders", {"n": 0})
            assert (status, took < FIRST_S) == (200, True), took
            later = [await timed(app, "orders", {"n": number}) for number in range(1, 6)]
            assert {status for status, _, _ in later} == {200}
            assert min(took for _, _, took in later) < LATER_S
            assert app.redis.watch.circuit.state in ("open", "probing")
            assert app.database.problem is None
            assert len(await app.events.unfinished(0, 100)) == 7
        began = time.monotonic()

        async def enqueued() -> bool:
            try:
                return len(await app.jobs()) == 7
            except StoreUnavailable:
                return False

        await eventually(enqueued)
        assert time.monotonic() - began < 20
        assert [job["body"]["n"] for job in await app.jobs()] == [-1, 0, 1, 2, 3, 4, 5]
        assert first["eventId"]


@pytest.mark.timeout(90)
async def test_a_frozen_postgres_delays_one_request(redis_url: str, own_postgres: PostgresServer) -> None:
    """The jobs hold the whole events. A duplicate is recognised, and the rows are written when Postgres answers."""
    async with serving(redis_url, own_postgres.dsn(), DEDUPED) as app:
        await app.post("deduped", {"id": "before"})
        with frozen(own_postgres):
            status, first, took = await timed(app, "deduped", {"id": "0"})
            assert (status, took < FIRST_S) == (200, True), took
            later = [await timed(app, "deduped", {"id": str(number)}) for number in range(1, 6)]
            later.append(await timed(app, "deduped", {"id": "0"}))
            assert {status for status, _, _ in later} == {200}
            assert min(took for _, _, took in later) < LATER_S
            assert (later[-1][1]["duplicate"], later[-1][1]["eventId"]) == (True, first["eventId"])
            jobs = await app.jobs()
            assert [job["recorded"] for job in jobs] == [True, *[False] * 6]
        await app.database.wait_ready(PATIENCE_S)

        async def written() -> bool:
            return await unfinished(app) == 7

        await eventually(written)
        assert (await app.post("deduped", {"id": "0"}))[1]["duplicate"]
        assert len(await app.jobs()) == 7, "an event whose write had an unknown outcome has one job"


@pytest.mark.timeout(90)
async def test_without_an_answer_of_both_stores_the_answer_is_503(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    """After one second in total for all stages of the request, and then at once."""
    async with serving(own_redis.url, own_postgres.dsn(), webhook(), requests_per_address=1000) as app:
        await app.post("orders", {})
        with frozen(own_redis, own_postgres):
            status, _, took = await timed(app, "orders", {})
            assert (status, took < FIRST_S) == (503, True), took
            later = [await timed(app, "orders", {}) for _ in range(4)]
            assert {status for status, _, _ in later} == {503}
            assert min(took for _, _, took in later) < LATER_S
            async with app.session.post(f"http://127.0.0.1:{app.port}/resume/nothing") as answer:
                assert answer.status == 404

        async def taken() -> bool:
            return (await timed(app, "orders", {}))[0] == 200 and states(app) == ("closed", "closed")

        await eventually(taken)


async def test_a_locked_table_delays_one_request(redis_url: str, postgres_dsn: str) -> None:
    """Postgres answers, but not this statement: its circuit stays closed, and the events go to Redis."""
    async with serving(redis_url, postgres_dsn, webhook()) as app:
        async with app.database.transaction() as locking:
            await locking.execute("lock table events in access exclusive mode")
            answers = [await timed(app, "orders", {"n": number}) for number in range(4)]
            assert {status for status, _, _ in answers} == {200}
            assert answers[0][2] < FIRST_S
            assert min(took for _, _, took in answers[1:]) < LATER_S
            assert app.database.problem is None

        async def written() -> bool:
            return await unfinished(app) == 4

        await eventually(written)


async def test_a_long_statement_and_a_busy_pool_are_no_outage(postgres_dsn: str) -> None:
    """The beat has a connection of its own."""
    database = Database(postgres_dsn, application_name="test", max_size=1)
    database.watch.circuit.patience_s = 1.5
    database.start()
    await database.wait_ready(PATIENCE_S)
    await asyncio.gather(database.fetchval("select pg_sleep(3)"), database.fetchval("select 1"))
    assert database.problem is None
    await database.close()


async def test_a_store_that_answers_slowly_is_no_outage(redis_url: str) -> None:
    """A script that blocks Redis for less than the patience of the circuit."""
    redis: Redis = connect_url(redis_url)
    redis.watch.circuit.patience_s = 3.0
    await redis.command("PING")
    script = "local t = redis.call('TIME')[1] * 1000 + 400 repeat until redis.call('TIME')[1] * 1000 > t return 1"
    await asyncio.gather(redis.command("EVAL", script, 0), redis.command("PING"))
    assert redis.problem is None
    await redis.close()
