"""The composition root of `python -m notifier`: channels, delivery, and the consumer of `notifications`."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

from filas.contract.policies import NOTIFICATIONS
from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.doctor.figures import figures
from filas.doctor.stores import DoctorSettings, DoctorStores
from filas.memory_budget import MEMORY_BYTES, MemoryBudget
from filas.models.alerts import AlertTarget
from filas.observability import metrics
from filas.outbound.client import OutboundClient
from filas.periodic import periodic
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.producer import QueueProducer
from filas.queue.relay import Relay
from filas.queue.worker.worker import Worker
from filas.repository.alerts import AlertRepository
from filas.repository.cancels import CancelRepository
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.delivery_receipts import DeliveryReceiptRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.pauses import PauseRepository
from filas.service.health import Health
from filas.service.run_worker import WorkerParts, run_worker
from filas.service.stores import Stores
from filas.settings.process_settings import NotifierSettings
from notifier.alerts.evaluator import AlertEvaluator, AlertSettings
from notifier.channels.channel import Tools
from notifier.channels.channel_types import CHANNEL_TYPES
from notifier.deliver.address_reports import AddressReports
from notifier.deliver.batched_store import BatchedStore
from notifier.deliver.bulkhead import Bulkhead
from notifier.deliver.channel_admission import ChannelAdmission
from notifier.deliver.channel_cache import ChannelCache
from notifier.deliver.delivery import Delivery
from notifier.deliver.outcome_reports import OutcomeReports
from notifier.jobs import (
    DeliveryReceiptRelay,
    NotificationCancelRelay,
    NotificationRelay,
    cancel_notification,
    deliver_notification,
    reported_dead_letters,
    update_delivery_status,
)

CIRCUITS_SHOWN_EVERY_S: Final = 5.0
"""How often the metric of the channels' circuits is updated."""


def build_parts(
    settings: NotifierSettings, environ: Mapping[str, str], stores: Stores, outbound: OutboundClient
) -> WorkerParts:
    """Connects channels, delivery, the worker and the relays."""
    redis, database = stores.redis, stores.database
    variables = SecretVariables(environ, settings.secrets.secret_env_allow)
    box = SecretBox(settings.secrets.filas_secret_key.reveal(), variables)
    channels = ChannelCache(
        ChannelRepository(database),
        CHANNEL_TYPES,
        Tools(outbound, _print_line, outbound.open_socket),
        box.reveal,
    )
    notifications = NotificationRepository(database)
    circuits = ChannelCircuits(redis)
    store = BatchedStore(notifications)
    memory = MemoryBudget(MEMORY_BYTES)
    admission = ChannelAdmission(circuits, Bulkhead(settings.notifier_concurrency))
    producer = QueueProducer(redis)
    outcomes = OutcomeReports(producer)
    delivery = Delivery(store, channels, admission, memory, AddressReports(producer), outcomes)
    cancels = CancelRepository(database)
    sources = (
        NotificationRelay(notifications),
        DeliveryReceiptRelay(DeliveryReceiptRepository(database)),
        NotificationCancelRelay(cancels),
    )
    relays = [Relay(redis, producer, source) for source in sources]

    async def show_circuits() -> None:
        found = await circuits.status_many(await channels.ids())
        for state in ("closed", "open", "half-open"):
            metrics.CHANNEL_CIRCUITS.labels(state).set(sum(one.state == state for one in found))

    worker = Worker(
        redis,
        NOTIFICATIONS,
        [
            deliver_notification(delivery),
            update_delivery_status(store, outcomes),
            cancel_notification(notifications, outcomes),
        ],
        concurrency=settings.notifier_concurrency,
        dead_letters=reported_dead_letters(DeadLetterRepository(database).insert_many, outcomes),
        pauses=PauseRepository(database),
        cancels=cancels,
        store_problem=lambda: database.problem,
        relays=relays,
        budget=memory,
    )
    alerts = _alerts(settings, stores, producer)
    return WorkerParts(
        worker=worker,
        background=(
            *(relay.run() for relay in relays),
            periodic("show-circuits", show_circuits, CIRCUITS_SHOWN_EVERY_S),
            periodic("alerts", alerts.step, float(settings.alert_every_s), retry_s=(1.0, 10.0)),
        ),
    )


def _alerts(settings: NotifierSettings, stores: Stores, producer: QueueProducer) -> AlertEvaluator:
    doctor = DoctorSettings(database_bytes=settings.database_volume_bytes)
    examined = DoctorStores(stores.redis, stores.database, stores.database, doctor)
    alerts = AlertSettings(
        to=tuple(AlertTarget(channel=channel, to=to) for channel, to in settings.alert_to),
        dashboard_url=settings.dashboard_url,
        language="pt-BR" if settings.alert_language == "pt-br" else "en",
        lease_s=2.5 * settings.alert_every_s,
    )
    return AlertEvaluator(AlertRepository(stores.database), producer, lambda: figures(examined), alerts)


async def serve(settings: NotifierSettings, stop: asyncio.Event, environ: Mapping[str, str]) -> None:
    """Runs the process until `stop`."""

    async def compose(stores: Stores, _health: Health, stack: AsyncExitStack) -> WorkerParts:
        outbound = await stack.enter_async_context(
            OutboundClient(
                settings.outbound.outbound_allow,
                ports=settings.outbound.outbound_ports,
                # The bulkhead bounds the connections to one channel, so no limit per host is needed here.
                per_host=settings.notifier_concurrency,
            )
        )
        return build_parts(settings, environ, stores, outbound)

    port = settings.notifier_admin_port
    await run_worker(settings, stop, name="filas-notifier", admin_port=port, compose=compose)


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
