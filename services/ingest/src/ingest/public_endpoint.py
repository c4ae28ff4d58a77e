"""The public endpoint: `/webhooks/{path}` and `/resume/{token}`, with all that accepts their requests."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from filas.crypto.resume_tokens import PATH, ResumeTokens
from filas.memory_budget import MemoryBudget
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.repository.callbacks import CallbackRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.event_duplicates import EventDuplicateRepository
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas.repository.refusals import RefusalRepository
from filas.settings.value_types import Network
from filas.store_watch import limit_silence
from ingest.http.answers import Answer
from ingest.http.client_address import ClientAddress
from ingest.http.large_bodies import LargeBodies
from ingest.http.listener import ANSWER_TIMEOUT_S, REQUEST_TIMEOUT_S, PublicListener
from ingest.http.request import Request
from ingest.receive.acceptor import Acceptor
from ingest.receive.address_limits import AddressLimits
from ingest.receive.backfill import EventBackfill
from ingest.receive.duplicate_recorder import DuplicateRecorder
from ingest.receive.handler import BODY_TIMEOUT_S, WebhookHandler
from ingest.receive.rate_limit import RateLimiter
from ingest.receive.redis_rate_windows import RedisRateWindows
from ingest.receive.refusal_recorder import RefusalRecorder
from ingest.receive.untrusted_proxies import UntrustedProxies
from ingest.receive.webhook_cache import WebhookCache
from ingest.resume.handler import ResumeHandler
from ingest.verify.scheme import Reveal

ENQUEUE_RETRY_S = 0.3
"""How long enqueuing is repeated when the connection to Redis is lost. The sender waits for the answer."""


@dataclass(frozen=True, slots=True)
class PublicEndpoint:
    """The listener and its parts.

    `webhook_cache.run()`, `listener.watch()`, `backfill.run()`, `refusals.run()` and `duplicates.run()` must be
    running. `acceptor` is drained, and `refusals` and `duplicates` are closed, at the end.
    """

    listener: PublicListener
    webhook_cache: WebhookCache
    acceptor: Acceptor
    backfill: EventBackfill
    refusals: RefusalRecorder
    memory: MemoryBudget
    duplicates: DuplicateRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of clients.

    `requests_per_address` and `failures_per_address` are per minute; 0 means no limit. `body_budget` is in bytes: of
    the requests that are received, and of the memory in which their bodies are parsed and written. The
    times, in seconds, are those for receiving a body, for receiving a head, and for the client to read its answers.
    """

    requests_per_address: int = 0
    failures_per_address: int = 60
    max_connections: int = 2000
    body_budget: int = 64 << 20
    body_timeout_s: float = BODY_TIMEOUT_S
    request_timeout_s: float = REQUEST_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S


DEFAULT_LIMITS = Limits()


def build_public_endpoint(
    database: Database,
    redis: Redis,
    reveal: Reveal,
    tokens: ResumeTokens,
    *,
    trusted_proxies: Sequence[Network] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> PublicEndpoint:
    """Builds the public endpoint over these stores. Must be called in a running event loop.

    From then on, a store that does not answer for a second is skipped.
    """
    limit_silence((redis.watch, database.watch))
    webhook_cache = WebhookCache(WebhookRepository(database), reveal)
    producer = QueueProducer(redis, retry_for_s=ENQUEUE_RETRY_S)
    backfill = EventBackfill(EventRepository(database))
    duplicates = DuplicateRecorder(EventDuplicateRepository(database))
    acceptor = Acceptor(EventRepository(database), producer, write_later=backfill.add, duplicates=duplicates)
    backfill.on_written = acceptor.postgres_took_events
    limiter = RateLimiter(RedisRateWindows(redis))
    address_limits = AddressLimits(
        limiter, requests_a_minute=limits.requests_per_address, failures_a_minute=limits.failures_per_address
    )
    addresses, memory = ClientAddress(trusted_proxies), MemoryBudget(limits.body_budget)
    large_bodies, refusals = LargeBodies(memory), RefusalRecorder(RefusalRepository(database))
    webhook_handler = WebhookHandler(
        webhook_cache,
        acceptor,
        limiter,
        address_limits,
        UntrustedProxies(addresses, redis),
        large_bodies,
        refusals,
        body_timeout_s=limits.body_timeout_s,
    )
    resume_handler = ResumeHandler(
        CallbackRepository(database),
        producer,
        tokens,
        address_limits,
        addresses,
        large_bodies,
        body_timeout_s=limits.body_timeout_s,
    )

    def handle(http: Request) -> Coroutine[Any, Any, Answer]:
        return resume_handler.handle(http) if http.path.startswith(PATH) else webhook_handler.handle(http)

    listener = PublicListener(
        handle,
        max_connections=limits.max_connections,
        body_budget=limits.body_budget,
        is_shared=addresses.is_trusted,
        request_timeout_s=limits.request_timeout_s,
        answer_timeout_s=limits.answer_timeout_s,
        on_malformed=refusals.add_malformed,
    )
    return PublicEndpoint(listener, webhook_cache, acceptor, backfill, refusals, memory, duplicates)
