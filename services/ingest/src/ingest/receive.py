"""The way of a request from the public listener to its answer."""

import functools
import time

import msgspec
from aiohttp import web

from filas.errors import StoreUnavailable
from filas.logs import get_logger
from filas.metrics import AUTH_FAILURES, WEBHOOK_SECONDS, WEBHOOKS
from ingest import refusals, request
from ingest.accept import Acceptor, NotStorable, receipt_of
from ingest.arrivals import Reader
from ingest.client_address import ClientAddress
from ingest.directory import ReadyWebhook, WebhookDirectory
from ingest.guard import AddressGuard
from ingest.rate_limit import Grant, RateLimiter
from ingest.refusals import Refusal
from ingest.verify.scheme import Handshake, Presented

log = get_logger(__name__)

BODY_TIMEOUT_S = 10.0
"""How long a body may take to arrive."""

_accepted = WEBHOOKS.labels("accepted")
_duplicate = WEBHOOKS.labels("duplicate")


class Receiver:
    """Handles `ANY /webhooks/{path}`."""

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

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one request; every refusal is a problem document and counted by its reason."""
        began = time.perf_counter()
        try:
            return await self._receive(http)
        except Refusal as refusal:
            return refusal.response()
        except Exception as error:  # the last resort: the sender comes again, and the log says why
            log.error("webhook.failed", method=http.method, path=http.path[:200], exc_info=error)
            return Refusal(500, "error", "the error has been logged").response()
        finally:
            WEBHOOK_SECONDS.observe(time.perf_counter() - began)

    async def _receive(self, http: web.Request) -> web.StreamResponse:
        ready = self._directory.find(http.match_info["path"])
        if ready is None:
            if not self._directory.is_loaded:
                raise refusals.unavailable("not-loaded", "the webhooks have not been read yet")
            raise refusals.unknown_webhook()
        address = self._addresses.of(http.remote, http.headers.getall("X-Forwarded-For", ()))
        await self._guard.admit(address)
        if ready.scheme is None:
            raise refusals.unavailable("unusable", "this webhook's secrets can't be read")
        url = functools.partial(self._addresses.url, http.remote, http.raw_path, http.headers)
        presented = Presented(http.method, http.headers, http.query, b"", time.time(), url)
        handshake = ready.scheme.handshake(presented)
        if handshake is not None:
            return await self._shake_hands(handshake, ready, address)
        if http.method not in ready.methods:
            raise refusals.wrong_method(ready.allow)
        presented.body = await self._read(http, ready)
        reason = ready.scheme.refusal(presented)
        if reason is not None:
            await self._count_failure(ready, address, reason)
            raise refusals.unauthenticated(ready.scheme.authenticate)
        greeting = ready.scheme.greeting(presented)
        if greeting is not None:
            return await self._shake_hands(greeting, ready, address)
        grant = await self._limiter.take(ready.limit)
        if not grant.allowed:
            refusal = refusals.too_many("rate-limit", "more than the webhook's rate limit", grant.reset_s)
            refusal.headers.update(_limit_headers(ready, grant))
            raise refusal
        return await self._accept(http, ready, presented, address, grant)

    async def _read(self, http: web.Request, ready: ReadyWebhook) -> bytes:
        try:
            return await request.read_body(http, ready.webhook.max_body_bytes, self._body_timeout_s)
        except request.BodyTooLarge:
            raise refusals.too_large(ready.webhook.max_body_bytes) from None
        except request.BodyTooSlow:
            raise Refusal(408, "too-slow", "the body took too long to arrive", closes=True) from None
        except request.BodyBroken:
            raise Refusal(400, "broken", "the body could not be read to its end", closes=True) from None

    async def _shake_hands(self, handshake: Handshake, ready: ReadyWebhook, address: str) -> web.Response:
        if handshake.status != 200:
            await self._count_failure(ready, address, "challenge-wrong")
            raise Refusal(handshake.status, "challenge", "the challenge's token is wrong")
        WEBHOOKS.labels("handshake").inc()
        body = handshake.text.encode("utf-8", "replace")
        return web.Response(body=body, content_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})

    async def _count_failure(self, ready: ReadyWebhook, address: str, reason: str) -> None:
        AUTH_FAILURES.labels("webhook").inc()
        await self._guard.failed(address, ready.webhook.id, reason)

    async def _accept(
        self, http: web.Request, ready: ReadyWebhook, presented: Presented, address: str, grant: Grant
    ) -> web.Response:
        reader = Reader(
            ready=ready,
            presented=presented,
            content_type=request.storable(http.headers.get("Content-Type", ""))[:255],
            headers=request.stored_headers(http.headers, ready.hidden_headers),
            query=request.stored_query(http),
            address=address,
        )
        arrivals = reader.arrivals()
        try:
            receipt = receipt_of(await self._acceptor.accept_many(arrivals))
        except StoreUnavailable:
            raise refusals.unavailable("stores-away", "neither store can take it at present") from None
        except NotStorable as error:
            raise Refusal(400, "not-storable", str(error)) from None
        (_duplicate if receipt.duplicate else _accepted).inc()
        answer = {
            "status": "received",
            "eventId": receipt.event_id,
            "jobId": receipt.job_id,
            "duplicate": receipt.duplicate,
        }
        return web.Response(
            body=msgspec.json.encode(answer), content_type="application/json", headers=_limit_headers(ready, grant)
        )


def _limit_headers(ready: ReadyWebhook, grant: Grant) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers: what the limit is, and what is left of it."""
    return {
        "RateLimit-Policy": ready.limit_policy,
        "RateLimit": f'"webhook";r={grant.remaining};t={grant.reset_s}',
    }
