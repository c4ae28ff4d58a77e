"""The composition root of `python -m ingest admin`: the API and the dashboard on a private listener, and the index of
the words in events, which only they read.

The process has a small Postgres pool and a short statement timeout of its own, and imports nothing of the public
endpoint: no export or search can slow the public endpoint.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from aiohttp import web

from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.doctor.stores import DoctorSettings
from filas.errors import StoreUnavailable
from filas.periodic import periodic
from filas.queue.producer import QueueProducer
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.event_duplicates import EventDuplicateRepository
from filas.repository.events import EventRepository
from filas.service.run_server import ServerParts, run_server
from filas.service.search_index import build_search_index
from filas.service.stores import PoolLimits, Stores
from filas.settings.process_settings import IngestAdminSettings
from filas.settings.setting_groups import is_weak
from ingest.access.api_access import Access, build_access
from ingest.api import routes
from ingest.api.history.replay_runner import IDLE_S, ReplayRunner
from ingest.api.routing.api_context import ApiContext, build_api_context
from ingest.dashboard import application
from ingest.receive.acceptor import Acceptor
from ingest.receive.backfill import EventBackfill
from ingest.receive.duplicate_recorder import DuplicateRecorder
from ingest.receive.readiness import accepting_health
from ingest.receive.webhook_cache import WebhookCache
from ingest.scaling.worker_advice import Bounds

NAME: Final = "filas-ingest-admin"
STATEMENT_TIMEOUT_S: Final = 2.0
FIGURES_EVERY_S: Final = 5.0


async def administer(settings: IngestAdminSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """Runs the process until `stop`.

    It then answers the requests under way, and enqueues the jobs of every event that it has accepted.
    """
    # Before the stores are opened: it takes a second, in which this process answers nothing.
    application.compile_templates()

    def compose(stores: Stores) -> ServerParts:
        backfill = EventBackfill(EventRepository(stores.database))
        access = _access(settings, stores)
        duplicates = DuplicateRecorder(EventDuplicateRepository(stores.database))
        context = _context(settings, stores, access, backfill, duplicates, environ)

        async def drain() -> None:
            await context.acceptor.drain()
            await backfill.drain()
            await duplicates.close()
            await access.close()

        def add_routes(app: web.Application) -> None:
            routes.register(app, context)
            secrets = settings.secrets
            application.register(app, context, secrets.filas_secret_key.reveal(), is_local_run=secrets.filas_local_run)

        figures = periodic("publish-figures", partial(_publish_figures, context), FIGURES_EVERY_S, on_error="log")
        runner = ReplayRunner(context)
        replays = periodic("run-replays", runner.step, IDLE_S, wake=context.replay_started, on_error="log")
        return ServerParts(
            health=accepting_health(stores, context.webhook_cache),
            add_routes=add_routes,
            background=(
                context.webhook_cache.run(),
                backfill.run(),
                duplicates.run(),
                *access.background(),
                figures,
                replays,
                build_search_index(settings, f"{NAME}-search"),
            ),
            drain=drain,
        )

    pool = PoolLimits(
        size=settings.ingest_admin_pool_size,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        # Its statements are not batched, so the limit of a statement is also that of a lock.
        lock_wait_s=0.0,
        # The best plan of a search depends on what is searched.
        plan_once=False,
        read_url=settings.database_read_url,
    )
    port = settings.ingest_admin_port
    await run_server(settings, stop, name=NAME, admin_port=port, compose=compose, pool=pool)


def _access(settings: IngestAdminSettings, stores: Stores) -> Access:
    return build_access(
        stores,
        admin_token=settings.filas_admin_token.reveal(),
        secret_key=settings.secrets.filas_secret_key.reveal(),
        failures_a_minute=settings.auth_failures_per_ip,
        trusted_proxies=settings.trusted_proxies,
    )


def _context(
    settings: IngestAdminSettings,
    stores: Stores,
    access: Access,
    backfill: EventBackfill,
    duplicates: DuplicateRecorder,
    environ: Mapping[str, str],
) -> ApiContext:
    variables = SecretVariables(environ, settings.secrets.secret_env_allow)
    box = SecretBox(settings.secrets.filas_secret_key.reveal(), variables)
    webhook_cache = WebhookCache(WebhookRepository(stores.database), box.reveal)
    producer = QueueProducer(stores.redis)

    async def configuration_changed() -> None:
        # The change is stored. If Postgres has become unavailable since, the cache finds the change by polling.
        with suppress(StoreUnavailable):
            await webhook_cache.refresh()

    acceptor = Acceptor(EventRepository(stores.database), producer, write_later=backfill.add, duplicates=duplicates)
    backfill.on_written = acceptor.postgres_took_events
    context = build_api_context(
        stores,
        access=access,
        secret_box=box,
        configuration_changed=configuration_changed,
        webhook_cache=webhook_cache,
        acceptor=acceptor,
        scaling_bounds=Bounds(
            settings.scaling.scaling_min_replicas,
            settings.scaling.scaling_max_replicas,
            settings.scaling.scaling_target_age_s,
        ),
        doctor=_doctor(settings),
    )
    return replace(context, public_url=settings.public_url)


def _doctor(settings: IngestAdminSettings) -> DoctorSettings:
    keys = {
        "FILAS_ADMIN_TOKEN": settings.filas_admin_token,
        "FILAS_SECRET_KEY": settings.secrets.filas_secret_key,
    }
    return DoctorSettings(
        database_bytes=settings.database_volume_bytes,
        retention_days={
            "event": settings.retention.events_retention_days,
            "execution": settings.retention.executions_retention_days,
            "dead_letter": settings.retention.dead_letters_retention_days,
        },
        weak_secrets=tuple(name for name, key in keys.items() if is_weak(key)),
    )


async def _publish_figures(context: ApiContext) -> None:
    """Sets the metrics of all queues, and samples the queues for `/api/scaling`."""
    await context.stats.publish()
    await context.watch.sample_all()
