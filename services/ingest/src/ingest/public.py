"""The public listener: `/webhooks/{path}`, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from filas.queue.connection import Redis
from filas.queue.producer import Producer
from filas.repository.database import Database
from filas.repository.events import EventRepository
from filas.repository.webhooks import WebhookRepository
from filas.setting_types import Network
from ingest.accept import Acceptor
from ingest.client_address import ClientAddress
from ingest.directory import WebhookDirectory
from ingest.guard import AddressGuard
from ingest.rate_limit import RateLimiter
from ingest.receive import BODY_TIMEOUT_S, Receiver
from ingest.verify.scheme import Reveal
from ingest.windows import RedisWindows

ENQUEUE_RETRY_S = 0.3
"""How long a job is put again when Redis is lost in the middle: a sender waits for the answer."""


@dataclass(frozen=True, slots=True)
class Public:
    """The listener's app, and what runs behind it: `directory.run()` is to be kept running, `acceptor` drained."""

    app: web.Application
    directory: WebhookDirectory
    acceptor: Acceptor


def build_public(
    database: Database,
    redis: Redis,
    reveal: Reveal,
    *,
    trusted_proxies: Sequence[Network] = (),
    requests_per_address: int = 0,
    failures_per_address: int = 60,
    body_timeout_s: float = BODY_TIMEOUT_S,
) -> Public:
    """The public listener over these stores. The limits an address are a minute's; 0 means none."""
    directory = WebhookDirectory(WebhookRepository(database), reveal)
    acceptor = Acceptor(EventRepository(database), Producer(redis, retry_for_s=ENQUEUE_RETRY_S))
    limiter = RateLimiter(RedisWindows(redis))
    guard = AddressGuard(limiter, requests_a_minute=requests_per_address, failures_a_minute=failures_per_address)
    receiver = Receiver(
        directory, acceptor, limiter, guard, ClientAddress(trusted_proxies), body_timeout_s=body_timeout_s
    )
    app = web.Application()
    app.router.add_route("*", "/webhooks/{path}", receiver.handle)
    return Public(app, directory, acceptor)
