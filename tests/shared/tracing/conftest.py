"""Tracing switched on in the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from filas.settings.process_settings import TracingSettings
from filas.tracing import spans, switch
from tests.collector import NO_DELAY, Collector, collector


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test leaves it on."""
    for name, value in NO_DELAY.items():
        monkeypatch.setenv(name, value)
    yield
    spans.use(None)


@pytest.fixture
async def traces() -> AsyncIterator[Collector]:
    """A collector that this process sends all its spans to, as `test-process`."""
    async with collector() as collects:
        switch.on(TracingSettings(otel_exporter_otlp_endpoint=collects.url), "test-process")
        yield collects
        # The last spans are waited for in a thread, because the collector answers in this one.
        await asyncio.to_thread(switch.off)
