"""The worker of `webhook-processing` creates executions and their jobs, on real stores."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec

from filas.contract import jobs
from filas.contract.identity import content_key, new_id
from filas.contract.job_factories import job_of
from filas.contract.policies import FLOWS, WEBHOOKS
from filas.models.configuration import ConversationRule, Webhook
from filas.queue.producer import QueueProducer
from filas.queue.relay import Relay
from filas.repository.contacts.contact_repository import ContactRepository
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch
from filas.repository.postgres.database import Database
from filas.service.stores import Stores
from filas_local.servers import PostgresServer
from ingest.event.event_jobs import job_of_event
from ingest.process.channel_directory import ChannelDirectory
from ingest.process.conversations import Conversations
from ingest.process.processor import Processor
from ingest.process.webhook_jobs import EventRelaySource
from ingest.worker_app import build_worker
from tests.ingest.serving import DEDUPED, Serving, serving, webhook
from tests.ingest.test_meta_bodies import DELIVERED, text_message, whatsapp
from tests.ingest.test_processor import meta, plain
from tests.ingest.test_receive import META, signed
from tests.redis_address import connect_url
from tests.waiting import eventually

FLOW: dict[str, Any] = {
    "schemaVersion": 1,
    "name": "Welcome",
    "nodes": [{"id": "start", "type": "webhook", "data": {"mode": "trigger"}}],
    "edges": [],
}


@contextlib.asynccontextmanager
async def working(app: Serving, *, grace_s: float = 3600.0) -> AsyncIterator[Relay]:
    """Runs the worker beside the listener. Its relay runs only when a test calls it."""
    redis = connect_url(app.redis_url)
    relay = Relay(redis, QueueProducer(redis), EventRelaySource(EventRepository(app.database)), grace_s=grace_s)
    worker = build_worker(Stores(redis, app.database, app.database), relay, 10)
    running = asyncio.create_task(worker.run())
    try:
        yield relay
    finally:
        worker.stop()
        await running
        await redis.close()


@contextlib.asynccontextmanager
async def published(redis_url: str, dsn: str, *webhooks: Webhook) -> AsyncIterator[Serving]:
    """Returns a listener whose webhooks start a published flow."""
    async with serving(redis_url, dsn, *webhooks) as app:
        await FlowRepository(app.database).store("welcome", FLOW, "Welcome", publish=True)
        yield app


async def status_of(app: Serving, event_id: str) -> str | None:
    """Returns the event's present status."""
    event = await app.events.get(UUID(event_id))
    return event.status if event is not None else None


async def until_done(app: Serving, event_id: str, status: str = "processed") -> None:
    """Waits until the event has this status."""

    async def done() -> bool:
        return await status_of(app, event_id) == status

    await eventually(done, message=f"event {event_id} did not become {status}")


async def executions(database: Database, **filters: Any) -> list[Any]:
    """Returns the executions, the oldest first."""
    page = await ExecutionSearch(database).search(ExecutionFilter(**filters), limit=500)
    return page.items[::-1]


async def flow_jobs(app: Serving) -> list[dict[str, Any]]:
    """Returns the messages of the jobs in `flow-processing`."""
    ids = await app.redis.command("ZRANGE", FLOWS.name, 0, -1)
    return [json.loads(await app.redis.command("GET", b"arq:job:" + one))["k"]["job"] for one in ids]


async def test_a_message_becomes_an_execution_and_its_job(redis_url: str, postgres_dsn: str) -> None:
    """In the published version, in the contact's conversation. The event is processed."""
    async with published(redis_url, postgres_dsn, META) as app, working(app):
        _, receipt = await app.post("whatsapp", *signed(whatsapp(text_message("5511", "oi", "w1"))))
        await until_done(app, receipt["eventId"])
        (execution,) = await executions(app.database)
        assert (str(execution.event_id), execution.flow_id, execution.version) == (receipt["eventId"], "welcome", 1)
        assert execution.conversation_id is not None

        async def enqueued() -> Any:
            return await flow_jobs(app)

        (job,) = await eventually(enqueued)
        assert (job["executionId"], job["turn"], job["reason"]) == (str(execution.id), 1, "start")


async def test_a_delivery_receipt_is_ignored(redis_url: str, postgres_dsn: str) -> None:
    """It starts nothing, and its event ends."""
    async with published(redis_url, postgres_dsn, META) as app, working(app):
        _, receipt = await app.post("whatsapp", *signed(whatsapp(statuses=[DELIVERED])))
        await until_done(app, receipt["eventId"], "ignored")
        assert await executions(app.database) == []


