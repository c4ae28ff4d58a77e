"""Spans by OpenTelemetry's SDK, sent to a collector by OTLP over HTTP in a thread of their own.

A collector that is away or slow costs spans, never jobs: at most QUEUE wait for it, the rest is dropped and counted
in `filas_spans_dropped_total`. What is said here of the process (`OTEL_RESOURCE_ATTRIBUTES`), of the export
(`OTEL_EXPORTER_OTLP_TIMEOUT`, `…_CERTIFICATE`, `…_COMPRESSION`) and of its batches (`OTEL_BSP_SCHEDULE_DELAY`) the
SDK reads from the environment itself.
"""

import logging
import threading
from collections.abc import Sequence
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, id_generator, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.re import parse_env_headers
from opentelemetry.util.types import Attributes as SdkAttributes

from filas.contract.jobs import Traceparent
from filas.observability.logs import get_logger
from filas.observability.metrics import SPANS_DROPPED
from filas.settings.process_settings import TracingSettings
from filas.tracing import traceparent
from filas.tracing.spans import Attributes, Kind, Span

QUEUE = 8192
"""How many spans may wait for the collector: some 10 MB."""

MAX_TEXT = 200
"""The longest text of an attribute or a status."""

_KINDS = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
_log = get_logger(__name__)


class OpenTelemetry:
    """The process's tracer, see `spans.Tracer`."""

    def __init__(self, settings: TracingSettings, process: str) -> None:
        self._ratio = settings.otel_traces_sampler_arg
        self._ids = _Ids()
        endpoint = f"{(settings.otel_exporter_otlp_endpoint or '').rstrip('/')}/v1/traces"
        secret = settings.otel_exporter_otlp_headers
        headers = None if secret is None else parse_env_headers(secret.reveal(), liberal=True)
        self._export = _Export(OTLPSpanExporter(endpoint, headers=headers), endpoint)
        self._provider = TracerProvider(
            sampler=sampling.ParentBased(_ByRatio(self._ratio)),
            resource=Resource.create({SERVICE_NAME: settings.otel_service_name or process, SERVICE_NAMESPACE: "filas"}),
            # What is not sent when the process ends is not waited for a second time.
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(_Bounded(self._export))
        self._tracer = self._provider.get_tracer("filas")
        # It says with every batch that the collector is away; here that is said once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def start(
        self,
        name: str,
        kind: Kind,
        parent: Traceparent,
        attributes: Attributes,
        *,
        first_of: UUID | None,
        began_s: float | None,
    ) -> Span:
        """See `spans.span`."""
        context = Context()
        if first_of is not None:
            self._ids.next = traceparent.first_of(first_of, self._ratio)
        elif (position := traceparent.read(parent)) is not None:
            context = trace.set_span_in_context(trace.NonRecordingSpan(_remote(position)), context)
        begun = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            _known(attributes),
            start_time=None if began_s is None else int(began_s * 1e9),
        )
        self._ids.next = None
        return _Recorded(begun)

    def first(self, origin: UUID) -> str:
        """See `spans.first`."""
        return traceparent.write(traceparent.first_of(origin, self._ratio))

    def stop(self, timeout_s: float) -> None:
        """Send what is left, for so long at most."""
        # The SDK waits for its collector as long as that is slow: 30 s, in a thread that dies with the process.
        thread = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        thread.start()
        thread.join(timeout_s)
        left = self._export.waiting
        if left:
            SPANS_DROPPED.labels("not-taken").inc(left)
            _log.warning("tracing.spans_left", spans=left)


class _Recorded(Span):
    """A span of the SDK's; one of a trace that is not sampled has a position, and is not sent."""

    __slots__ = ("_context", "_span")

    def __init__(self, begun: trace.Span) -> None:
        self._span = begun
        self._context = begun.get_span_context()

    @property
    def traceparent(self) -> Traceparent:
        context = self._context
        position = traceparent.Position(context.trace_id, context.span_id, context.trace_flags.sampled)
        return traceparent.write(position)

    @property
    def trace_id(self) -> str:
        return f"{self._context.trace_id:032x}"

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(_known(attributes) or {})

    def link(self, traceparent_: Traceparent) -> None:
        position = traceparent.read(traceparent_)
        if position is not None:
            self._span.add_link(_remote(position))

    def fail(self, kind: str, message: str = "") -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, message[:MAX_TEXT] or None))

    def end(self) -> None:
        self._span.end()


class _Ids(id_generator.RandomIdGenerator):
    """Random ids, but for the next span where that is the first of a trace which is named after something."""

    next: traceparent.Position | None = None

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self.next is None else self.next.span_id

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.next is None else self.next.trace_id


class _ByRatio(sampling.Sampler):
    """Samples as `traceparent.is_sampled` says. The SDK's own looks at 64 bits, of which two are the same in every
    UUID."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def should_sample(  # the SDK's interface
        self,
        parent_context: Context | None,  # noqa: ARG002
        trace_id: int,
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: SdkAttributes = None,
        links: Sequence[trace.Link] | None = None,  # noqa: ARG002
        trace_state: trace.TraceState | None = None,  # noqa: ARG002
    ) -> sampling.SamplingResult:
        if traceparent.is_sampled(trace_id, self._ratio):
            return sampling.SamplingResult(sampling.Decision.RECORD_AND_SAMPLE, attributes)
        return sampling.SamplingResult(sampling.Decision.DROP)

    def get_description(self) -> str:
        return f"filas{{{self._ratio}}}"


class _Export(SpanExporter):
    """Sends batches, counts what was not taken, and says once when the collector goes away or comes back.

    `given` is written by those who end spans, `done` by the thread that sends.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._away = False
        self.given = 0
        self.done = 0

    @property
    def waiting(self) -> int:
        """How many spans are on their way."""
        return self.given - self.done

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # whatever it is, it is the spans' end and nobody else's
            result = SpanExportResult.FAILURE
        self.done += len(spans)
        away = result is not SpanExportResult.SUCCESS
        if away:
            SPANS_DROPPED.labels("not-taken").inc(len(spans))
        if away != self._away:
            self._away = away
            if away:
                _log.warning("tracing.collector_away", endpoint=self._endpoint, dropped=len(spans))
            else:
                _log.info("tracing.collector_back", endpoint=self._endpoint)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Bounded(SpanProcessor):
    """Hands ended spans on while fewer than QUEUE wait: the SDK would let go of the oldest, uncounted."""

    def __init__(self, export: _Export) -> None:
        self._export = export
        self._batches = BatchSpanProcessor(export, max_queue_size=QUEUE)

    def on_end(self, span: ReadableSpan) -> None:
        if self._export.waiting >= QUEUE:
            SPANS_DROPPED.labels("queue-full").inc()
            return
        self._export.given += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]


def _remote(position: traceparent.Position) -> SpanContext:
    return SpanContext(position.trace_id, position.span_id, is_remote=True, trace_flags=TraceFlags(position.sampled))


def _known(attributes: Attributes) -> SdkAttributes:
    return {
        name: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }
