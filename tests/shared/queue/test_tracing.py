"""A job carries the span that caused it, and each of its attempts has a span."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from filas.contract.identity import new_id
from filas.contract.jobs import NotificationJob, WebhookJob
from filas.contract.new_job import NewJob
from filas.contract.policies import WEBHOOKS
from filas.errors import PermanentError, RetryLater, StoreUnavailable
from filas.observability import logs
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.settings.setting_groups import TracingSettings
from filas.tracing import spans, switch
from tests.collector import NO_DELAY, Collector, collector
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Recorder, function, job, raising
from tests.waiting import PATIENCE_S, eventually

CAUSE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SEND, PROCESS = f"send {QUICK.name}", f"process {QUICK.name}"


@pytest.fixture
async def traces(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """Returns a collector that receives the spans of this process. A worker that starts later records its spans."""
    for name, value in NO_DELAY.items():
        monkeypatch.setenv(name, value)
    async with collector() as collects:
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url), "test-process")
        yield collects
        await asyncio.to_thread(switch.off)


def caused(key: str, cause: Any = CAUSE, **fields: Any) -> NewJob:
    message = NotificationJob(notification_id=new_id(), channel_id="c", traceparent=cause)
    return NewJob(QUICK, key, message, **fields)


async def payload_of(redis: Redis, new: NewJob) -> dict[str, Any]:
    raw = await redis.command("GET", f"arq:job:{new.job_id}")
    found: dict[str, Any] = json.loads(raw)["k"]["job"]
    return found


async def test_while_tracing_is_off_a_job_carries_no_span(redis: Redis, producer: QueueProducer) -> None:
    """The field is absent. A job of an older version, which has null, can be decoded."""
    await producer.enqueue_many([job("one")])
    assert set(await payload_of(redis, job("one"))) == {"schemaVersion", "replay", "notificationId", "channelId"}
    old = {"notificationId": str(new_id()), "channelId": "c", "traceparent": None}
    assert msgspec.convert(old, NotificationJob).traceparent is None


async def test_the_attempt_is_a_child_of_the_send_span_which_is_a_child_of_the_cause(
    traces: Collector, redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    inside: list[Any] = []

    async def handle(context: JobContext, message: NotificationJob) -> None:
        inside.append((message.traceparent, spans.current().traceparent, spans.current().trace_id))

    await producer.enqueue(caused("one"))
    carried = (await payload_of(redis, caused("one")))["traceparent"]
    start_worker([function(handle)])
    [process], [send] = await traces.until(PROCESS), await traces.until(SEND)
    assert (send.kind, process.kind) == ("producer", "consumer")
    assert (send.trace, send.parent) == (TRACE, "00f067aa0ba902b7")
    assert (process.trace, process.parent) == (TRACE, send.id)
    assert carried == f"00-{TRACE}-{send.id}-01"
    assert inside == [(f"00-{TRACE}-{process.id}-01", f"00-{TRACE}-{process.id}-01", TRACE)]
    assert (
        send.attributes.items()
        >= {
            "messaging.system": "arq",
            "messaging.destination.name": QUICK.name,
            "messaging.operation.type": "send",
            "messaging.message.id": caused("one").job_id,
            "filas.channel.id": "c",
        }.items()
    )
    assert (
        process.attributes.items()
        >= {
            "filas.job.attempt": 1,
            "filas.job.outcome": "completed",
            "filas.job.function": QUICK.function,
        }.items()
    )
    assert not process.failed


async def test_every_attempt_has_a_span_with_its_outcome(
    traces: Collector, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """Retries stay in the trace. A deferred job has not failed."""
    again = RetryLater("not yet", delay_s=0.01, uses_attempt=False)
    errors = raising(ValueError("a secret"), again, StoreUnavailable("postgres", "refused"), PermanentError("a secret"))
    start_worker([function(Recorder(errors))])
    await producer.enqueue(caused("one"))
    attempts = await traces.until(PROCESS, 4)
    assert [(one.attributes["filas.job.outcome"], one.failed) for one in attempts] == [
        ("retried", True),
        ("retried", False),
        ("requeued", True),
        ("failed", True),
    ]
    assert [one.attributes.get("error.type") for one in attempts] == [
        "ValueError",
        None,
        "StoreUnavailable",
        "permanent",
    ]
    assert [one.attributes["filas.job.attempt"] for one in attempts] == [1, 2, 2, 2]
    assert {one.parent for one in attempts} == {(await traces.until(SEND))[0].id}
    assert "a secret" not in repr(traces.spans)


async def test_an_interrupted_attempt_has_a_span(
    traces: Collector, producer: QueueProducer, start_worker: StartWorker
) -> None:
    async def handle(context: JobContext, message: NotificationJob) -> None:
        await asyncio.Event().wait()

    start_worker([function(handle, timeout_s=0.2, max_attempts=1)])
    await producer.enqueue(caused("one"))
    [process] = await traces.until(PROCESS)
    assert (process.attributes["filas.job.outcome"], process.failed) == ("interrupted", True)


async def test_each_job_of_a_batch_has_its_own_span(
    traces: Collector, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """Each span has its own trace, parent and outcome, and each message names its own span."""
    seen: list[Any] = []

    async def handle(batch: list[tuple[JobContext, NotificationJob]]) -> list[Any]:
        seen.extend(message.traceparent for _, message in batch)
        return [PermanentError("x") if context.job_id.endswith("b") else "done" for context, _ in batch]

    await producer.enqueue_many([caused("a"), caused("b", CAUSE.replace("4bf9", "aaaa"))])
    start_worker([function(handle, batch=True)])
    attempts = await traces.until(PROCESS, 2)
    sends = {one.id: one for one in await traces.until(SEND, 2)}
    assert {one.attributes["messaging.message.id"][-1]: one.attributes["filas.job.outcome"] for one in attempts} == {
        "a": "completed",
        "b": "failed",
    }
    assert {(one.trace, sends[one.parent].trace) for one in attempts} == {
        (TRACE, TRACE),
        (TRACE.replace("4bf9", "aaaa"), TRACE.replace("4bf9", "aaaa")),
    }
    assert set(seen) == {f"00-{one.trace}-{one.id}-01" for one in attempts}


async def test_a_failing_batch_fails_the_span_of_each_job(
    traces: Collector, producer: QueueProducer, start_worker: StartWorker
) -> None:
    async def handle(batch: list[tuple[JobContext, NotificationJob]]) -> list[Any]:
        raise PermanentError("x")

    await producer.enqueue_many([caused("a"), caused("b")])
    start_worker([function(handle, batch=True)])
    assert {one.attributes["filas.job.outcome"] for one in await traces.until(PROCESS, 2)} == {"failed"}


@pytest.mark.parametrize("text", ["", "nonsense", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "é" * 55])
async def test_an_invalid_traceparent_is_ignored(
    traces: Collector, producer: QueueProducer, start_worker: StartWorker, text: str
) -> None:
    """The job runs in a trace of its own."""
    recorder = Recorder()
    await producer.enqueue(caused("one", text))
    start_worker([function(recorder)])
    [process], [send] = await traces.until(PROCESS), await traces.until(SEND)
    assert (process.parent, send.parent) == (send.id, "")
    assert process.trace != TRACE
    assert recorder.keys == ["one"]


async def test_a_webhook_job_without_a_traceparent_is_in_the_trace_of_its_event(
    traces: Collector, redis: Redis, producer: QueueProducer, start_worker: StartWorker
) -> None:
    """A stock arq client sets no traceparent. The event's id determines the trace."""
    event = new_id()
    message = WebhookJob(
        event_id=event, webhook_id="w", method="POST", headers={}, query_params={}, body=None, timestamp=0, flow_id="f",
        node_id="n", config={},
    )  # fmt: skip
    tracer = spans.tracer()
    spans.set_tracer(None)
    await producer.enqueue(NewJob(WEBHOOKS, str(event), message))
    spans.set_tracer(tracer)

    async def handle(context: JobContext, job: WebhookJob) -> None: ...

    start_worker([JobFunction(WEBHOOKS.function, handle, WebhookJob)], policy=WEBHOOKS)
    [process] = await traces.until(f"process {WEBHOOKS.name}")
    assert (process.trace, process.parent) == (event.hex, event.hex[16:])


