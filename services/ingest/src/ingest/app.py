"""The composition root of `python -m ingest serve`: the public listener, and the private one with the API."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from filas.crypto.resume_tokens import ResumeTokens
from filas.crypto.secret_box import SecretBox
from filas.errors import StoreUnavailable
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import Producer
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flow_secrets import SecretRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.definitions.schedules import ScheduleRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.pauses import PauseRepository
from filas.service.garbage_collection import collect_rarely
from filas.service.health import Health
from filas.service.private_listener import build_private_app, serve_app, serve_connections
from filas.service.stores import Stores, cancel_and_wait, open_stores
from filas.settings.process_settings import IngestServeSettings
from ingest.api import routes
from ingest.api.routing.api_context import ApiContext
from ingest.public_endpoint import Limits, Public, build_public
from ingest.receive.webhook_cache import WebhookDirectory
from ingest.scaling.queue_watch import QueueWatch
from ingest.scaling.worker_advice import Bounds

STATS_EVERY_S = 5.0


async def serve(settings: IngestServeSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """The process, until `stop` and the delay after it; then requests under way are answered, and what was accepted
    is put."""
    collect_rarely()
    async with open_stores(settings, "filas-ingest-serve") as stores:
        box = SecretBox(settings.secrets.filas_secret_key.reveal())
        public = build_public(
            stores.database,
            stores.redis,
            lambda secret: box.reveal(secret, environ),
            ResumeTokens(settings.secrets.filas_secret_key.reveal()),
            trusted_proxies=settings.trusted_proxies,
            limits=Limits(
                requests_per_address=settings.rate_limit_per_ip,
                failures_per_address=settings.auth_failures_per_ip,
                max_connections=settings.ingest_max_connections,
            ),
        )
        health = _health(stores, public.directory)
        stats = QueueStats(stores.redis)
        watch = QueueWatch(stores.redis, stats)
        private = build_private_app(health)
        routes.register(private, _api_context(settings, stores, public, watch, box))
        parts = (
            public.directory.run(),
            public.listener.watch(),
            public.late_rows.run(),
            stores.probe(),
            _keep_publishing(stats, watch),
        )
        background = [asyncio.create_task(part) for part in parts]
        try:
            async with (
                serve_app(private, settings.admin.admin_host, settings.ingest_admin_port),
                serve_connections(public.listener, settings.ingest_host, settings.ingest_port),
            ):
                await stop.wait()
                # Whoever spreads the load needs a while to see it, and sends new callers here until then; those that
                # kept a connection are told with their next answer to open another one.
                health.draining = public.listener.draining = True
                await asyncio.sleep(settings.shutdown_delay_s)
            await public.acceptor.drain()
        finally:
            await cancel_and_wait(*background)


def _health(stores: Stores, directory: WebhookDirectory) -> Health:
    """Ready once it knows the webhooks; from then on for as long as one store is there, because it accepts with
    one: to be taken out of service then would lose what it could have taken."""
    redis, database = stores.redis, stores.database
    health = Health()
    health.add("redis", lambda: redis.problem, optional_while=lambda: directory.is_loaded and database.problem is None)
    health.add(
        "postgres", lambda: database.problem, optional_while=lambda: directory.is_loaded and redis.problem is None
    )
    health.add("webhooks", lambda: None if directory.is_loaded else "not read yet")
    return health


def _api_context(
    settings: IngestServeSettings, stores: Stores, public: Public, watch: QueueWatch, box: SecretBox
) -> ApiContext:
    redis, database = stores.redis, stores.database

    async def configuration_changed() -> None:
        # The change is stored; should Postgres be gone again, the directory finds it as other replicas do.
        with suppress(StoreUnavailable):
            await public.directory.refresh()

    return ApiContext(
        webhooks=WebhookRepository(database),
        channels=ChannelRepository(database),
        secrets=SecretRepository(database),
        flows=FlowRepository(database),
        schedules=ScheduleRepository(database),
        events=EventRepository(database),
        executions=ExecutionRepository(database),
        notifications=NotificationRepository(database),
        dead_letters=DeadLetterRepository(database),
        pauses=PauseRepository(database),
        producer=Producer(redis),
        stats=QueueStats(redis),
        redis=redis,
        secret_box=box,
        admin_token=settings.filas_admin_token.reveal(),
        configuration_changed=configuration_changed,
        directory=public.directory,
        acceptor=public.acceptor,
        watch=watch,
        scaling_bounds=Bounds(
            settings.scaling.scaling_min_replicas,
            settings.scaling.scaling_max_replicas,
            settings.scaling.scaling_target_age_s,
        ),
    )


async def _keep_publishing(stats: QueueStats, watch: QueueWatch) -> None:
    """Set the metrics of all queues and sample them every few seconds, until cancel_and_wait."""
    while True:
        with suppress(StoreUnavailable):
            await stats.publish()
            await watch.sample_all()
        await asyncio.sleep(STATS_EVERY_S)
