"""The composition root of `python -m ingest work`: the consumer of `webhook-processing`, the relay, retention, rollups.

It imports neither the API nor the signature checks, so that a worker stays small.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

from filas.contract.identity import new_id
from filas.contract.jobs import WebhookJob
from filas.contract.policies import WEBHOOKS
from filas.periodic import periodic
from filas.queue.job_functions import JobFunction
from filas.queue.producer import QueueProducer
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas.repository.analytics.rollup_builder import EVERY_S, RollupBuilder
from filas.repository.analytics.rollup_store import RollupStore
from filas.repository.cancels import CancelRepository
from filas.repository.contacts.contact_repository import ContactRepository
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.pauses import PauseRepository
from filas.repository.retention import Ages, Retention
from filas.service.health import Health
from filas.service.run_worker import WorkerParts, run_worker
from filas.service.stores import Stores
from filas.settings.process_settings import IngestWorkSettings
from filas.settings.setting_groups import RetentionSettings
from ingest.process.address_jobs import learn_addresses
from ingest.process.channel_directory import ChannelDirectory
from ingest.process.conversations import Conversations
from ingest.process.old_conversations import OldConversations
from ingest.process.processor import Processor
from ingest.process.webhook_jobs import EventRelaySource, ProcessWebhook

MAX_BATCH: Final = 100
BATCHES_AT_A_TIME: Final = 2
"""A second batch begins beside one that is full or waits for a lock (see `filas.queue.worker.slots`)."""

PURGE_EVERY_S: Final = 900.0
LINK_EVERY_S: Final = 30.0


def build_worker(stores: Stores, relay: Relay, concurrency: int) -> Worker:
    """Returns the consumer of `webhook-processing`, which processes up to `concurrency` events at a time."""
    redis, database = stores.redis, stores.database
    processor = Processor(
        EventRepository(database),
        ExecutionRepository(database),
        QueueProducer(redis),
        WebhookRepository(database),
        Conversations(ContactRepository(database), ChannelDirectory(ChannelRepository(database))),
    )
    function = JobFunction(
        WEBHOOKS.function,
        ProcessWebhook(processor),
        WebhookJob,
        batch=True,
        batch_limit=max(1, min(MAX_BATCH, concurrency // BATCHES_AT_A_TIME)),
    )
    return Worker(
        redis,
        WEBHOOKS,
        [function, learn_addresses(ContactRepository(database))],
        concurrency=min(BATCHES_AT_A_TIME, concurrency),
        dead_letters=DeadLetterRepository(database).insert_many,
        pauses=PauseRepository(database),
        cancels=CancelRepository(database),
        store_problem=lambda: database.problem,
        relays=[relay],
    )


async def work(settings: IngestWorkSettings, stop: asyncio.Event, _environ: Mapping[str, str]) -> None:
    """Runs the process until `stop`."""

    async def compose(stores: Stores, _health: Health, _stack: AsyncExitStack) -> WorkerParts:
        relay = Relay(stores.redis, QueueProducer(stores.redis), EventRelaySource(EventRepository(stores.database)))
        retention, ages = Retention(stores.database), _ages(settings.retention)

        async def purge() -> None:
            await retention.purge(await retention.now(), ages)

        linking = periodic(
            "contacts",
            OldConversations(ContactRepository(stores.database)).link,
            LINK_EVERY_S,
            retry_s=(1.0, LINK_EVERY_S),
        )
        purging = periodic("retention", purge, PURGE_EVERY_S, wait_first=True, retry_s=(PURGE_EVERY_S, PURGE_EVERY_S))
        builder = RollupBuilder(
            RollupStore(stores.database, str(new_id())),
            minutes_days=ages.rollup_minutes_days,
            hours_days=ages.rollup_hours_days,
        )
        counting = periodic("rollups", builder.run, EVERY_S, retry_s=(1.0, EVERY_S), on_error="log")
        return WorkerParts(
            worker=build_worker(stores, relay, settings.ingest_worker_concurrency),
            background=(relay.run(), linking, purging, counting),
        )

    port = settings.ingest_worker_admin_port
    await run_worker(settings, stop, name="filas-ingest-work", admin_port=port, compose=compose)


def _ages(settings: RetentionSettings) -> Ages:
    return Ages(
        events_days=settings.events_retention_days,
        executions_days=settings.executions_retention_days,
        notifications_days=settings.notifications_retention_days,
        dead_letters_days=settings.dead_letters_retention_days,
        conversations_days=settings.conversations_retention_days,
        audit_days=settings.audit_retention_days,
        rollup_minutes_days=settings.rollup_minutes_retention_days,
        rollup_hours_days=settings.rollup_hours_retention_days,
        rollup_days_days=settings.rollup_days_retention_days,
    )
