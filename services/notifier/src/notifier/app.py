"""The composition root of the notifier: what is made of what, started and stopped in order."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from filas.contract.policies import NOTIFICATIONS
from filas.crypto.secret_box import SecretBox
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.outbound.client import OutboundClient
from filas.queue.channel_circuits import Destinations
from filas.queue.producer import Producer
from filas.queue.redis_client.connection import Redis
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.delivery_statuses import DeliveryStatusRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.pauses import PauseRepository
from filas.repository.postgres.database import Database
from filas.service.garbage_collection import collect_rarely
from filas.service.private_listener import Health, build_private_app, run_service, serve_app
from filas.service.stores import open_stores
from filas.settings.process_settings import NotifierSettings
from notifier.channels.channel import Tools
from notifier.channels.channel_types import CHANNEL_TYPES
from notifier.deliver.batched_store import BatchedStore
from notifier.deliver.bulkhead import FairShare
from notifier.deliver.channel_admission import Gate
from notifier.deliver.channel_cache import ChannelDirectory
from notifier.deliver.delivery import Delivery
from notifier.jobs import (
    DeliveryStatusRelay,
    NotificationRelay,
    cancel_notification,
    deliver_notification,
    update_delivery_status,
)

DESTINATIONS_SHOWN_S = 5.0
"""How often the metric of the destinations' states is brought up to date."""


class Notifier:
    """The worker and its relays over stores that somebody else opens and closes."""

    def __init__(
        self,
        settings: NotifierSettings,
        environ: Mapping[str, str],
        redis: Redis,
        database: Database,
        outbound: OutboundClient,
    ) -> None:
        self.health = Health()
        self.health.add("redis", lambda: redis.problem)
        self.health.add("postgres", lambda: database.problem)
        box = SecretBox(settings.secrets.filas_secret_key.reveal())
        self._channels = ChannelDirectory(
            ChannelRepository(database),
            CHANNEL_TYPES,
            Tools(outbound, _print_line, outbound.open_socket),
            lambda stored: box.reveal(stored, environ),
        )
        notifications = NotificationRepository(database)
        self._destinations = Destinations(redis)
        gate = Gate(self._destinations, FairShare(settings.notifier_concurrency))
        store = BatchedStore(notifications)
        delivery = Delivery(store, self._channels, gate)
        sources = (NotificationRelay(notifications), DeliveryStatusRelay(DeliveryStatusRepository(database)))
        self._relays = [Relay(redis, Producer(redis), source) for source in sources]
        self._worker = Worker(
            redis,
            NOTIFICATIONS,
            [
                deliver_notification(delivery),
                update_delivery_status(store),
                cancel_notification(notifications),
            ],
            concurrency=settings.notifier_concurrency,
            dead_letters=DeadLetterRepository(database).insert_many,
            pauses=PauseRepository(database),
            store_problem=lambda: database.problem,
            on_data_lost=self._data_lost,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`, then finish what is under way. A part that fails ends the process."""
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(relay.run()) for relay in self._relays]
            background.append(group.create_task(self._show_destinations()))
            worker = group.create_task(self._worker.run())
            stopping = group.create_task(stop.wait())
            await asyncio.wait([worker, stopping], return_when=asyncio.FIRST_COMPLETED)
            self.health.draining = True
            self._worker.stop()
            await worker
            for task in (*background, stopping):
                task.cancel()

    def _data_lost(self) -> None:
        for relay in self._relays:
            relay.data_lost()

    async def _show_destinations(self) -> None:
        """Keep the metric of the destinations' states; while a store is away, it stays as it was."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                found = await self._destinations.status_many(await self._channels.ids())
                for state in ("closed", "open", "half-open"):
                    metrics.DESTINATIONS.labels(state).set(sum(one.state == state for one in found))
            await asyncio.sleep(DESTINATIONS_SHOWN_S)


async def serve(environ: Mapping[str, str], settings: NotifierSettings, stop: asyncio.Event) -> None:
    """The process: comes up though Redis and Postgres are away, and says so on its private listener."""
    collect_rarely()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, "filas-notifier"))
        outbound = await stack.enter_async_context(
            OutboundClient(
                settings.outbound.outbound_allow,
                ports=settings.outbound.outbound_ports,
                # The destinations' fair shares bound what one host can hold.
                per_host=settings.notifier_concurrency,
            )
        )
        notifier = Notifier(settings, environ, stores.redis, stores.database, outbound)
        app = build_private_app(notifier.health)
        await stack.enter_async_context(serve_app(app, settings.admin.admin_host, settings.notifier_admin_port))
        await notifier.run(stop)


def main(environ: Mapping[str, str]) -> int:
    """Run the process; gives its exit code."""
    return run_service("notifier", NotifierSettings, partial(serve, environ), environ)


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
