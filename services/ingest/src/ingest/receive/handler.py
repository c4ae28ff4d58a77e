"""The handler of `/webhooks/{path}`: checks a request, accepts its events and answers it."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec

from filas.contract.storable_text import header_text
from filas.errors import StoreUnavailable
from filas.memory_budget import SMALL_BYTES, NoRoom
from filas.observability.logs import get_logger
from filas.observability.metrics import AUTH_FAILURES, WEBHOOK_SECONDS, WEBHOOKS
from filas.tracing import spans
from ingest.decoding.content_coding import (
    HEADER,
    DecodedTooLarge,
    InvalidCoding,
    UnsupportedCoding,
    decoded_body,
    is_coded,
)
from ingest.event.body_parsing import LARGE_BODY
from ingest.http import error_answers, request
from ingest.http.answers import Answer
from ingest.http.body_reading import read_body
from ingest.http.client_address import UNKNOWN
from ingest.http.error_answers import RejectedRequest
from ingest.http.large_bodies import LargeBodies
from ingest.receive.acceptor import Acceptor, IncomingEvent, NotStorable, Receipt, receipt_of
from ingest.receive.address_limits import AddressLimits
from ingest.receive.preliminary_answers import cors_headers, preliminary_answer
from ingest.receive.rate_limit import Grant, RateLimiter
from ingest.receive.refusal_recorder import RefusalRecorder
from ingest.receive.request_events import RequestReader, memory_to_parse
from ingest.receive.request_spans import received
from ingest.receive.untrusted_proxies import UntrustedProxies
from ingest.receive.webhook_cache import ReadyWebhook, WebhookCache
from ingest.verify.scheme import Handshake, ReceivedRequest, Scheme

log = get_logger(__name__)

BODY_TIMEOUT_S = 10.0
"""How long a body may take to arrive."""

MEMORY_WAIT_S = 2.5
"""How long a large body waits until there is memory to parse it. A sender such as Slack gives up after 3 s."""

COPIES = 2
"""How many copies of an event's body exist until its receipt. The copies in a batch are bounded by the batch."""

PREFIX = "/webhooks/"
ROUTE = "/webhooks/{path}"

_encode = msgspec.json.Encoder().encode
_accepted = WEBHOOKS.labels("accepted")
_duplicate = WEBHOOKS.labels("duplicate")


