"""The public endpoint of ingest over stores in memory, with a webhook of each kind that differs at the reception."""

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from filas.contract.new_job import NewJob
from filas.contract.storable_text import is_storable
from filas.crypto.resume_tokens import ResumeTokens
from filas.errors import StoreUnavailable
from filas.memory_budget import MemoryBudget
from filas.models.configuration import ConversationRule, Dedupe, RateLimit, Webhook, WebhookResponse
from filas.models.events import EventReceipt, NewEvent, SeenDuplicates
from filas.models.refusals import NewRefusal
from filas.queue import job_format, producer
from filas.queue.producer import EnqueueOutcome
from filas.repository.callbacks import ReceivedCall
from ingest.http.answers import Answer
from ingest.http.client_address import ClientAddress
from ingest.http.large_bodies import LargeBodies
from ingest.http.listener import PublicListener
from ingest.http.request import Request
from ingest.receive.acceptor import Acceptor
from ingest.receive.address_limits import AddressLimits
from ingest.receive.duplicate_recorder import DuplicateRecorder
from ingest.receive.handler import WebhookHandler
from ingest.receive.rate_limit import Limit, RateLimiter, WindowCount
from ingest.receive.refusal_recorder import RefusalRecorder
from ingest.receive.untrusted_proxies import UntrustedProxies
from ingest.receive.webhook_cache import WebhookCache
from ingest.resume.handler import ResumeHandler

Stores = Literal["both", "redis", "postgres", "none"]
"""Which stores are available."""

SECRET = "hunter2-hunter2"
TOKENS = ResumeTokens("k" * 32)
RESUME = TOKENS.make(UUID(int=1), UUID(int=2))
MAX_BODY = 2048


def _webhook(name: str, auth: dict[str, Any], **options: Any) -> Webhook:
    values: dict[str, Any] = {
        "flow_id": "greeting", "node_id": "start", "path": name, "methods": ["POST", "PUT", "GET", "HEAD"],
        "rate_limit": RateLimit(), "dedupe": None, "conversation": None, "config": {}, "max_body_bytes": MAX_BODY,
    }  # fmt: skip
    return Webhook(id=name, auth=auth, **(values | options))


_NONE, _SIGNED = {"type": "none"}, {"secrets": [SECRET]}
_CONVERSATION = ConversationRule(channel="console", contact="{{ body.from }}", text="{{ body.text }}")
WEBHOOKS = {
    one.path: one
    for one in (
        _webhook("open", _NONE, conversation=_CONVERSATION),
        _webhook("body", _NONE, dedupe=Dedupe(body=True), response=WebhookResponse(status=202, body="ok")),
        _webhook("path", _NONE, dedupe=Dedupe(path="order.id"), cors=("https://shop.example",)),
        _webhook("form", _NONE, body="form"),
        _webhook("github", {"type": "github", **_SIGNED}),
        _webhook("meta", {"type": "meta", "verifyToken": SECRET, **_SIGNED}),
        _webhook("telegram", {"type": "telegram", **_SIGNED}),
        _webhook("slack", {"type": "slack", **_SIGNED}),
        _webhook("basic", {"type": "basic", "secrets": [f"user:{SECRET}"]}),
        _webhook("limited", _NONE, rate_limit=RateLimit(max=1, window_ms=60_000)),
    )
}
ALWAYS_KEYED = frozenset({"body", "github", "meta", "telegram", "slack"})
"""The webhooks at which the same request is always the same event."""


def signature(webhook: str, body: bytes) -> dict[str, str]:
    """Returns the headers with which the provider of this webhook signs the body now."""
    now = str(int(time.time()))
    text = f"v0:{now}:".encode() + body if webhook == "slack" else body
    digest = hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    if webhook in ("github", "meta"):
        return {"X-Hub-Signature-256": f"sha256={digest}"}
    if webhook == "slack":
        return {"X-Slack-Signature": f"v0={digest}", "X-Slack-Request-Timestamp": now}
    return {"X-Telegram-Bot-Api-Secret-Token": SECRET} if webhook == "telegram" else {}


class EventsInMemory:
    """The table of events. Postgres would refuse a text with a NUL or a lone surrogate."""

    def __init__(self) -> None:
        self.is_available = True
        self.rows: dict[UUID, NewEvent] = {}
        self._contents: dict[UUID, UUID] = {}

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """See `EventStore`."""
        if not self.is_available:
            raise StoreUnavailable("postgres", "down")
        return [self._insert(event) for event in events]

    def _insert(self, event: NewEvent) -> EventReceipt:
        check_event(event)
        first = self._contents.get(event.content_key) if event.content_key is not None else None
        known = self.rows.get(first or event.id)
        if known is not None:
            conflict = known.id == event.id and known.content_digest != event.content_digest
            return EventReceipt(id=known.id, duplicate=True, conflict=conflict)
        self.rows[event.id] = event
        if event.content_key is not None:
            self._contents[event.content_key] = event.id
        return EventReceipt(id=event.id, duplicate=False)

    async def wait_ready(self, _timeout_s: float) -> None:
        """See `EventStore`."""
        if not self.is_available:
            raise StoreUnavailable("postgres", "down")


