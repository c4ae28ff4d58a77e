"""Spans, recorded and not, and what becomes of them where the collector is away."""

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any

import msgspec
import pytest

from filas.contract.identity import new_id
from filas.errors import SettingsError
from filas.observability import metrics
from filas.settings.process_settings import TracingSettings, load
from filas.settings.value_types import Secret
from filas.tracing import sdk, spans, switch
from tests.collector import Collector, collector
from tests.ports import free_port
from tests.waiting import eventually


def dropped(reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("filas_spans_dropped_total", {"reason": reason}) or 0.0


def is_dropped(count: float) -> bool:
    return dropped("not-taken") == count


async def test_a_span_arrives_with_what_was_told_of_it(traces: Collector) -> None:
    event = new_id()
    with spans.span("first", "server", None, {"a": 1, "left-out": None}, first_of=event, began_s=1000.5) as first:
        first.tell({"b": "x" * 1000})
        with spans.span("second", "client", first.traceparent, {}) as second:
            second.fail("timeout", "not within 1 s")
            second.link(spans.first(new_id()))
    seen_second, seen_first = (await traces.until("second"))[0], (await traces.until("first"))[0]
    assert (seen_first.service, seen_first.kind, seen_first.parent) == ("test-process", "server", "")
    assert (seen_first.trace, seen_first.id, seen_first.began) == (event.hex, event.hex[16:], 1000.5)
    assert seen_first.attributes == {"a": 1, "b": "x" * sdk.MAX_TEXT}
    assert (seen_second.trace, seen_second.parent, seen_second.kind) == (event.hex, seen_first.id, "client")
    assert (seen_second.failed, seen_second.message) == (True, "not within 1 s")
    assert seen_second.attributes == {"error.type": "timeout"}
    assert len(seen_second.links) == 1


async def test_a_block_that_raises_is_a_span_that_failed(traces: Collector) -> None:
    """By the exception's type: its text might hold anything."""
    with pytest.raises(ValueError, match="pa55word"), spans.span("block", "internal", None, {}):
        raise ValueError("pa55word")
    [seen] = await traces.until("block")
    assert (seen.failed, seen.message, seen.attributes) == (True, "", {"error.type": "ValueError"})


async def test_a_trace_that_is_not_sampled_is_carried_and_not_sent() -> None:
    """Whoever comes next decides as the first one did, whatever its own share is."""
    async with collector() as collects:
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url, otel_traces_sampler_arg=0.0), "test")
        with spans.span("first", "server", None, {}, first_of=new_id()) as first:
            assert str(first.traceparent).endswith("-00")
        spans.use(None)
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url, otel_service_name="named"), "test")
        spans.span("second", "internal", first.traceparent, {}).end()
        spans.span("other", "internal", None, {}).end()
        [other] = await collects.until("other")
        assert [span.name for span in collects.spans] == ["other"]
        assert other.service == "named"
        await asyncio.to_thread(switch.off)


async def test_the_collector_gets_its_headers() -> None:
    async with collector() as collects:
        settings = load(
            TracingSettings,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collects.url}/",
                "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t0ken,x-team=a",
            },
        )
        assert settings.otel_exporter_otlp_headers == Secret("authorization=Bearer%20t0ken,x-team=a")
        switch.on(settings, "test")
        spans.span("one", "internal", None, {}).end()
        await collects.until("one")
        assert collects.headers[0]["authorization"] == "Bearer t0ken"
        assert collects.headers[0]["x-team"] == "a"
        await asyncio.to_thread(switch.off)


async def test_what_is_left_is_sent_at_the_end(traces: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    switch.on(TracingSettings(otel_exporter_otlp_endpoint=traces.url), "late")
    spans.span("last", "internal", None, {}).end()
    await asyncio.to_thread(switch.off)
    assert [span.service for span in traces.spans] == ["late"]
    assert not spans.is_on()


async def test_nobody_waits_for_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither who ends a span, nor the process at its end; what was lost is counted."""
    monkeypatch.setattr(sdk, "QUEUE", 600)
    monkeypatch.setattr(switch, "STOP_S", 0.3)
    full, not_taken = dropped("queue-full"), dropped("not-taken")
    async with collector() as collects:
        collects.open.clear()
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url), "test")
        began = time.monotonic()
        for _ in range(1000):
            spans.span("one", "internal", None, {}).end()
        assert dropped("queue-full") - full == 400
        await asyncio.to_thread(switch.off)
        assert time.monotonic() - began < 5
        assert dropped("not-taken") - not_taken == 600


async def test_a_collector_that_is_away_costs_its_spans_and_is_found_again(traces: Collector) -> None:
    traces.status = 500
    for number in range(3):
        expected = dropped("not-taken") + 1
        spans.span(f"lost-{number}", "internal", None, {}).end()
        await eventually(partial(is_dropped, expected))
    traces.status = 200
    spans.span("found", "internal", None, {}).end()
    await traces.until("found")
    assert [span.name for span in traces.spans] == ["found"]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not an address such as"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not an address such as"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG='2' is not a number from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER_ARG": "all"}, "OTEL_TRACES_SAMPLER_ARG='all' is not a number from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError, match=line):
        load(TracingSettings, environ)


def test_a_variable_that_opentelemetry_reads_itself_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")
    with pytest.raises(SettingsError, match=r"^OpenTelemetry refuses .*max_export_batch_size must be less"):
        switch.on(TracingSettings(otel_exporter_otlp_endpoint="http://127.0.0.1:1"), "test")
    assert not spans.is_on()


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False
    )


SERVICE: dict[str, Any] = {
    "code": """
import asyncio, os, sys
from filas.service.run_process import run_process
from filas.settings.process_settings import IngestWorkSettings
sys.modules["opentelemetry"] = None  # as if it were not installed

async def work(settings: IngestWorkSettings, stop: asyncio.Event) -> None:
    print("ran")

sys.exit(run_process("ingest-work", IngestWorkSettings, work, os.environ))
""",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
}


@pytest.mark.starts_processes
def test_without_opentelemetry_a_process_runs_as_long_as_nobody_asks_for_traces() -> None:
    assert run(**SERVICE).stdout == "ran\n"
    asked = run(**SERVICE, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert (asked.returncode, asked.stdout) == (2, "")
    [line] = asked.stderr.splitlines()
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: install filas[tr")


@pytest.mark.starts_processes
def test_switched_off_nothing_of_opentelemetry_is_loaded() -> None:
    """In none of the four processes: neither memory nor start-up pays for it."""
    code = """
import sys
import ingest.app, ingest.worker_app, flow_runner.app, notifier.app
print([name for name in sys.modules if name.startswith(("opentelemetry", "google", "requests"))])
"""
    assert run(code).stdout == "[]\n"


def test_switched_off_a_span_is_nothing() -> None:
    """One and the same object, which does nothing and names nothing."""
    one = spans.span("one", "internal", None, {})
    assert one is spans.NOT_RECORDED
    with one as inside:
        inside.tell({"a": 1})
        inside.fail("x")
        inside.link(None)
    assert one.traceparent is msgspec.UNSET
    assert spans.first(new_id()) is msgspec.UNSET
    assert not one.trace_id


def test_the_collectors_port_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends all the same, and soon."""
    port = free_port()
    monkeypatch.setattr(switch, "STOP_S", 0.5)
    before, began = dropped("not-taken"), time.monotonic()
    switch.on(TracingSettings(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{port}"), "test")
    spans.span("one", "internal", None, {}).end()
    switch.off()
    assert time.monotonic() - began < 5
    assert dropped("not-taken") > before
