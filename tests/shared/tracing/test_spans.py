"""Spans while tracing is on and off, and with a collector that is slow or unavailable."""

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
from filas.settings.setting_groups import TracingSettings
from filas.settings.settings_reader import load
from filas.settings.value_types import Secret
from filas.tracing import sdk, spans, switch
from tests.collector import Collector, collector
from tests.ports import free_port
from tests.waiting import eventually


def dropped(reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("filas_spans_dropped_total", {"reason": reason}) or 0.0


def is_dropped(count: float) -> bool:
    return dropped("rejected") == count


async def test_a_span_arrives_with_its_attributes(traces: Collector) -> None:
    event = new_id()
    with spans.span("first", "server", None, {"a": 1, "left-out": None}, root_of=event, began_s=1000.5) as first:
        first.set_attributes({"b": "x" * 1000})
        with spans.span("second", "client", first.traceparent, {}) as second:
            second.fail("timeout", "not within 1 s")
            second.link(spans.root_traceparent(new_id()))
    seen_second, seen_first = (await traces.until("second"))[0], (await traces.until("first"))[0]
    assert (seen_first.service, seen_first.kind, seen_first.parent) == ("test-process", "server", "")
    assert (seen_first.trace, seen_first.id, seen_first.began) == (event.hex, event.hex[16:], 1000.5)
    assert seen_first.attributes == {"a": 1, "b": "x" * sdk.MAX_TEXT}
    assert (seen_second.trace, seen_second.parent, seen_second.kind) == (event.hex, seen_first.id, "client")
    assert (seen_second.failed, seen_second.message) == (True, "not within 1 s")
    assert seen_second.attributes == {"error.type": "timeout"}
    assert len(seen_second.links) == 1


async def test_a_block_that_raises_makes_a_failed_span(traces: Collector) -> None:
    """The span has the exception's type but not its text, which may contain a secret."""
    with pytest.raises(ValueError, match="pa55word"), spans.span("block", "internal", None, {}):
        raise ValueError("pa55word")
    [seen] = await traces.until("block")
    assert (seen.failed, seen.message, seen.attributes) == (True, "", {"error.type": "ValueError"})


async def test_a_trace_that_is_not_sampled_is_propagated_but_not_sent() -> None:
    """A later process follows the decision of the first one, whatever its own ratio is."""
    async with collector() as collects:
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url, otel_traces_sampler_arg=0.0), "test")
        with spans.span("first", "server", None, {}, root_of=new_id()) as first:
            assert str(first.traceparent).endswith("-00")
        spans.set_tracer(None)
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


async def test_the_remaining_spans_are_sent_at_the_end(traces: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    switch.on(TracingSettings(otel_exporter_otlp_endpoint=traces.url), "late")
    spans.span("last", "internal", None, {}).end()
    await asyncio.to_thread(switch.off)
    assert [span.service for span in traces.spans] == ["late"]
    assert not spans.is_on()


async def test_a_collector_that_hangs_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the code that ends a span nor the end of the process waits for it. Lost spans are counted."""
    monkeypatch.setattr(sdk, "MAX_WAITING", 600)
    monkeypatch.setattr(switch, "STOP_S", 0.3)
    full, rejected = dropped("queue-full"), dropped("rejected")
    async with collector() as collects:
        collects.open.clear()
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url), "test")
        began = time.monotonic()
        for _ in range(1000):
            spans.span("one", "internal", None, {}).end()
        assert dropped("queue-full") - full == 400
        await asyncio.to_thread(switch.off)
        assert time.monotonic() - began < 9, "an export is given up after ten seconds"
        assert dropped("rejected") - rejected == 600


async def test_an_unavailable_collector_costs_spans_until_it_is_available_again(traces: Collector) -> None:
    traces.status = 500
    for number in range(3):
        expected = dropped("rejected") + 1
        spans.span(f"lost-{number}", "internal", None, {}).end()
        await eventually(partial(is_dropped, expected))
    traces.status = 200
    spans.span("found", "internal", None, {}).end()
    await traces.until("found")
    assert [span.name for span in traces.spans] == ["found"]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL such as"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL such as"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG='2' is not a number from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER_ARG": "all"}, "OTEL_TRACES_SAMPLER_ARG='all' is not a number from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError, match=line):
        load(TracingSettings, environ)


def test_a_wrong_variable_of_opentelemetry_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")
    with pytest.raises(SettingsError, match=r"^OpenTelemetry rejects .*max_export_batch_size must be less"):
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
    "DATABASE_URL": "postgresql://user@127.0.0.1:1/x",
}


@pytest.mark.starts_processes
def test_without_opentelemetry_a_process_runs_unless_a_collector_is_set() -> None:
    assert run(**SERVICE).stdout == "ran\n"
    asked = run(**SERVICE, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert (asked.returncode, asked.stdout) == (2, "")
    [line] = asked.stderr.splitlines()
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: install filas[tr")


@pytest.mark.starts_processes
def test_while_tracing_is_off_opentelemetry_is_not_imported() -> None:
    """No process imports it, so it costs neither memory nor start-up time."""
    code = """
import sys
import ingest.app, ingest.admin_app, ingest.worker_app, flow_runner.app, notifier.app
print([name for name in sys.modules if name.startswith(("opentelemetry", "google", "requests"))])
"""
    assert run(code).stdout == "[]\n"


def test_while_tracing_is_off_a_span_does_nothing() -> None:
    """Every span is the same object, which does nothing and has no ids."""
    one = spans.span("one", "internal", None, {})
    assert one is spans.NOT_RECORDED
    with one as inside:
        inside.set_attributes({"a": 1})
        inside.fail("x")
        inside.link(None)
    assert one.traceparent is msgspec.UNSET
    assert spans.root_traceparent(new_id()) is msgspec.UNSET
    assert not one.trace_id


def test_a_closed_port_of_the_collector_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends within seconds."""
    port = free_port()
    monkeypatch.setattr(switch, "STOP_S", 0.5)
    before, began = dropped("rejected"), time.monotonic()
    switch.on(TracingSettings(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{port}"), "test")
    spans.span("one", "internal", None, {}).end()
    switch.off()
    assert time.monotonic() - began < 9, "an export is given up after ten seconds"
    assert dropped("rejected") > before
