"""One trace through the four processes, from the webhook to the delivery of its message."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from filas_local.servers import RedisServer
from tests.collector import NO_DELAY, Collector, Seen, collector
from tests.e2e.pipeline import Pipeline, Receiver, receiver, until_all_final
from tests.e2e.test_main_job import set_up, signed, whatsapp_message
from tests.waiting import eventually

THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{THEIRS}-00f067aa0ba902b7-00"}
RECEIVED = "webhook whatsapp"
PUT, PROCESSED = "send webhook-processing", "process webhook-processing"
FLOW_PUT, FLOW_RUN = "send flow-processing", "process flow-processing"
NOTIFIED, DELIVERING = "send notifications", "process notifications"


class RefusesFirst(Receiver):
    """Refuses the first call and the first message, so both are repeated."""

    async def handle(self, request: web.Request) -> web.Response:
        before = len(self.at(request.path))
        answer = await super().handle(request)
        return answer if before else web.json_response({}, status=500)


@asynccontextmanager
async def traced(redis_url: str, dsn: str, logs: Path, **environ: str) -> AsyncIterator[tuple[Pipeline, Collector]]:
    """The four processes, and the collector that they send everything to."""
    async with collector() as collects:
        pipeline = Pipeline(redis_url, dsn, logs)
        pipeline.environment |= {**NO_DELAY, "OTEL_EXPORTER_OTLP_ENDPOINT": collects.url, **environ}
        async with pipeline:
            yield pipeline, collects


def of_node(spans: list[Seen], node: str) -> list[Seen]:
    """The spans of a node's visits, in order."""
    found = [span for span in spans if span.attributes.get("filas.node.id") == node]
    return sorted(found, key=lambda span: span.began)


