"""Tracing in the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from filas.settings.setting_groups import TracingSettings
from filas.tracing import spans, switch
from tests.collector import NO_DELAY, Collector, collector


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Switches tracing off after each test."""
    for name, value in NO_DELAY.items():
        monkeypatch.setenv(name, value)
    yield
    spans.set_tracer(None)


@pytest.fixture
async def traces() -> AsyncIterator[Collector]:
    """Returns a collector that receives all spans of this process, as `test-process`."""
    async with collector() as collects:
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url), "test-process")
        yield collects
        # `off` blocks until the last spans are sent, and the collector runs in this thread.
        await asyncio.to_thread(switch.off)
