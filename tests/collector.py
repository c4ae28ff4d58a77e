"""A collector of OpenTelemetry traces: an OTLP/HTTP server that stores every span that it receives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.waiting import PATIENCE_S, eventually

NO_DELAY = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""For the environment of what sends: batches go out after 50 ms."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it arrived. Ids are in hexadecimal, `parent` is empty for the first one; times are in seconds."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: float
    ended: float
    failed: bool
    message: str
    attributes: dict[str, Any]
    links: list[str] = field(default_factory=list)


class Collector:
    """The received spans, and the headers of the requests. While `open` is cleared, no request is answered."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Seen] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.open = asyncio.Event()
        self.open.set()

    async def handle(self, request: web.Request) -> web.Response:
        """Stores the spans of one request."""
        await self.open.wait()
        body = await request.read()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.status == 200:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return web.Response(status=self.status, content_type="application/x-protobuf")

    def named(self, name: str) -> list[Seen]:
        """Returns every span of that name, the oldest first."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.began)

    async def until(self, name: str, count: int = 1, timeout: float = PATIENCE_S) -> list[Seen]:
        """Waits for `count` spans of that name."""

        def there() -> list[Seen] | None:
            found = self.named(name)
            return found if len(found) >= count else None

        return await eventually(there, timeout, message=f"only {sorted(one.name for one in self.spans)}")

    def chain(self, span: Seen) -> list[str]:
        """Returns the names from `span` up to the first span of its trace. A parent that was not received ends the
        list with `?`.
        """
        by_id = {one.id: one for one in self.spans if one.trace == span.trace}
        names, at = [span.name], span
        while at.parent:
            if at.parent not in by_id:
                return [*names, "?"]
            at = by_id[at.parent]
            names.append(at.name)
        return names

    async def complete_chain(self, span: Seen) -> list[str]:
        """Returns `chain` when all its spans have arrived. A parent may end after its children."""

        def whole() -> list[str] | None:
            names = self.chain(span)
            return None if names[-1] == "?" else names

        return await eventually(whole, message=f"the causes of {span.name} are missing: {self.chain(span)}")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Runs a collector on a free port."""
    collects = Collector()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", collects.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collects.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collects
    finally:
        collects.open.set()
        await runner.cleanup()


def _spans(request: ExportTraceServiceRequest) -> list[Seen]:
    return [
        _seen(_attributes(sent.resource)["service.name"], span)
        for sent in request.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    ]


def _seen(service: str, span: Span) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano / 1e9,
        ended=span.end_time_unix_nano / 1e9,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        message=span.status.message,
        attributes=_attributes(span),
        links=[link.trace_id.hex() for link in span.links],
    )


def _attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}