class WebhookHandler:
    """Handles `ANY /webhooks/{path}`. Any other path is answered with 404."""

    def __init__(
        self,
        webhook_cache: WebhookCache,
        acceptor: Acceptor,
        limiter: RateLimiter,
        address_limits: AddressLimits,
        proxies: UntrustedProxies,
        large_bodies: LargeBodies,
        refusals: RefusalRecorder,
        *,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._webhook_cache = webhook_cache
        self._acceptor = acceptor
        self._limiter = limiter
        self._address_limits = address_limits
        self._addresses = proxies.addresses
        self._proxies = proxies
        self._large_bodies = large_bodies
        self._refusals = refusals
        self._body_timeout_s = body_timeout_s

    async def handle(self, http: request.Request) -> Answer:
        """Answers one request. A rejected request gets a problem document and is counted by its outcome."""
        began = time.perf_counter()
        try:
            return await self._receive(http)
        except RejectedRequest as rejection:
            ready = self._webhook_cache.find(http.path[len(PREFIX) :]) if http.path.startswith(PREFIX) else None
            self._record(http, rejection, ready)
            answer = rejection.answer()
            if ready is not None and ready.webhook.cors:
                answer.headers = {**answer.headers, **cors_headers(ready.webhook, http.headers)}
            return answer
        except Exception as error:  # the sender repeats the request after a 500
            log.error("webhook.failed", method=http.method, path=http.path[:200], exc_info=error)
            return RejectedRequest(500, "error", "the error has been logged").answer()
        finally:
            WEBHOOK_SECONDS.observe(time.perf_counter() - began)

    async def _receive(self, http: request.Request) -> Answer:
        path = http.path
        ready = self._webhook_cache.find(path[len(PREFIX) :]) if path.startswith(PREFIX) else None
        if ready is None:
            ready = await self._find(path)
        headers, address = http.headers, http.remote or UNKNOWN
        if self._addresses.has_proxies:
            address = self._addresses.of(address, headers.getall("X-Forwarded-For", ()))
        self._proxies.notice(http.remote or UNKNOWN, headers)
        if self._address_limits.counts_requests:
            await self._address_limits.admit(address)
        scheme = ready.scheme
        if scheme is None:
            raise error_answers.unavailable("unusable", "the webhook's secrets cannot be read")
        url = functools.partial(self._addresses.url, http.remote, http.target, headers)
        received_request = ReceivedRequest(http.method, headers, http.query, b"", time.time(), url)
        preliminary = preliminary_answer(ready.webhook, ready.methods, received_request)
        if preliminary is not None:
            WEBHOOKS.labels("handshake").inc()
            return preliminary
        handshake = scheme.handshake(received_request)
        # A blocked address may be a proxy that is not trusted, so its valid signatures are accepted. A secret that the
        # sender states is not checked for a blocked address, because it could be found by trying.
        if handshake is not None or not scheme.signs_requests:
            self._address_limits.reject_blocked(ready.webhook.id, address)
        if handshake is not None:
            return await self._answer_challenge(handshake, ready, address)
        if http.method not in ready.methods:
            raise error_answers.wrong_method(ready.allow)
        received_request.body = await read_body(http, ready.webhook.max_body_bytes, self._body_timeout_s)
        greeting = await self._authenticate(ready, scheme, received_request, address)
        if greeting is not None:
            return await self._answer_challenge(greeting, ready, address)
        if is_coded(headers) and received_request.content is None:
            await self._decode(ready, received_request)
        return await self._accept(ready, received_request, address)

    async def _authenticate(
        self, ready: ReadyWebhook, scheme: Scheme, received_request: ReceivedRequest, address: str
    ) -> Handshake | None:
        """Checks the request. Returns the answer if it is only a test of the provider. Raises RejectedRequest (401)."""
        signed = received_request
        signs_decoded = ready.webhook.signed_body == "decoded"
        if is_coded(received_request.headers) and (signs_decoded or scheme.reads_fields):
            await self._decode(ready, received_request)
            if signs_decoded:
                signed = dataclasses.replace(received_request, body=received_request.decoded)
        if len(signed.body) > LARGE_BODY:
            reason, greeting = await self._large_bodies.run(functools.partial(_check, scheme, signed))
        else:
            reason, greeting = _check(scheme, signed)
        if reason is not None:
            await self._count_failure(ready, address, reason)
            raise error_answers.unauthenticated(scheme.authenticate, reason)
        return greeting

    async def _decode(self, ready: ReadyWebhook, received_request: ReceivedRequest) -> None:
        """Sets the content of a compressed body. Raises RejectedRequest (413, 415)."""
        header, most = received_request.headers[HEADER], ready.webhook.max_body_bytes
        decode = functools.partial(decoded_body, header, received_request.body, most)
        try:
            received_request.content = await self._large_bodies.run(decode)
        except DecodedTooLarge as error:
            raise RejectedRequest(413, "too-large", str(error)) from None
        except (UnsupportedCoding, InvalidCoding) as error:
            raise RejectedRequest(415, "content-coding", str(error)) from None

    async def _admit(self, ready: ReadyWebhook) -> dict[str, str]:
        """Counts the request against the webhook's rate limit. Returns the headers that state the limit. Raises the
        429."""
        grant = self._limiter.acquire_now(ready.limit) or await self._limiter.acquire(ready.limit)
        headers = _limit_headers(ready, grant)
        if grant.allowed:
            return headers
        rejection = error_answers.too_many("rate-limit", "the webhook's rate limit is exceeded", grant.reset_s)
        rejection.headers.update(headers)
        raise rejection

    def _record(self, http: request.Request, rejection: RejectedRequest, ready: ReadyWebhook | None) -> None:
        """Keeps the refused request for the list of refusals."""
        try:
            address = self._addresses.of(http.remote, http.headers.getall("X-Forwarded-For", ()))
            self._refusals.add(http, rejection, ready, address)
        except Exception as error:  # the sender gets its answer all the same
            log.error("refusal.not_recorded", exc_info=error)

    async def _find(self, path: str) -> ReadyWebhook:
        """Returns the webhook of a path that is not in the cache yet. Raises RejectedRequest."""
        ready = await self._webhook_cache.find_or_read(path[len(PREFIX) :]) if path.startswith(PREFIX) else None
        if ready is not None:
            return ready
        if not self._webhook_cache.is_loaded:
            raise error_answers.unavailable("not-loaded", "the webhooks have not been read yet")
        raise error_answers.unknown_webhook()

    async def _answer_challenge(self, handshake: Handshake, ready: ReadyWebhook, address: str) -> Answer:
        if handshake.status != 200:
            await self._count_failure(ready, address, "challenge-wrong")
            raise RejectedRequest(handshake.status, "challenge", "the challenge's token is wrong")
        WEBHOOKS.labels("handshake").inc()
        return Answer(200, handshake.text.encode("utf-8", "replace"), "text/plain; charset=utf-8")

    async def _count_failure(self, ready: ReadyWebhook, address: str, reason: str) -> None:
        """Counts and logs a failed check. Raises the 429 if the address is blocked at the webhook."""
        AUTH_FAILURES.labels("webhook").inc()
        self._address_limits.reject_blocked(ready.webhook.id, address)
        await self._address_limits.record_failure(address, ready.webhook.id, reason)

    async def _accept(self, ready: ReadyWebhook, received_request: ReceivedRequest, address: str) -> Answer:
        # A provider's delivery receipts do not count, so its bodies are read first. They are authentic.
        limit_headers = await self._admit(ready) if ready.provider is None else None
        reader = RequestReader(
            ready=ready,
            received_request=received_request,
            content_type=header_text(received_request.headers.get("Content-Type", ""))[:255],
            headers=request.stored_headers(received_request.headers, ready.hidden_headers),
            query=request.stored_query(received_request.query, ready.hidden_query),
            address=address,
        )
        if len(received_request.decoded) <= SMALL_BYTES:
            return await self._accept_events(reader.incoming_events(), reader, limit_headers)
        try:
            async with self._large_bodies.memory.hold(memory_to_parse(reader), MEMORY_WAIT_S) as held:
                is_large = len(received_request.decoded) > LARGE_BODY
                events = await self._large_bodies.run(reader.incoming_events) if is_large else reader.incoming_events()
                held.resize(COPIES * sum(len(incoming.event.body) for incoming in events))
                return await self._accept_events(events, reader, limit_headers)
        except NoRoom:
            raise error_answers.overloaded(closes=False) from None

    async def _accept_events(
        self, events: Sequence[IncomingEvent], reader: RequestReader, limit_headers: dict[str, str] | None
    ) -> Answer:
        ready, received_request = reader.ready, reader.received_request
        if limit_headers is None:
            counts = not all(incoming.is_status for incoming in events)
            limit_headers = await self._admit(ready) if counts else {}
        try:
            if len(events) == 1:
                answers: Sequence[Receipt | BaseException] = (await self._acceptor.accept(events[0]),)
            else:
                answers = await self._acceptor.accept_many(events)
            if spans.is_on():
                received(events, answers, ROUTE, received_request.headers.get("traceparent"))
            receipt = receipt_of(answers)
        except StoreUnavailable:
            raise error_answers.unavailable("stores-unavailable", "neither Postgres nor Redis is available") from None
        except NotStorable as error:
            raise RejectedRequest(400, "not-storable", str(error)) from None
        (_duplicate if receipt.duplicate else _accepted).inc()
        return _accepted_answer(receipt, reader, limit_headers)


def _accepted_answer(receipt: Receipt, reader: RequestReader, headers: dict[str, str]) -> Answer:
    """Returns the answer that the webhook defines, else the one that its provider expects, else our own. The first two
    have the content of ours as headers."""
    webhook = reader.ready.webhook
    if webhook.cors:
        headers = headers | cors_headers(webhook, reader.received_request.headers)
    defined, expected = webhook.response, reader.expected_answer
    if defined is not None or expected is not None:
        duplicate = "conflict" if receipt.conflict else "true" if receipt.duplicate else "false"
        headers = headers | {"Filas-Event-Id": str(receipt.event_id), "Filas-Duplicate": duplicate}
    if defined is not None:
        return Answer(defined.status, defined.body.encode(), defined.content_type, defined.headers | headers)
    if expected is not None:
        return Answer(expected.status, expected.body, expected.content_type, headers)
    body = _encode(_Received(receipt.event_id, receipt.job_id, receipt.duplicate, receipt.conflict))
    return Answer(200, body, headers=headers)


def _check(scheme: Scheme, received_request: ReceivedRequest) -> tuple[str | None, Handshake | None]:
    """Returns why the request is rejected, or the answer to an authentic request that is only a test."""
    reason = scheme.rejection_reason(received_request)
    return reason, None if reason is not None else scheme.greeting(received_request)


class _Received(msgspec.Struct, rename="camel", tag_field="status", tag="received", omit_defaults=True):
    """The body of the answer to an accepted request. `conflict` is left out if there is none."""

    event_id: UUID
    job_id: str
    duplicate: bool
    conflict: bool = False


def _limit_headers(ready: ReadyWebhook, grant: Grant) -> dict[str, str]:
    """Returns the limit and what is left of it, by draft-ietf-httpapi-ratelimit-headers."""
    return {
        "RateLimit-Policy": ready.limit_policy,
        "RateLimit": f'"webhook";r={grant.remaining};t={grant.reset_s}',
    }