async def test_a_receipt_of_an_event_without_a_row_is_stored_with_it(redis_url: str, postgres_dsn: str) -> None:
    """Postgres was unavailable at acceptance: the worker stores the event and its receipts, and enqueues their jobs."""
    async with published(redis_url, postgres_dsn, META) as app, working(app):
        job = meta(whatsapp(statuses=[DELIVERED]), recorded=False)
        await QueueProducer(app.redis).enqueue(job_of(job))
        await until_done(app, str(job.event_id), "ignored")
        (row,) = await app.database.fetch("select job_id, message from delivery_statuses")
        assert json.loads(row["message"])["providerId"] == DELIVERED["id"]

        async def enqueued() -> bool:
            return bool(await app.redis.command("EXISTS", f"arq:job:{row['job_id']}"))

        await eventually(enqueued)


def processor_of(app: Serving) -> Processor:
    """The processor over the stores of `app`."""
    return Processor(
        app.events,
        ExecutionRepository(app.database),
        QueueProducer(app.redis),
        WebhookRepository(app.database),
        Conversations(ContactRepository(app.database), ChannelDirectory(ChannelRepository(app.database))),
    )


async def test_a_replay_that_only_redis_has_starts_nothing(redis_url: str, postgres_dsn: str) -> None:
    """Postgres was unavailable at acceptance: the worker finds that the signed content belongs to another event."""
    async with published(redis_url, postgres_dsn) as app:
        key = content_key("orders", "signed")
        replays = [
            plain({"a": 1}, event_id=new_id(), recorded=False, content_key=key, content_digest="00ff") for _ in range(3)
        ]
        processor = processor_of(app)
        first, *others = await processor.process([decoded_job(job) for job in replays])
        nothing = {"eventId": str(replays[0].event_id), "executions": []}
        assert others == [nothing, nothing]
        again = await processor.process([decoded_job(job) for job in replays[::-1]])
        assert again == [nothing, nothing, first]
        assert [one.event_id for one in await executions(app.database)] == [replays[0].event_id]
        [row] = await app.database.fetch("select id, content_digest from events")
        assert (row["id"], row["content_digest"]) == (replays[0].event_id, b"\x00\xff")


async def test_many_webhooks_each_start_one_execution(redis_url: str, postgres_dsn: str) -> None:
    """In batches. The jobs of a conversation are in the order of its messages."""
    rule = ConversationRule(channel="shop", contact="{{ body.from }}", text="{{ body.text }}")
    async with published(redis_url, postgres_dsn, webhook(conversation=rule)) as app, working(app):
        count = 120
        answers = await asyncio.gather(
            *(app.post("orders", {"from": str(number % 7), "text": str(number)}) for number in range(count))
        )
        for _, receipt in answers:
            await until_done(app, receipt["eventId"])
        found = await executions(app.database)
        assert sorted(str(one.event_id) for one in found) == sorted(receipt["eventId"] for _, receipt in answers)


async def test_a_batch_that_is_run_again_changes_nothing(redis_url: str, postgres_dsn: str) -> None:
    """As after a crash between the transaction and the end of the job."""
    async with published(redis_url, postgres_dsn, META) as app:
        await app.post(
            "whatsapp", *signed(whatsapp(text_message("5511", "oi", "w1"), text_message("5522", "oi", "w2")))
        )
        messages: list[Any] = [job_of_event(event).message for event in await app.events.unfinished(0, 10)]
        for message in messages:
            assert message.recorded
        processor = processor_of(app)
        decoded = [decoded_job(message) for message in messages]
        first = await processor.process(decoded)
        again = await processor.process([*decoded, *decoded])
        assert again == [*first, *first]
        assert len(await executions(app.database)) == 2
        assert len(await flow_jobs(app)) == 2


def decoded_job(message: Any) -> Any:
    """Returns a message as a worker decodes it."""
    return jobs.decode(WEBHOOKS, msgspec.json.decode(msgspec.json.encode(message)), jobs.WebhookJob)


