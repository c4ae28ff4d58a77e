"""Acceptance while a store is unavailable: an event is stored before its request is answered with 200."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from filas.errors import StoreUnavailable
from filas.models.events import NewEvent
from filas.queue.producer import QueueProducer
from filas.repository.events import EventRepository
from filas_local.servers import PostgresServer, RedisServer
from ingest.event.event_jobs import job_of_event
from ingest.receive.acceptor import Acceptor, IncomingEvent, NotStorable
from ingest.receive.missed_jobs import MissedJobs
from tests.ingest.serving import DEDUPED, Serving, problem_of, serving, webhook
from tests.waiting import PATIENCE_S, eventually


async def answer(app: Serving, path: str, body: Any) -> tuple[int, str | None]:
    """Returns status and Retry-After."""
    async with app.request("POST", path, json=body) as found:
        if found.status != 200:
            await problem_of(found)
        return found.status, found.headers.get("Retry-After")


@pytest.mark.timeout(90)
async def test_without_postgres_the_job_holds_the_whole_event(redis_url: str, own_postgres: PostgresServer) -> None:
    """The event is accepted at once and marked as not recorded. A duplicate is still recognised."""
    rule = webhook("plain", auth={"type": "api-key", "secrets": ["k"]})
    async with serving(redis_url, own_postgres.dsn(), DEDUPED, rule) as app:
        own_postgres.kill()
        await eventually(lambda: app.database.problem)  # its sessions end a moment after its main process
        answers = await asyncio.gather(*(app.post("deduped", {"id": number, "text": "olá"}) for number in range(50)))
        assert {status for status, _ in answers} == {200}
        status, again = await app.post("deduped", {"id": 7})
        assert (status, again["duplicate"], again["eventId"]) == (200, True, answers[7][1]["eventId"])
        status, _ = await app.post("plain", {"a": 1}, {"X-Api-Key": "k"})
        assert status == 200
        jobs = await app.jobs()
        assert len(jobs) == 51
        assert [job["body"]["id"] for job in jobs[:50]] == list(range(50)), "the order of incoming is lost"
        assert (jobs[0]["recorded"], jobs[0]["duplicateKey"], jobs[0]["body"]["text"]) == (False, "0", "olá")
        assert jobs[0]["remoteAddress"] == "127.0.0.1"
        assert "x-api-key" not in jobs[50]["headers"]

        own_postgres.start()
        await app.database.wait_ready(PATIENCE_S)

        async def recorded_again() -> bool:
            await app.post("plain", {"a": 2}, {"X-Api-Key": "k"})
            return len(await app.events.unfinished(0, 100)) > 0

        await eventually(recorded_again)


@pytest.mark.timeout(90)
async def test_without_redis_the_event_is_in_postgres(own_redis: RedisServer, postgres_dsn: str) -> None:
    """The event is accepted at once. The relay has everything that it needs to enqueue the job when Redis is
    available.
    """
    async with serving(own_redis.url, postgres_dsn, webhook()) as app:
        own_redis.kill()
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await asyncio.gather(*(app.post("orders", {"n": number}) for number in range(50)))
        answers += [await app.post("orders", {"n": 50 + number}) for number in range(5)]
        assert loop.time() - began < 20, "each would wait for seconds"
        assert {status for status, _ in answers} == {200}
        events = await app.events.unfinished(0, 100)
        assert [str(event.id) for event in events] == [receipt["eventId"] for _, receipt in answers]
        jobs = [job_of_event(event) for event in events]
        assert [job.job_id for job in jobs] == [receipt["jobId"] for _, receipt in answers]

        own_redis.start()

        async def put_again() -> bool:
            assert (await app.post("orders", {}))[0] == 200
            return app.redis.problem is None and len(await app.jobs()) > 0

        await eventually(put_again)


@pytest.mark.timeout(90)
async def test_without_both_stores_no_request_is_answered_with_200(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    """The answer is 503 with Retry-After until one of the stores is available."""
    async with serving(own_redis.url, own_postgres.dsn(), webhook()) as app:
        own_redis.kill()
        own_postgres.kill()

        async def refused() -> bool:
            # Postgres's sessions end a moment after its main process.
            return await asyncio.gather(*(answer(app, "orders", {}) for _ in range(5))) == [(503, "5")] * 5

        await eventually(refused)
        own_redis.start()

        async def taken() -> bool:
            return await answer(app, "orders", {}) == (200, None)

        await eventually(taken)


@pytest.mark.timeout(90)
async def test_acceptance_waits_for_a_postgres_that_becomes_available_as_redis_fails(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    """No request is rejected only because the process has not noticed yet that Postgres is available."""
    async with serving(own_redis.url, own_postgres.dsn(), webhook()) as app:
        own_postgres.kill()

        async def noticed() -> bool:
            assert await answer(app, "orders", {}) == (200, None)
            return app.database.problem is not None

        await eventually(noticed)
        await asyncio.to_thread(own_postgres.start)
        own_redis.kill()
        answers = await asyncio.gather(*(answer(app, "orders", {"n": number}) for number in range(20)))
        assert set(answers) == {(200, None)}


async def test_before_the_webhooks_are_read_the_answer_is_503(redis_url: str, own_postgres: PostgresServer) -> None:
    """A sender that gets a 404 does not repeat its request."""
    async with serving(redis_url, own_postgres.dsn(), webhook()) as app:
        own_postgres.kill()
        await eventually(lambda: app.database.problem)  # so that they are not read now
        app.public.webhook_cache.is_loaded = False
        assert await answer(app, "new", {}) == (503, "5")
        assert await answer(app, "orders", {}) == (200, None)


def new_event(number: int, duplicate_key: str | None = None) -> NewEvent:
    """Returns an event with an id of its own."""
    return NewEvent(
        id=UUID(int=number + 1),
        webhook_id="w",
        flow_id="f",
        node_id="n",
        method="POST",
        headers="{}",
        query_params="{}",
        body=b"{}",
        content_type="application/json",
        remote_address="127.0.0.1",
        duplicate_key=duplicate_key,
        group_key=None,
        config="{}",
        received_at=datetime.now(UTC),
    )


def incoming(event: NewEvent) -> IncomingEvent:
    """Returns the event for the acceptor."""
    return IncomingEvent(event, lambda _recorded: job_of_event(event))


async def test_one_event_that_cannot_be_stored_fails_alone(redis_url: str, postgres_dsn: str) -> None:
    """The other events of the batch are accepted."""
    async with serving(redis_url, postgres_dsn) as app:
        acceptor = Acceptor(EventRepository(app.database), QueueProducer(app.redis))
        events = [new_event(number, "a\0b" if number == 7 else None) for number in range(20)]
        outcomes = await asyncio.gather(*(acceptor.accept(incoming(event)) for event in events), return_exceptions=True)
        assert isinstance(outcomes.pop(7), NotStorable)
        assert not [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(await app.jobs()) == 19


async def test_events_that_only_redis_has_are_written_when_postgres_is_available(
    redis_url: str, own_postgres: PostgresServer
) -> None:
    """Also before a worker has claimed their jobs. After that, losing Redis loses no event."""
    async with serving(redis_url, own_postgres.dsn(), DEDUPED) as app:
        own_postgres.kill()
        sent = [await app.post("deduped", {"id": str(number)}) for number in range(30)]
        assert {status for status, _ in sent} == {200}
        await asyncio.to_thread(own_postgres.start)

        async def written() -> bool:
            found = await app.events.unfinished(0, 100) if app.database.problem is None else []
            return {str(event.id) for event in found} == {receipt["eventId"] for _, receipt in sent}

        await eventually(written)


async def test_a_process_that_stops_first_writes_what_only_redis_has(
    redis_url: str, own_postgres: PostgresServer
) -> None:
    """Otherwise the loss of Redis before a worker has written them would lose them. It does not wait without end."""
    async with serving(redis_url, own_postgres.dsn(), DEDUPED) as app:
        own_postgres.kill()
        sent = [await app.post("deduped", {"id": str(number)}) for number in range(30)]
        backfill = app.public.backfill
        await backfill.drain(timeout_s=0.1)
        draining = asyncio.create_task(backfill.drain(timeout_s=30))
        await asyncio.to_thread(own_postgres.start)
        await draining
        await eventually(lambda: app.database.problem is None)
        found = await app.events.unfinished(0, 100)
        assert {str(event.id) for event in found} == {receipt["eventId"] for _, receipt in sent}


class FailsFirst:
    """A store whose first call fails, as if it did not answer for a moment."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._failed = False

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns at once."""

    async def insert_many(self, events: Any) -> Any:
        """See `EventStore.insert_many`."""
        self._fail()
        return await self._store.insert_many(events)

    async def enqueue_many(self, jobs: Any) -> Any:
        """See `JobStore.enqueue_many`."""
        self._fail()
        return await self._store.enqueue_many(jobs)

    def _fail(self) -> None:
        if not self._failed:
            self._failed = True
            raise StoreUnavailable("store", "it did not answer")


async def test_a_job_that_neither_store_took_at_first_comes_before_later_ones(
    redis_url: str, postgres_dsn: str
) -> None:
    """Postgres takes the event at the second try. Its job is not left to the relay, which runs later: the next event of
    the conversation would overtake it."""
    async with serving(redis_url, postgres_dsn) as app:
        jobs = QueueProducer(app.redis)
        acceptor = Acceptor(FailsFirst(EventRepository(app.database)), FailsFirst(jobs))
        for number in range(3):
            await acceptor.accept(incoming(new_event(number)))

        async def enqueued() -> bool:
            return len(await app.jobs()) == 3

        await eventually(enqueued)
        assert [job["eventId"] for job in await app.jobs()] == [str(new_event(number).id) for number in range(3)]
        await acceptor.drain()


async def test_a_repeated_event_gets_the_job_that_a_killed_process_did_not_enqueue(
    redis_url: str, postgres_dsn: str
) -> None:
    """The sender had no answer, and repeats it. Its next event must not overtake it. One that is processed gets no
    job, and neither does one that is replayed: the job of the replay has another id."""
    async with serving(redis_url, postgres_dsn) as app:
        rows = EventRepository(app.database)
        await rows.insert_many([new_event(number) for number in (1, 2, 3)])
        await app.database.fetch("update events set status = 'processed' where id = $1", new_event(2).id)
        await rows.reopen(new_event(3))
        acceptor = Acceptor(rows, QueueProducer(app.redis))
        receipts = [await acceptor.accept(incoming(new_event(number))) for number in (1, 2, 3, 4)]
        assert [one.duplicate for one in receipts] == [True, True, True, False]
        assert [job["eventId"] for job in await app.jobs()] == [str(new_event(number).id) for number in (1, 4)]
        await acceptor.drain()


async def test_a_process_that_stops_waits_for_a_redis_that_comes_back(redis_url: str, postgres_dsn: str) -> None:
    """Its jobs are not left to the relay, which runs later than the next process accepts. It does not wait without
    end."""
    async with serving(redis_url, postgres_dsn) as app:
        acceptor = Acceptor(EventRepository(app.database), FailsFirst(QueueProducer(app.redis)))
        await acceptor.accept(incoming(new_event(1)))
        await acceptor.drain()
        assert [job["eventId"] for job in await app.jobs()] == [str(new_event(1).id)]
        missed = MissedJobs(NoJobs())
        missed.add(job_of_event(new_event(2)), 1)
        await missed.close(timeout_s=0.1)


class NoJobs:
    """A queue that never answers."""

    async def enqueue_many(self, jobs: Any) -> Any:
        """Never returns."""
        await asyncio.Event().wait()


async def test_a_store_that_hangs_counts_as_unavailable(redis_url: str, postgres_dsn: str) -> None:
    """The sender waits for at most the time limit, and later senders do not wait."""
    async with serving(redis_url, postgres_dsn) as app:
        acceptor = Acceptor(EventRepository(app.database), NoJobs(), timeout_s=0.2)
        for number in range(3):
            receipt = await acceptor.accept(incoming(new_event(number)))
            assert not receipt.duplicate
        assert len(await app.events.unfinished(0, 10)) == 3
