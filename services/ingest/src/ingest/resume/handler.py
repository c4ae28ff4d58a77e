"""The handler of `/resume/{token}`, the single-use address at which an execution waits for a callback.

`POST` is the callback. `GET` shows a page with a button, because mail filters and link previews request an address
before the person does, and would use it up.
"""

import functools
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec

from filas.contract.job_factories import flow_job
from filas.contract.jobs import Traceparent
from filas.contract.storable_text import header_text
from filas.crypto.resume_tokens import PATH, ResumeTokens
from filas.errors import StoreUnavailable, Unstorable
from filas.models.executions import DueExecution
from filas.observability.logs import get_logger
from filas.observability.metrics import RESUME_CALLS
from filas.queue.producer import QueueProducer
from filas.repository.callbacks import CallbackRepository
from filas.service.problem_documents import PROBLEM_JSON, problem_document
from ingest.event import body_parsing
from ingest.http import error_answers, request
from ingest.http.answers import Answer
from ingest.http.body_reading import read_body
from ingest.http.client_address import UNKNOWN, ClientAddress
from ingest.http.error_answers import RejectedRequest
from ingest.http.large_bodies import LargeBodies
from ingest.receive.address_limits import AddressLimits
from ingest.receive.request_spans import resumed
from ingest.resume import resume_page

log = get_logger(__name__)

MAX_BODY_BYTES: Final = 256 * 1024
"""The state of an execution has at most 1 MiB, and contains the callback."""

_HIDDEN_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_PRIVATE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ResumeHandler:
    """Handles every request below `/resume/`."""

    callbacks: CallbackRepository
    producer: QueueProducer
    tokens: ResumeTokens
    address_limits: AddressLimits
    addresses: ClientAddress
    large_bodies: LargeBodies
    body_timeout_s: float

    async def handle(self, http: request.Request) -> Answer:
        """Answers one request. A rejected request gets a problem document, or a page if a browser has made it."""
        try:
            return await self._answer(http)
        except RejectedRequest as rejection:
            RESUME_CALLS.labels(rejection.outcome).inc()
            return self._rejected(http, rejection)
        except Exception as error:  # the client repeats the request after a 500
            log.error("resume.failed", method=http.method, exc_info=error)
            return self._rejected(http, RejectedRequest(500, "error", "the error has been logged"))

    async def _answer(self, http: request.Request) -> Answer:
        address = http.remote or UNKNOWN
        if self.addresses.has_proxies:
            address = self.addresses.of(address, http.headers.getall("X-Forwarded-For", ()))
        if self.address_limits.counts_requests:
            await self.address_limits.admit(address)
        named = self.tokens.read(http.path[len(PATH) :])
        if named is None:
            self.address_limits.reject_blocked("resume", address)
            await self.address_limits.record_failure(address, "resume", "token")
            raise RejectedRequest(404, "unknown", "no execution waits at this address")
        if http.method in ("GET", "HEAD"):
            RESUME_CALLS.labels("page").inc()
            return self._page(http, 200, "ask")
        if http.method != "POST":
            raise RejectedRequest(405, "method", "this address accepts POST", {"Allow": "GET, HEAD, POST"})
        return await self._call(http, *named)

    async def _call(self, http: request.Request, execution_id: UUID, callback_id: UUID) -> Answer:
        began = time.time()
        body = await read_body(http, MAX_BODY_BYTES, self.body_timeout_s)
        read = functools.partial(_payload, http, body)
        payload = await self.large_bodies.run(read) if len(body) > body_parsing.LARGE_BODY else read()
        try:
            received = await self.callbacks.receive(callback_id, execution_id, payload)
        except StoreUnavailable:
            raise error_answers.unavailable("store", "the callback cannot be stored now") from None
        except Unstorable:
            raise RejectedRequest(400, "unstorable", "the callback contains text that cannot be stored") from None
        if received.outcome == "repeated":
            raise RejectedRequest(409, "repeated", "this address was already called; only the first call counts")
        if received.outcome == "over":
            raise RejectedRequest(410, "over", "the execution no longer waits for this call")
        if received.waiting is not None:
            await self._enqueue_job(received.waiting, resumed(received.waiting, began, http.headers.get("traceparent")))
        RESUME_CALLS.labels("accepted").inc()
        if _is_from_a_browser(http):
            return self._page(http, 200, "done")
        return Answer(200, _encode({"status": "accepted"}), headers=_PRIVATE)

    async def _enqueue_job(self, waiting: DueExecution, traceparent: Traceparent) -> None:
        """Enqueues the job that resumes the execution. Without it, a flow-runner resumes the execution later."""
        try:
            await self.producer.enqueue(flow_job(waiting, "resume", traceparent))
        except StoreUnavailable as error:
            log.warning("resume.enqueue_failed", execution_id=str(waiting.id), reason=error.reason)

    def _rejected(self, http: request.Request, rejection: RejectedRequest) -> Answer:
        if _is_from_a_browser(http) and rejection.outcome in resume_page.REASONS:
            return self._page(http, rejection.status, rejection.outcome)
        document = problem_document(rejection.status, HTTPStatus(rejection.status).phrase, rejection.detail)
        return Answer(
            rejection.status, document, PROBLEM_JSON, {**_PRIVATE, **rejection.headers}, closes=rejection.closes
        )

    def _page(self, http: request.Request, status: int, which: str) -> Answer:
        page = resume_page.page(which, http.headers.get("Accept-Language", ""))
        return Answer(status, page, "text/html; charset=utf-8", {**_PRIVATE, **resume_page.HEADERS})


def _payload(http: request.Request, body: bytes) -> str:
    """Returns the callback as the flow gets it, in JSON. Raises RejectedRequest."""
    content_type = header_text(http.headers.get("Content-Type", ""))[:255]
    try:
        document = body_parsing.read(content_type, body).document if body else None
        return _encode(
            {
                "body": document,
                "headers": request.stored_headers(http.headers, _HIDDEN_HEADERS),
                "queryParams": request.stored_query(http.query),
            }
        ).decode()
    except (body_parsing.UnreadableBody, UnicodeError, RecursionError, msgspec.MsgspecError, OverflowError) as error:
        raise RejectedRequest(400, "unreadable", f"the body cannot be decoded: {error}") from None


@functools.lru_cache(maxsize=64)
def _wants_html(accept: str) -> bool:
    return "text/html" in accept.lower()


def _is_from_a_browser(http: request.Request) -> bool:
    return _wants_html(http.headers.get("Accept", "")[:200])
