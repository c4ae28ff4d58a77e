"""The cache of webhooks by path. It is refreshed regularly, and keeps its content while Postgres is unavailable."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from filas.contract.event_envelope import WebhookSnapshot, snapshot_of
from filas.errors import SecretUnreadable, StoreUnavailable
from filas.models.configuration import UNREADABLE, RateLimit, Webhook
from filas.observability.logs import get_logger
from ingest.event.conversation import ConversationReader
from ingest.providers.known_providers import PROVIDERS
from ingest.providers.message import Provider
from ingest.receive import duplicate_keys
from ingest.receive.rate_limit import Limit
from ingest.verify import auth_types
from ingest.verify.scheme import Reveal, Scheme

log = get_logger(__name__)

POLL_S = 0.5
"""How often changes are read: a change is in effect within a second."""

MISS_PAUSE_S = 0.05
"""The shortest time between two reads: requests for unknown paths cause at most 20 reads a second."""

MISS_WAIT_S = 2.0
"""The longest time that a request for an unknown path waits for the next read. A read takes milliseconds, but a process
that was stopped for half a second would answer 404 for a webhook that was stored a moment ago, and a sender that gets a
404 does not repeat its request. An unavailable Postgres ends the read, and with it the wait, within a second."""

LOAD_WAIT_S = 1.0
"""The longest time that a request waits for the first read. A load balancer may send requests to a new process before
its first health check."""

LOAD_GRACE_S = 2.0
"""How long after the start requests wait for the first read. Later they do not: Postgres is unavailable."""


class WebhookSource(Protocol):
    """Where webhooks are stored."""

    async def changed_since(self, revision: int) -> tuple[list[Webhook], list[str], int]:
        """Returns the webhooks stored and the ids deleted since `revision`, and the next revision.

        Raises StoreUnavailable.
        """


@dataclass(frozen=True, slots=True)
class ReadyWebhook:
    """A webhook with everything that a request needs, computed once.

    `scheme` is None if the webhook cannot be used, for example because its secrets cannot be read. Its requests are
    rejected. `secrets` are those of the scheme, so that they can be hidden where a request is stored.
    """

    webhook: Webhook
    scheme: Scheme | None
    provider: Provider | None
    conversation: ConversationReader
    duplicate_key: duplicate_keys.KeyOf | None
    needs_content_key: bool
    methods: frozenset[str]
    allow: str
    limit: Limit
    limit_policy: str
    hidden_headers: frozenset[str]
    snapshot: WebhookSnapshot
    snapshot_json: str
    hidden_query: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = field(default=(), repr=False)


class WebhookCache:
    """All webhooks in memory. `refresh` reads the changes, and `run` does so regularly."""

    def __init__(self, source: WebhookSource, reveal: Reveal, *, poll_s: float = POLL_S) -> None:
        self._source = source
        self._reveal = reveal
        self._poll_s = poll_s
        self._revision = 0
        self._by_path: dict[str, ReadyWebhook] = {}
        self._by_id: dict[str, ReadyWebhook] = {}
        self._refreshing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._next_read = asyncio.Event()
        self._first_read = asyncio.Event()
        self._started: float | None = None
        self.is_loaded = False

    def find(self, path: str) -> ReadyWebhook | None:
        """Returns the webhook at `/webhooks/{path}`; None if there is none or it is disabled. A slash at the end of
        the path makes no difference."""
        return self._by_path.get(path.removesuffix("/"))

    async def find_or_read(self, path: str) -> ReadyWebhook | None:
        """Like `find`, but looks for changes before it returns None.

        A webhook that was stored a moment ago, by any process, is found at once. Before the first read, this waits for
        it, while the process is new. `run` must be running.
        """
        ready = self.find(path)
        if ready is not None:
            return ready
        read, wait_s = (self._next_read, MISS_WAIT_S) if self.is_loaded else (self._first_read, LOAD_WAIT_S)
        if not self.is_loaded and (self._started is None or time.monotonic() - self._started > LOAD_GRACE_S):
            return None
        self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await read.wait()
        return self.find(path)

    def find_by_id(self, webhook_id: str) -> ReadyWebhook | None:
        """Returns the webhook with that id; None if there is none or it is disabled."""
        ready = self._by_id.get(webhook_id)
        return ready if ready is not None and ready.webhook.enabled else None

    async def refresh(self) -> None:
        """Reads the changes. Raises StoreUnavailable; the cache is then unchanged."""
        async with self._refreshing:
            changed, deleted, revision = await self._source.changed_since(self._revision)
            # Removals come first, because a path may move from one webhook to another.
            for webhook_id in [*deleted, *(webhook.id for webhook in changed)]:
                self._remove(webhook_id)
            for webhook in changed:
                self._add(webhook)
            self._revision = revision
            self.is_loaded = True
            self._first_read.set()

    async def run(self) -> None:
        """Refreshes until cancelled. A failed refresh is repeated."""
        self._started = time.monotonic()
        while True:
            # A request that waits for `_next_read` needs a read that begins after the request.
            this_read, self._next_read = self._next_read, asyncio.Event()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.debug("webhooks.refresh_failed", reason=error.reason)
            except Exception as error:  # an invalid row must not end the refresh of all webhooks
                log.error("webhooks.refresh_failed", exc_info=error)
            this_read.set()
            await asyncio.sleep(min(MISS_PAUSE_S, self._poll_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._wanted.wait()
            self._wanted.clear()

    def _remove(self, webhook_id: str) -> None:
        known = self._by_id.pop(webhook_id, None)
        if known is not None and self._by_path.get(known.webhook.path) is known:
            del self._by_path[known.webhook.path]

    def _add(self, webhook: Webhook) -> None:
        ready = make_ready(webhook, self._reveal)
        self._by_id[webhook.id] = ready
        if webhook.enabled:
            self._by_path[webhook.path] = ready


def make_ready(webhook: Webhook, reveal: Reveal) -> ReadyWebhook:
    """Computes what each request to `webhook` needs. Never raises: an invalid webhook rejects its own requests only."""
    try:
        return _ready(webhook, reveal)
    except Exception as error:  # whatever is wrong with one definition, the others stay in use
        # The message of an unknown error may contain a secret.
        log.error("webhook.unusable", webhook_id=webhook.id, error=type(error).__name__)
    blank = msgspec.structs.replace(
        webhook, auth={"type": UNREADABLE}, rate_limit=RateLimit(), dedupe=None, conversation=None, config={}
    )
    return _ready(blank, reveal)


def _ready(webhook: Webhook, reveal: Reveal) -> ReadyWebhook:
    secrets: list[str] = []
    scheme = _scheme(webhook, reveal, secrets)
    snapshot = snapshot_of(webhook)
    limit = webhook.rate_limit
    hidden = scheme.sensitive_headers if scheme is not None else frozenset()
    return ReadyWebhook(
        webhook=webhook,
        scheme=scheme,
        provider=PROVIDERS.get(snapshot.provider),
        conversation=ConversationReader(snapshot.provider, webhook.conversation),
        duplicate_key=_duplicate_key(webhook),
        needs_content_key=scheme is not None and duplicate_keys.needs_content_key(webhook.dedupe, scheme),
        methods=frozenset(webhook.methods),
        allow=", ".join(webhook.methods),
        limit=Limit(f"webhook:{webhook.id}", limit.max, limit.window_ms),
        limit_policy=f'"webhook";q={limit.max};w={max(1, round(limit.window_ms / 1000))}',
        hidden_headers=auth_types.SIGNATURE_HEADERS | hidden,
        snapshot=snapshot,
        snapshot_json=msgspec.json.encode(snapshot).decode(),
        hidden_query=scheme.sensitive_query if scheme is not None else frozenset(),
        secrets=tuple(secrets),
    )


def _scheme(webhook: Webhook, reveal: Reveal, secrets: list[str]) -> Scheme | None:
    """Returns the check of `webhook`, and adds its secrets to `secrets`."""

    def logged(stored: str) -> str:
        # A scheme skips a secret that it cannot read if it can read another, so the operator learns of it here.
        try:
            secrets.append(reveal(stored))
            return secrets[-1]
        except SecretUnreadable as error:
            log.warning("webhook.secret_unreadable", webhook_id=webhook.id, reason=str(error))
            raise

    if webhook.auth.get("type") == UNREADABLE:
        return None  # logged where the row was read
    try:
        return auth_types.configuration(webhook.auth).scheme(logged)
    except (msgspec.ValidationError, SecretUnreadable) as error:
        log.error("webhook.unusable", webhook_id=webhook.id, error=str(error))
        return None


def _duplicate_key(webhook: Webhook) -> duplicate_keys.KeyOf | None:
    if webhook.dedupe is None:
        return None
    try:
        return duplicate_keys.configured(webhook.dedupe)
    except ValueError as error:
        log.error("webhook.dedupe_unusable", webhook_id=webhook.id, error=str(error))
        return None
