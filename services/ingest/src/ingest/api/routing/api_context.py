"""What the API's handlers work with. The composition root builds one and hands it to `routes.register`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from filas.crypto.secret_box import SecretBox
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import Producer
from filas.queue.redis_client.connection import Redis
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
from ingest.receive.acceptor import Acceptor
from ingest.receive.webhook_cache import WebhookDirectory
from ingest.scaling.queue_watch import QueueWatch
from ingest.scaling.worker_advice import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The stores, the queues and the settings that the API needs; nothing in it is opened or closed here.

    `admin_token` is FILAS_ADMIN_TOKEN. `configuration_changed` is awaited after each change of a webhook,
    flow or channel, so that this process's own cache is fresh at once (others find it by its revision).
    `directory` and `acceptor` are the public listener's.
    `watch` is sampled every few seconds by the composition root.
    """

    webhooks: WebhookRepository
    channels: ChannelRepository
    secrets: SecretRepository
    flows: FlowRepository
    schedules: ScheduleRepository
    events: EventRepository
    executions: ExecutionRepository
    notifications: NotificationRepository
    dead_letters: DeadLetterRepository
    pauses: PauseRepository
    producer: Producer
    stats: QueueStats
    redis: Redis
    secret_box: SecretBox
    admin_token: str = field(repr=False)
    configuration_changed: Callable[[], Awaitable[None]]
    directory: WebhookDirectory
    acceptor: Acceptor
    watch: QueueWatch
    scaling_bounds: Bounds
