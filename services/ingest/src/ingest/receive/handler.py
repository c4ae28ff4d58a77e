"""The way of a request from the public listener to its answer."""

import functools
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec

from filas.contract.storable_text import header_text
from filas.errors import StoreUnavailable
from filas.observability.logs import get_logger
from filas.observability.metrics import AUTH_FAILURES, WEBHOOK_SECONDS, WEBHOOKS
from filas.tracing import spans
from ingest.http import error_answers, request
from ingest.http.answers import Answer
from ingest.http.body_reading import read_body
from ingest.http.client_address import UNKNOWN, ClientAddress
from ingest.http.error_answers import RejectedRequest
from ingest.receive.acceptor import Acceptor, NotStorable, Receipt, receipt_of
from ingest.receive.address_limits import AddressGuard
from ingest.receive.rate_limit import Grant, RateLimiter
from ingest.receive.request_events import Reader
from ingest.receive.request_spans import received
from ingest.receive.webhook_cache import ReadyWebhook, WebhookDirectory
from ingest.verify.scheme import Handshake, Presented

log = get_logger(__name__)

BODY_TIMEOUT_S = 10.0
"""How long a body may take to arrive."""

PREFIX = "/webhooks/"
ROUTE = "/webhooks/{path}"

_encode = msgspec.json.Encoder().encode
_accepted = WEBHOOKS.labels("accepted")
_duplicate = WEBHOOKS.labels("duplicate")


class Receiver:
    """Handles `ANY /webhooks/{path}`, and knows no other address."""

    def __init__(
        self,
        directory: WebhookDirectory,
        acceptor: Acceptor,
        limiter: RateLimiter,
        guard: AddressGuard,
        addresses: ClientAddress,
        *,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._directory = directory
        self._acceptor = acceptor
        self._limiter = limiter
        self._guard = guard
        self._addresses = addresses
        self._body_timeout_s = body_timeout_s

    async def handle(self, http: request.Request) -> Answer:
        """Answer one request; every rejection is a problem document and counted by its reason."""
        began = time.perf_counter()
        try:
            return await self._receive(http)
        except RejectedRequest as rejection:
            return rejection.answer()
        except Exception as error:  # the last resort: the sender comes again, and the log says why
            log.error("webhook.failed", method=http.method, path=http.target[:200], exc_info=error)
            return RejectedRequest(500, "error", "the error has been logged").answer()
        finally:
            WEBHOOK_SECONDS.observe(time.perf_counter() - began)

    async def _receive(self, http: request.Request) -> Answer:
        ready = await self._find(http)
        headers, address = http.headers, http.remote or UNKNOWN
        if self._addresses.believes:
            address = self._addresses.of(address, headers.getall("X-Forwarded-For", ()))
        if self._guard.watches:
            await self._guard.admit(address)
        scheme = ready.scheme
        if scheme is None:
            raise error_answers.unavailable("unusable", "this webhook's secrets can't be read")
        url = functools.partial(self._addresses.url, http.remote, http.target, headers)
        presented = Presented(http.method, headers, http.query, b"", time.time(), url)
        handshake = scheme.handshake(presented)
        if handshake is not None:
            return await self._shake_hands(handshake, ready, address)
        if http.method not in ready.methods:
            raise error_answers.wrong_method(ready.allow)
        presented.body = await read_body(http, ready.webhook.max_body_bytes, self._body_timeout_s)
        reason = scheme.rejection_reason(presented)
        if reason is not None:
            await self._count_failure(ready, address, reason)
            raise error_answers.unauthenticated(scheme.authenticate)
        greeting = scheme.greeting(presented)
        if greeting is not None:
            return await self._shake_hands(greeting, ready, address)
        grant = self._limiter.take_now(ready.limit) or await self._limiter.take(ready.limit)
        if not grant.allowed:
            rejection = error_answers.too_many("rate-limit", "more than the webhook's rate limit", grant.reset_s)
            rejection.headers.update(_limit_headers(ready, grant))
            raise rejection
        return await self._accept(ready, presented, address, grant)

    async def _find(self, http: request.Request) -> ReadyWebhook:
        """The webhook that is called. Raises RejectedRequest."""
        path = http.path
        ready = await self._directory.find_or_read(path[len(PREFIX) :]) if path.startswith(PREFIX) else None
        if ready is not None:
            return ready
        if not self._directory.is_loaded:
            raise error_answers.unavailable("not-loaded", "the webhooks have not been read yet")
        raise error_answers.unknown_webhook()

    async def _shake_hands(self, handshake: Handshake, ready: ReadyWebhook, address: str) -> Answer:
        if handshake.status != 200:
            await self._count_failure(ready, address, "challenge-wrong")
            raise RejectedRequest(handshake.status, "challenge", "the challenge's token is wrong")
        WEBHOOKS.labels("handshake").inc()
        return Answer(200, handshake.text.encode("utf-8", "replace"), "text/plain; charset=utf-8")

    async def _count_failure(self, ready: ReadyWebhook, address: str, reason: str) -> None:
        AUTH_FAILURES.labels("webhook").inc()
        await self._guard.failed(address, ready.webhook.id, reason)

    async def _accept(self, ready: ReadyWebhook, presented: Presented, address: str, grant: Grant) -> Answer:
        reader = Reader(
            ready=ready,
            presented=presented,
            content_type=header_text(presented.headers.get("Content-Type", ""))[:255],
            headers=request.stored_headers(presented.headers, ready.hidden_headers),
            query=request.stored_query(presented.query),
            address=address,
        )
        arrivals = reader.arrivals()
        try:
            if len(arrivals) == 1:
                answers: Sequence[Receipt | BaseException] = (await self._acceptor.accept(arrivals[0]),)
            else:
                answers = await self._acceptor.accept_many(arrivals)
            if spans.is_on():
                received(arrivals, answers, ROUTE, presented.headers.get("traceparent"))
            receipt = receipt_of(answers)
        except StoreUnavailable:
            raise error_answers.unavailable("stores-unavailable", "neither store can take it at present") from None
        except NotStorable as error:
            raise RejectedRequest(400, "not-storable", str(error)) from None
        (_duplicate if receipt.duplicate else _accepted).inc()
        told = _Received(receipt.event_id, receipt.job_id, receipt.duplicate)
        return Answer(200, _encode(told), headers=_limit_headers(ready, grant))


class _Received(msgspec.Struct, rename="camel", tag_field="status", tag="received"):
    """What a sender is told."""

    event_id: UUID
    job_id: str
    duplicate: bool


def _limit_headers(ready: ReadyWebhook, grant: Grant) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers: what the limit is, and what is left of it."""
    return {
        "RateLimit-Policy": ready.limit_policy,
        "RateLimit": f'"webhook";r={grant.remaining};t={grant.reset_s}',
    }
