"""The composition root of `python -m ingest work`: the consumer of `webhook-processing`, the relay, the purge.

It imports neither the API nor verification: a worker is to stay small.
"""

import asyncio
from collections.abc import Mapping

from filas.contract.jobs import WebhookJob
from filas.contract.policies import WEBHOOKS
from filas.queue.job_functions import JobFunction
from filas.queue.producer import Producer
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.pauses import PauseRepository
from filas.repository.retention import Ages, Retention
from filas.service.garbage_collection import collect_rarely
from filas.service.private_listener import Health, build_private_app, serve_app
from filas.service.stores import Stores, cancelled, open_stores
from filas.settings.process_settings import IngestWorkSettings, RetentionSettings
from ingest.process.processor import Processor
from ingest.process.webhook_jobs import EventRelaySource, ProcessWebhook, keep_purging

MAX_BATCH = 100


def build_worker(stores: Stores, relay: Relay, concurrency: int) -> Worker:
    """The consumer: two batches at a time, so that one is claimed while the other is in Postgres."""
    redis, database = stores.redis, stores.database
    events = EventRepository(database)
    processor = Processor(events, ExecutionRepository(database), Producer(redis))
    function = JobFunction(
        WEBHOOKS.function,
        ProcessWebhook(processor),
        WebhookJob,
        batch=True,
        batch_limit=max(1, min(MAX_BATCH, concurrency // 2)),
    )
    return Worker(
        redis,
        WEBHOOKS,
        [function],
        concurrency=min(2, concurrency),
        dead_letters=DeadLetterRepository(database).insert_many,
        pauses=PauseRepository(database),
        store_problem=lambda: database.problem,
        on_data_lost=relay.data_lost,
    )


async def work(settings: IngestWorkSettings, stop: asyncio.Event, _environ: Mapping[str, str]) -> None:
    """The process, until `stop`; a part that fails ends it, to be started anew by its supervisor."""
    collect_rarely()
    async with open_stores(settings, "filas-ingest-work") as stores:
        redis, database = stores.redis, stores.database
        health = Health()
        health.add("redis", lambda: redis.problem)
        health.add("postgres", lambda: database.problem)
        relay = Relay(redis, Producer(redis), EventRelaySource(EventRepository(database)))
        worker = build_worker(stores, relay, settings.ingest_worker_concurrency)
        retention, ages = Retention(database), _ages(settings.retention)
        app = build_private_app(health)
        async with (
            serve_app(app, settings.admin.admin_host, settings.ingest_worker_admin_port),
            asyncio.TaskGroup() as group,
        ):
            beside = [
                group.create_task(part)
                for part in (relay.run(), stores.probe(), keep_purging(lambda now: retention.purge(now, ages)))
            ]
            working = group.create_task(worker.run())
            stopping = group.create_task(_set(stop))
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            health.draining = True
            worker.stop()
            await working
            await cancelled(stopping, *beside)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _ages(settings: RetentionSettings) -> Ages:
    return Ages(
        events_days=settings.events_retention_days,
        executions_days=settings.executions_retention_days,
        notifications_days=settings.notifications_retention_days,
        dead_letters_days=settings.dead_letters_retention_days,
    )