async def test_a_webhooks_trace_goes_through_every_process_to_the_delivery(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """With a wait, a repeated node and a repeated delivery: one trace, in which each span has its cause.

    Its id is the event's. The sender's own trace is a link, although its flags exclude it from sampling.
    """
    async with receiver(RefusesFirst()) as outside, traced(redis_url, postgres_dsn, tmp_path) as (pipeline, traces):
        await set_up(pipeline, outside)
        body = whatsapp_message("5511999990000", "oi, tudo bem?", "wamid.ONE")
        status, answer = await pipeline.webhook("whatsapp", body, signed(body) | CALLER)
        assert status == 200
        await traces.until("deliver http", 2)
        await until_all_final(pipeline, 1)
        await traces.until(DELIVERING, 2)
        status, again = await pipeline.webhook("whatsapp", body, signed(body))
        assert (status, again["eventId"]) == (200, answer["eventId"])
        first, duplicate = await traces.until(RECEIVED, 2)

        trace = answer["eventId"].replace("-", "")
        assert {span.trace for span in traces.spans} == {trace}
        assert {span.service for span in traces.spans} == {"ingest", "ingest-worker", "flow-runner", "notifier"}
        for span in tuple(traces.spans):
            assert (await traces.complete_chain(span))[-1] == RECEIVED
        assert first.links == [THEIRS]
        assert (first.parent, first.attributes["filas.webhook.outcome"]) == ("", "accepted")
        assert (duplicate.parent, duplicate.attributes["filas.webhook.outcome"]) == (first.id, "duplicate")

        assert_nodes(traces)
        failed, delivered = traces.named("deliver http")
        # The job that started the wait had ended, so the span of the timer's job is a child of the webhook's.
        sent = [DELIVERING, NOTIFIED, "node message", FLOW_RUN, FLOW_PUT, RECEIVED]
        assert traces.chain(delivered) == ["deliver http", *sent]
        assert traces.chain(failed) == ["deliver http", *sent]
        assert (failed.failed, failed.attributes["filas.delivery.outcome"]) == (True, "retry")
        assert (delivered.failed, delivered.attributes["filas.delivery.outcome"]) == (False, "delivered")
        assert delivered.attributes["filas.channel.type"] == "http"
        assert [one.attributes["filas.job.attempt"] for one in traces.named(DELIVERING)] == [1, 2]
        assert_nothing_private_is_exported(traces, outside)
        assert f'"trace_id":"{trace}"' in pipeline.log("notifier")


def assert_nodes(traces: Collector) -> None:
    """Each visit has its type, attempt, handle and outcome, below the attempt of its job."""
    begun = [FLOW_RUN, FLOW_PUT, PROCESSED, PUT, RECEIVED]
    visits = {
        "start": [(1, "out", "succeeded")],
        "is-hi": [(1, "true", "succeeded")],
        "crm": [(1, None, "retrying"), (2, "out", "succeeded")],
        "pause": [(1, None, "waiting"), (1, "out", "succeeded")],
        "hello": [(1, "out", "succeeded")],
    }
    for node, expected in visits.items():
        found = of_node(traces.spans, node)
        assert [
            tuple(one.attributes.get(f"filas.node.{name}") for name in ("attempt", "handle", "outcome"))
            for one in found
        ] == expected
    failed, called = of_node(traces.spans, "crm")
    assert traces.chain(called) == ["node api", *begun]
    assert (failed.failed, failed.attributes["error.type"]) == (True, "http-status")
    calls = traces.named("POST")
    assert [(one.parent, one.attributes["http.response.status_code"]) for one in calls] == [
        (failed.id, 500),
        (called.id, 200),
    ]
    assert {(one.kind, one.attributes["server.address"]) for one in calls} == {("client", "127.0.0.1")}


def assert_nothing_private_is_exported(traces: Collector, outside: Receiver) -> None:
    """No span has a text, a recipient, or more of an address than the host. No call has our trace."""
    exported = repr(traces.spans)
    for hidden in ("tudo bem", "5511999990000", "/contacts", "/messages", "Maria", "wamid", "whsec", "sha256="):
        assert hidden not in exported
    assert all("traceparent" not in headers for _, headers, _ in outside.requests)


async def test_the_trace_survives_the_loss_of_every_job(
    own_redis: RedisServer, postgres_dsn: str, tmp_path: Path
) -> None:
    """Redis is emptied before each worker claims its job. The relay enqueues all three again from the rows."""
    async with (
        receiver() as outside,
        traced(own_redis.url, postgres_dsn, tmp_path, OTEL_TRACES_SAMPLER_ARG="1") as (pipeline, traces),
    ):
        await set_up(pipeline, outside)
        workers = ("ingest-worker", "flow-runner", "notifier")
        for name in workers:
            pipeline.kill(name)
        body = whatsapp_message("5511999990000", "hello", "wamid.ONE")
        status, answer = await pipeline.webhook("whatsapp", body, signed(body))
        assert status == 200

        async def stage(queue: str, name: str, done: str) -> None:
            async def has_job() -> bool:
                return bool((await pipeline.api("GET", "/api/queue/stats"))["queues"][queue]["waiting"])

            # The job is enqueued after the row is written. Only a job that is in Redis can be lost.
            await eventually(has_job)
            own_redis.execute("FLUSHALL")
            pipeline.start(name)
            await traces.until(done, timeout=60)

        await stage("webhook", "ingest-worker", PROCESSED)
        await stage("flow", "flow-runner", "node message")
        await stage("notification", "notifier", "deliver http")
        trace = answer["eventId"].replace("-", "")
        assert {span.trace for span in traces.spans} == {trace}
        [delivered], [message] = traces.named("deliver http"), traces.named("node message")
        assert await traces.complete_chain(delivered) == ["deliver http", DELIVERING, NOTIFIED, RECEIVED]
        assert await traces.complete_chain(message) == ["node message", FLOW_RUN, FLOW_PUT, RECEIVED]


async def test_an_unavailable_collector_delays_no_job(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Messages are delivered, what was lost is counted, and the processes end as quickly as without tracing."""
    async with (
        receiver() as outside,
        traced(redis_url, postgres_dsn, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as (pipeline, _),
    ):
        await set_up(pipeline, outside)
        for number in range(20):
            body = whatsapp_message(f"551199999{number:04d}", "hello", f"wamid.{number}")
            assert (await pipeline.webhook("whatsapp", body, signed(body)))[0] == 200
        await until_all_final(pipeline, 20)
        await eventually(lambda: len(outside.at("/messages")) == 20)

        async def counted() -> bool:
            url = f"http://127.0.0.1:{pipeline.admin_ports['notifier']}/metrics"
            async with pipeline.session.get(url) as shown:
                return 'filas_spans_dropped_total{reason="rejected"}' in await shown.text()

        await eventually(counted)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 40, "an export is given up after ten seconds, again and again"
    lines = [json.loads(line) for line in pipeline.log("notifier").splitlines()]
    assert [line["event"] for line in lines].count("tracing.collector_unavailable") == 1
    assert lines[-1]["event"] == "tracing.spans_dropped" or lines[-1]["event"] == "process.stopped"
