"""What a body costs: the readers of acceptance, of the relay and of the worker, without their stores."""

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

from multidict import CIMultiDict, MultiDict

from filas.contract.jobs import WebhookJob
from filas.contract.policies import WEBHOOKS
from filas.models.configuration import Webhook
from filas.queue.job_format import decode_envelope, decode_message, encode_job
from ingest.event.event_jobs import job_of_event
from ingest.http.error_answers import RejectedRequest
from ingest.process.processor import executions_of, receipt_jobs
from ingest.receive.acceptor import IncomingEvent
from ingest.receive.request_events import RequestReader
from ingest.receive.webhook_cache import make_ready
from ingest.verify.scheme import ReceivedRequest
from tests.cpu_costs import cpu_s

MAX_CPU_S = 0.1
MAX_MEMORY = 50 << 20


class Cost(NamedTuple):
    """The CPU time as `cpu_costs` states it, and the memory at the peak in bytes."""

    cpu_s: float
    memory: int


def cost_of(function: Callable[[], Any]) -> Cost:
    """Runs `function` for its CPU time, and once more for its memory.

    The objects of the tests are not examined by garbage collections meanwhile, as those of our processes are not.
    """
    gc.freeze()
    try:
        used = cpu_s(function, MAX_CPU_S)
        tracemalloc.start()
        function()
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    return Cost(used, memory)


def assert_cheap(function: Callable[[], Any], what: str = "") -> None:
    """Fails if `function` exceeds MAX_CPU_S or MAX_MEMORY."""
    cost = cost_of(function)
    assert cost.cpu_s < MAX_CPU_S, f"{what} takes {cost.cpu_s:.3f} s"
    assert cost.memory < MAX_MEMORY, f"{what} takes {cost.memory >> 20} MiB"


def events_of(webhook: Webhook, body: bytes, content_type: str) -> list[IncomingEvent]:
    """The events of a request with this body. Raises RejectedRequest."""
    headers = CIMultiDict({"Content-Type": content_type})
    request = ReceivedRequest("POST", headers, MultiDict(), body, time.time())
    reader = RequestReader(
        ready=make_ready(webhook, str),
        received_request=request,
        content_type=content_type[:255],
        headers={"content-type": content_type[:255]},
        query={},
        address="192.0.2.1",
    )
    return reader.incoming_events()


def payload_of(event: IncomingEvent) -> bytes:
    """The job of an accepted event, as Redis has it."""
    return encode_job("process_webhook", event.job(True).message, 0)


def relay(event: IncomingEvent) -> bytes:
    """Makes the job again, from the event's row."""
    return encode_job("process_webhook", job_of_event(event.event).message, 0)


def process(payload: bytes) -> None:
    """Does what the worker does with the job. Raises PermanentError if the job becomes a dead letter."""
    job = decode_message(WEBHOOKS, decode_envelope(payload), WebhookJob)
    executions_of(job)
    receipt_jobs(job)


def refusal_of(webhook: Webhook, body: bytes, content_type: str) -> RejectedRequest | None:
    """The answer to a body that is refused."""
    try:
        events_of(webhook, body, content_type)
    except RejectedRequest as rejection:
        return rejection
    return None


def assert_every_reader_is_cheap(webhook: Webhook, body: bytes, content_type: str) -> RejectedRequest | None:
    """Fails if acceptance, the relay or the worker exceeds a bound. Returns the answer if the body is refused."""
    assert_cheap(lambda: refusal_of(webhook, body, content_type), "acceptance")
    refusal = refusal_of(webhook, body, content_type)
    if refusal is None:
        event = events_of(webhook, body, content_type)[0]
        payload = payload_of(event)
        assert_cheap(lambda: payload_of(event), "encoding the job")
        assert_cheap(lambda: relay(event), "the relay")
        assert_cheap(lambda: process(payload), "the worker")
    return refusal