class JobsInMemory:
    """The queue. An id is enqueued once."""

    def __init__(self) -> None:
        self.is_available = True
        self.ids: set[str] = set()

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """See `JobStore`."""
        if not self.is_available:
            raise StoreUnavailable("redis", "down")
        return [self._enqueue(job) for job in jobs]

    def _enqueue(self, job: NewJob) -> EnqueueOutcome:
        try:
            producer._script_arguments(job, 1)
        except job_format.JobEncodeError:
            return EnqueueOutcome.REFUSED
        if job.job_id in self.ids:
            return EnqueueOutcome.DUPLICATE
        self.ids.add(job.job_id)
        return EnqueueOutcome.ENQUEUED

    async def enqueue(self, job: NewJob) -> EnqueueOutcome:
        """Enqueues one job."""
        return (await self.enqueue_many([job]))[0]

    async def command(self, *_arguments: object) -> None:
        """Runs a command of Redis that changes nothing here."""
        if not self.is_available:
            raise StoreUnavailable("redis", "down")


class _Windows:
    def __init__(self) -> None:
        self._used: dict[Limit, int] = {}

    async def count(self, requests: Sequence[tuple[Limit, int]], /) -> list[WindowCount]:
        return [self._count(limit, count) for limit, count in requests]

    def _count(self, limit: Limit, count: int) -> WindowCount:
        used = self._used.get(limit, 0)
        passed = max(0, min(count, limit.max - used))
        self._used[limit] = used + passed
        return WindowCount(passed, used, limit.window_ms, limit.window_ms)


class _Refusals:
    async def insert_many(self, refusals: Sequence[NewRefusal]) -> None:
        for one in refusals:
            texts = (one.path, one.method, one.address, one.reason, one.detail, one.headers, one.query_params)
            assert all(map(is_storable, texts)), one

    async def delete_oldest(self) -> None:
        pass


class _Duplicates:
    async def add_many(self, seen: Sequence[SeenDuplicates]) -> None:
        pass


class _Callbacks:
    def __init__(self) -> None:
        self._called: set[UUID] = set()

    async def receive(self, callback_id: UUID, _execution_id: UUID, payload: str) -> ReceivedCall:
        assert is_storable(payload)
        msgspec.json.decode(payload)
        if callback_id in self._called:
            return ReceivedCall("repeated")
        self._called.add(callback_id)
        return ReceivedCall("accepted")


class _Source:
    async def changed_since(self, _revision: int) -> tuple[list[Webhook], list[str], int]:
        return list(WEBHOOKS.values()), [], 1


def check_event(event: NewEvent) -> None:
    """Fails if Postgres would refuse the row, and with it those of the other requests of its batch."""
    for text in (event.headers, event.query_params, event.content_type, event.remote_address, event.config):
        assert is_storable(text), text
    for key in (event.duplicate_key, event.group_key):
        assert key is None or (is_storable(key) and len(key) < 1000), key


class Reception:
    """One public endpoint. Must be made in a running event loop; `webhooks` are loaded."""

    def __init__(self, webhooks: WebhookCache, stores: Stores) -> None:
        self.events, self.jobs = EventsInMemory(), JobsInMemory()
        self.events.is_available = stores in ("both", "postgres")
        self.jobs.is_available = stores in ("both", "redis")
        self.written_later: list[NewEvent] = []
        self.refusals, limiter = RefusalRecorder(_Refusals()), RateLimiter(_Windows())
        self.duplicates = DuplicateRecorder(_Duplicates())
        self.acceptor = Acceptor(
            self.events, self.jobs, write_later=self.written_later.append, duplicates=self.duplicates
        )
        limits = AddressLimits(limiter, requests_a_minute=0, failures_a_minute=60)
        addresses, bodies = ClientAddress(()), LargeBodies(MemoryBudget(2**20))
        redis: Any = self.jobs
        self._webhooks = WebhookHandler(
            webhooks, self.acceptor, limiter, limits, UntrustedProxies(addresses, redis), bodies, self.refusals
        )
        callbacks: Any = _Callbacks()
        self._resume = ResumeHandler(callbacks, redis, TOKENS, limits, addresses, bodies, 10.0)
        self.listener = PublicListener(
            self._answer, max_connections=10, body_budget=2**20, on_malformed=self.refusals.add_malformed
        )

    async def _answer(self, http: Request) -> Answer:
        handler = self._resume if http.path.startswith("/resume/") else self._webhooks
        return await handler.handle(http)

    @property
    def accepted(self) -> set[UUID]:
        """The ids of the events that a store has."""
        return {*self.events.rows, *(event.id for event in self.written_later)}

    async def close(self) -> None:
        """Writes what waits."""
        await self.acceptor.drain()
        await self.refusals.close()
        await self.duplicates.close()


async def loaded_webhooks() -> WebhookCache:
    """Returns the cache with WEBHOOKS."""
    cache = WebhookCache(_Source(), lambda stored: stored)
    await cache.refresh()
    return cache
