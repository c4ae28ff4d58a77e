"""The public listener: `/webhooks/{path}` and `/resume/{token}`, and nothing else."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from filas.crypto.resume_tokens import PATH, ResumeTokens
from filas.queue.producer import Producer
from filas.queue.redis_client.connection import Redis
from filas.repository.callbacks import CallbackRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas.settings.value_types import Network
from ingest.http.answers import Answer
from ingest.http.client_address import ClientAddress
from ingest.http.listener import ANSWER_TIMEOUT_S, REQUEST_TIMEOUT_S, PublicListener
from ingest.http.request import Request
from ingest.receive.acceptor import Acceptor
from ingest.receive.address_limits import AddressGuard
from ingest.receive.backfill import EventBackfill
from ingest.receive.handler import BODY_TIMEOUT_S, Receiver
from ingest.receive.rate_limit import RateLimiter
from ingest.receive.redis_rate_windows import RedisWindows
from ingest.receive.webhook_cache import WebhookDirectory
from ingest.resume.handler import Resumer
from ingest.verify.scheme import Reveal

ENQUEUE_RETRY_S = 0.3
"""How long a job is put again when Redis is lost in the middle: a sender waits for the answer."""


@dataclass(frozen=True, slots=True)
class Public:
    """The listener, and what runs behind it: `directory.run()`, `listener.watch()` and `backfill.run()` are to be kept
    running, `acceptor` drained."""

    listener: PublicListener
    directory: WebhookDirectory
    acceptor: Acceptor
    backfill: EventBackfill


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What callers may take. The two an address are a minute's; 0 means none. Times are in seconds: for a body to
    arrive, for a new connection to ask something, and for an answer to be read."""

    requests_per_address: int = 0
    failures_per_address: int = 60
    max_connections: int = 2000
    body_budget: int = 64 << 20
    body_timeout_s: float = BODY_TIMEOUT_S
    request_timeout_s: float = REQUEST_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S


DEFAULT_LIMITS = Limits()


def build_public(
    database: Database,
    redis: Redis,
    reveal: Reveal,
    tokens: ResumeTokens,
    *,
    trusted_proxies: Sequence[Network] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Public:
    """The public listener over these stores, within a running event loop."""
    directory = WebhookDirectory(WebhookRepository(database), reveal)
    producer = Producer(redis, retry_for_s=ENQUEUE_RETRY_S)
    backfill = EventBackfill(EventRepository(database))
    acceptor = Acceptor(EventRepository(database), producer, write_later=backfill.add)
    limiter = RateLimiter(RedisWindows(redis))
    guard = AddressGuard(
        limiter, requests_a_minute=limits.requests_per_address, failures_a_minute=limits.failures_per_address
    )
    addresses = ClientAddress(trusted_proxies)
    receiver = Receiver(directory, acceptor, limiter, guard, addresses, body_timeout_s=limits.body_timeout_s)
    resumer = Resumer(
        CallbackRepository(database), producer, tokens, guard, addresses, body_timeout_s=limits.body_timeout_s
    )

    def handle(http: Request) -> Coroutine[Any, Any, Answer]:
        return resumer.handle(http) if http.path.startswith(PATH) else receiver.handle(http)

    listener = PublicListener(
        handle,
        max_connections=limits.max_connections,
        body_budget=limits.body_budget,
        is_shared=addresses.is_trusted,
        request_timeout_s=limits.request_timeout_s,
        answer_timeout_s=limits.answer_timeout_s,
    )
    return Public(listener, directory, acceptor, backfill)