async def test_a_duplicate_has_no_span(traces: Collector, producer: QueueProducer) -> None:
    """The relay enqueues the jobs of whole tables repeatedly. Only missing jobs get a span."""
    await producer.enqueue_many([caused("one"), caused("one"), caused("two")])
    await producer.enqueue(caused("two"))
    spans.span("done", "internal", None, {}).end()
    await traces.until("done")
    assert [one.attributes["messaging.message.id"][-3:] for one in traces.named(SEND)] == ["one", "two"]


async def test_a_failed_enqueue_has_a_failed_span(traces: Collector, redis: Redis) -> None:
    producer = QueueProducer(redis, retry_for_s=0.0)
    async with asyncio.timeout(PATIENCE_S):
        await redis.command("CONFIG", "SET", "min-replicas-to-write", "1")
        try:
            with pytest.raises(StoreUnavailable):
                await producer.enqueue_many([caused("one")])
        finally:
            await redis.command("CONFIG", "SET", "min-replicas-to-write", "0")
    [send] = await traces.until(SEND)
    assert (send.failed, send.attributes["error.type"]) == (True, "StoreUnavailable")


async def test_log_lines_name_the_trace_of_the_job_that_runs(
    traces: Collector, producer: QueueProducer, start_worker: StartWorker, own_log: io.StringIO
) -> None:
    """Other lines do not: those of the worker, and those of a batch that many jobs share."""
    log = logs.get_logger("test_of_tracing")

    async def handle(context: JobContext, message: NotificationJob) -> None:
        log.info("inside")
        await producer.enqueue(caused("enqueued-by-it"))

    start_worker([function(handle)], concurrency=1)
    await producer.enqueue(caused("one"))
    await traces.until(PROCESS, 1)
    log.info("outside")

    def lines() -> list[dict[str, Any]] | None:
        found = [json.loads(line) for line in own_log.getvalue().splitlines()]
        return found if any(line["event"] == "outside" for line in found) else None

    found = await eventually(lines)
    assert {line["trace_id"] for line in found if line["event"] == "inside"} == {TRACE}
    assert all("trace_id" not in line for line in found if line["event"] != "inside")
