"""The stores and services that the handlers of the API use. The composition root builds one `ApiContext`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from filas.crypto.secret_box import SecretBox
from filas.doctor.stores import DEFAULT_SETTINGS, DoctorSettings
from filas.memory_budget import MEMORY_BYTES, MemoryBudget
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.repository.access.api_keys import ApiKeyRepository
from filas.repository.access.audit import AuditRepository
from filas.repository.alerts import AlertRepository
from filas.repository.analytics.rollup_queries import AnalyticsRepository
from filas.repository.analytics.traffic_queries import TrafficRepository
from filas.repository.cancels import CancelRepository
from filas.repository.contacts.contact_repository import ContactRepository
from filas.repository.conversations.conversation_repository import ConversationRepository
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flow_drafts import FlowDraftRepository
from filas.repository.definitions.flow_secrets import SecretRepository
from filas.repository.definitions.flow_test_cases import FlowTestCaseRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.definitions.references import ReferenceRepository
from filas.repository.definitions.schedules import ScheduleRepository
from filas.repository.definitions.secret_references import SecretReferenceRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.executions.execution_search import ExecutionSearch
from filas.repository.executions.waiting_search import WaitingSearch
from filas.repository.failure_groups import FailureGroupRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.pauses import PauseRepository
from filas.repository.postgres.database import Database
from filas.repository.refusals import RefusalRepository
from filas.repository.replay_runs import ReplayRunRepository
from filas.repository.search.entity_lookup import EntityLookup
from filas.repository.timelines import TimelineRepository
from filas.service.stores import Stores
from filas.settings.process_settings import DEFAULT_PUBLIC_URL
from filas.store_watch import limit_silence
from ingest.access.api_access import Access
from ingest.receive.acceptor import Acceptor
from ingest.receive.webhook_cache import WebhookCache
from ingest.scaling.queue_watch import QueueWatch
from ingest.scaling.worker_advice import Bounds


@dataclass(frozen=True, slots=True)
class History:
    """The tables that grow, for searches and exports: a user that may not write is enough for their methods here."""

    events: EventRepository
    executions: ExecutionRepository
    notifications: NotificationRepository
    dead_letters: DeadLetterRepository
    pauses: PauseRepository
    refusals: RefusalRepository
    contacts: ContactRepository
    analytics: AnalyticsRepository
    conversations: ConversationRepository
    execution_search: ExecutionSearch
    failures: FailureGroupRepository
    audit: AuditRepository
    waiting: WaitingSearch
    timelines: TimelineRepository
    entities: EntityLookup
    traffic: TrafficRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiContext:
    """The stores, the queues and the settings of the API. Nothing in it is opened or closed here.

    `configuration_changed` is awaited after each change of a webhook, flow or
    channel, so that this process's own webhook cache is up to date at once; other processes poll for changes.
    The composition root samples `watch` periodically. `history` reads through DATABASE_READ_URL.
    `memory` bounds the bodies of requests and answers that are processed at a time. `doctor`: when the doctor finds
    something wrong. `public_url` is the public address of ingest. `replay_started` is set when a replay run was started
    in this process.
    """

    access: Access
    api_keys: ApiKeyRepository
    webhooks: WebhookRepository
    channels: ChannelRepository
    secrets: SecretRepository
    secret_references: SecretReferenceRepository
    references: ReferenceRepository
    flows: FlowRepository
    flow_drafts: FlowDraftRepository
    flow_tests: FlowTestCaseRepository
    schedules: ScheduleRepository
    events: EventRepository
    executions: ExecutionRepository
    notifications: NotificationRepository
    dead_letters: DeadLetterRepository
    pauses: PauseRepository
    alerts: AlertRepository
    entities: EntityLookup
    history: History
    cancels: CancelRepository
    producer: QueueProducer
    stats: QueueStats
    redis: Redis
    secret_box: SecretBox
    configuration_changed: Callable[[], Awaitable[None]]
    webhook_cache: WebhookCache
    acceptor: Acceptor
    watch: QueueWatch
    scaling_bounds: Bounds
    database: Database
    read_database: Database
    doctor: DoctorSettings
    replay_runs: ReplayRunRepository
    public_url: str = DEFAULT_PUBLIC_URL
    replay_started: asyncio.Event = field(default_factory=asyncio.Event)
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(MEMORY_BYTES))


def build_api_context(
    stores: Stores,
    *,
    access: Access,
    secret_box: SecretBox,
    configuration_changed: Callable[[], Awaitable[None]],
    webhook_cache: WebhookCache,
    acceptor: Acceptor,
    scaling_bounds: Bounds,
    doctor: DoctorSettings = DEFAULT_SETTINGS,
) -> ApiContext:
    """Builds the context over open stores. From then on, a store that does not answer for a second is skipped."""
    database, redis, read_database = stores.database, stores.redis, stores.read_database
    limit_silence((redis.watch, database.watch, read_database.watch))
    stats = QueueStats(redis)
    return ApiContext(
        access=access,
        api_keys=ApiKeyRepository(database),
        webhooks=WebhookRepository(database),
        channels=ChannelRepository(database),
        secrets=SecretRepository(database),
        secret_references=SecretReferenceRepository(database),
        references=ReferenceRepository(database),
        flows=FlowRepository(database),
        flow_drafts=FlowDraftRepository(database),
        flow_tests=FlowTestCaseRepository(database),
        schedules=ScheduleRepository(database),
        events=EventRepository(database),
        executions=ExecutionRepository(database),
        notifications=NotificationRepository(database),
        dead_letters=DeadLetterRepository(database),
        pauses=PauseRepository(database),
        alerts=AlertRepository(database),
        entities=EntityLookup(database),
        history=History(
            EventRepository(read_database),
            ExecutionRepository(read_database),
            NotificationRepository(read_database),
            DeadLetterRepository(read_database),
            PauseRepository(read_database),
            RefusalRepository(read_database),
            ContactRepository(read_database),
            AnalyticsRepository(read_database),
            ConversationRepository(read_database),
            ExecutionSearch(read_database),
            FailureGroupRepository(read_database),
            AuditRepository(read_database),
            WaitingSearch(read_database),
            TimelineRepository(read_database),
            EntityLookup(read_database),
            TrafficRepository(read_database),
        ),
        cancels=CancelRepository(database),
        producer=QueueProducer(redis),
        stats=stats,
        redis=redis,
        secret_box=secret_box,
        configuration_changed=configuration_changed,
        webhook_cache=webhook_cache,
        acceptor=acceptor,
        watch=QueueWatch(redis, stats),
        scaling_bounds=scaling_bounds,
        database=database,
        read_database=read_database,
        doctor=doctor,
        replay_runs=ReplayRunRepository(database),
    )