async def test_a_job_that_cannot_start_fails_alone(redis_url: str, postgres_dsn: str) -> None:
    """No published flow, a template that fails: dead letters with their reason. The other executions start."""
    lost = webhook("lost", flow_id="nowhere")
    bad = webhook("bad", conversation=ConversationRule(channel="c", contact="{{ body.from | nonsense }}"))
    async with published(redis_url, postgres_dsn, lost, bad, webhook()) as app:
        answers = [await app.post(path, {"from": "1"}) for path in ("lost", "orders", "bad")]
        ids = [receipt["eventId"] for _, receipt in answers]
        async with working(app):
            await until_done(app, ids[0], "failed")
            await until_done(app, ids[1])
            await until_done(app, ids[2], "failed")
            letters = (await DeadLetterRepository(app.database).list(WEBHOOKS.name)).items
            assert {letter.job_id for letter in letters} == {answers[0][1]["jobId"], answers[2][1]["jobId"]}
            assert {letter.attempts for letter in letters} == {1}
            assert len(await executions(app.database)) == 1


async def test_a_job_that_does_not_decode_is_a_dead_letter_at_once(redis_url: str, postgres_dsn: str) -> None:
    """Its bytes are kept, and the worker continues."""
    async with published(redis_url, postgres_dsn, webhook()) as app, working(app):
        await app.redis.command("SET", "arq:job:{webhook-processing}:broken", b"{not json")
        await app.redis.command("ZADD", WEBHOOKS.name, 1, "{webhook-processing}:broken")

        async def dead() -> Any:
            return (await DeadLetterRepository(app.database).list(WEBHOOKS.name)).items

        (letter,) = await eventually(dead)
        assert letter.error.kind
        _, receipt = await app.post("orders", {})
        await until_done(app, receipt["eventId"])


async def test_jobs_lost_with_redis_are_enqueued_again(redis_url: str, postgres_dsn: str) -> None:
    """The worker restores its queue from the rows. Events that ended stay ended, and nothing happens twice."""
    async with published(redis_url, postgres_dsn, META, webhook()) as app:
        _, one = await app.post("whatsapp", *signed(whatsapp(text_message("5511", "oi", "w1"))))
        _, two = await app.post("orders", b"\xff", {"Content-Type": "image/png"})
        await app.redis.command("FLUSHDB")
        async with working(app, grace_s=0.0) as relay:
            await until_done(app, one["eventId"])
            await until_done(app, two["eventId"])
            assert await relay.sweep() == 0
            assert len(await executions(app.database)) == 2


async def test_the_relay_reads_a_long_table_in_pages(redis_url: str, postgres_dsn: str) -> None:
    """A row that cannot be read is skipped, and so is an event whose job exists."""
    async with published(redis_url, postgres_dsn, DEDUPED) as app:
        await asyncio.gather(*(app.post("deduped", {"id": number}) for number in range(30)))
        source = EventRelaySource(app.events)
        page = await source.due(10, older_than_s=0.0)
        pages = [page]
        while len(page) == 10:
            page = await source.due(10, page[-1], older_than_s=0.0)
            pages.append(page)
        assert [len(one) for one in pages] == [10, 10, 10, 0]
        assert len({job.key for one in pages for job in one}) == 30
        assert await Relay(app.redis, QueueProducer(app.redis), source).sweep() == 0
        assert await EventRelaySource(app.events).due(10) == [], "younger than the grace period"


async def test_events_accepted_without_postgres_are_stored_and_processed(
    redis_url: str, own_postgres: PostgresServer
) -> None:
    """Row, execution and status, as soon as Postgres is available. No attempt is used meanwhile."""
    async with published(redis_url, own_postgres.dsn(), DEDUPED) as app, working(app):
        own_postgres.kill()

        async def lost() -> bool:
            await app.post("deduped", {"id": "probe"})
            return app.database.problem is not None

        await eventually(lost)
        answers = [await app.post("deduped", {"id": number}) for number in range(10)]
        assert {status for status, _ in answers} == {200}
        own_postgres.start()
        for _, receipt in answers:

            async def processed(event_id: str = receipt["eventId"]) -> bool:
                return app.database.problem is None and await status_of(app, event_id) == "processed"

            await eventually(processed)
        event = await app.events.get(UUID(answers[3][1]["eventId"]))
        assert event is not None
        assert (json.loads(event.body), event.duplicate_key, event.remote_address) == ({"id": 3}, "3", "127.0.0.1")
        assert len(await executions(app.database)) == 11
        assert (await DeadLetterRepository(app.database).list(WEBHOOKS.name)).items == []
