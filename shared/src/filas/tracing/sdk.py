"""Records spans with OpenTelemetry's SDK and sends them to a collector, by OTLP over HTTP, in a thread of their own.

A slow or unavailable collector costs spans, never jobs. At most MAX_WAITING spans wait for it. All others are dropped
and counted in `filas_spans_dropped_total`. The SDK itself reads the attributes of the process
(`OTEL_RESOURCE_ATTRIBUTES`), the options of the export (`OTEL_EXPORTER_OTLP_TIMEOUT`, `…_CERTIFICATE`,
`…_COMPRESSION`) and those of its batches (`OTEL_BSP_SCHEDULE_DELAY`) from the environment.
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
from filas.settings.setting_groups import TracingSettings
from filas.tracing import traceparent
from filas.tracing.spans import Attributes, Kind, Span

MAX_WAITING = 8192
"""How many spans may wait for the collector: about 10 MB."""

MAX_TEXT = 200
"""The longest text of an attribute or a status, in characters."""

_KINDS = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
_log = get_logger(__name__)


class OpenTelemetryTracer:
    """The `spans.Tracer` of the process."""

    def __init__(self, settings: TracingSettings, process: str) -> None:
        self._ratio = settings.otel_traces_sampler_arg
        self._ids = _IdGenerator()
        endpoint = f"{(settings.otel_exporter_otlp_endpoint or '').rstrip('/')}/v1/traces"
        secret = settings.otel_exporter_otlp_headers
        headers = None if secret is None else parse_env_headers(secret.reveal(), liberal=True)
        self._exporter = _CountingExporter(OTLPSpanExporter(endpoint, headers=headers), endpoint)
        self._provider = TracerProvider(
            sampler=sampling.ParentBased(_RatioSampler(self._ratio)),
            resource=Resource.create({SERVICE_NAME: settings.otel_service_name or process, SERVICE_NAMESPACE: "filas"}),
            # `shutdown` below has waited for the remaining spans. The interpreter's exit must not wait again.
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(_BoundedProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("filas")
        # The SDK logs an unavailable collector with every batch. _CountingExporter logs it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def start_span(
        self,
        name: str,
        kind: Kind,
        parent: Traceparent,
        attributes: Attributes,
        *,
        root_of: UUID | None,
        began_s: float | None,
    ) -> Span:
        """See `spans.span`."""
        context = Context()
        if root_of is not None:
            self._ids.next = traceparent.root_context(root_of, self._ratio)
        elif (parsed := traceparent.parse(parent)) is not None:
            context = trace.set_span_in_context(trace.NonRecordingSpan(_remote(parsed)), context)
        started = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            _present(attributes),
            start_time=None if began_s is None else int(began_s * 1e9),
        )
        self._ids.next = None
        return _RecordedSpan(started)

    def root_traceparent(self, origin: UUID) -> str:
        """See `spans.root_traceparent`."""
        return traceparent.format_context(traceparent.root_context(origin, self._ratio))

    def shutdown(self, timeout_s: float) -> None:
        """Sends the remaining spans, for at most `timeout_s` seconds. Counts and logs those that remain."""
        # The SDK waits up to 30 s for a slow collector. It does so in a thread that ends with the process.
        thread = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        thread.start()
        thread.join(timeout_s)
        remaining = self._exporter.waiting
        if remaining:
            SPANS_DROPPED.labels("rejected").inc(remaining)
            _log.warning("tracing.spans_dropped", spans=remaining)


class _RecordedSpan(Span):
    """A span of the SDK. A span of a trace that is not sampled has a span context, but is not sent."""

    __slots__ = ("_context", "_span")

    def __init__(self, started: trace.Span) -> None:
        self._span = started
        self._context = started.get_span_context()

    @property
    def traceparent(self) -> Traceparent:
        context = self._context
        return traceparent.format_context(
            traceparent.SpanContext(context.trace_id, context.span_id, context.trace_flags.sampled)
        )

    @property
    def trace_id(self) -> str:
        return f"{self._context.trace_id:032x}"

    def set_attributes(self, attributes: Attributes) -> None:
        self._span.set_attributes(_present(attributes) or {})

    def link(self, traceparent_: Traceparent) -> None:
        parsed = traceparent.parse(traceparent_)
        if parsed is not None:
            self._span.add_link(_remote(parsed))

    def fail(self, kind: str, message: str = "") -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, message[:MAX_TEXT] or None))

    def end(self) -> None:
        self._span.end()


class _IdGenerator(id_generator.RandomIdGenerator):
    """Generates random ids, except for a root span: `next` gives the ids of the next span."""

    next: traceparent.SpanContext | None = None

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self.next is None else self.next.span_id

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.next is None else self.next.trace_id


class _RatioSampler(sampling.Sampler):
    """Samples by `traceparent.is_sampled`. The SDK's own sampler uses 64 bits, of which two are constant in a UUID."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def should_sample(  # the SDK's interface
        self,
        parent_context: Context | None,  # noqa: ARG002 - the SDK's interface
        trace_id: int,
        name: str,  # noqa: ARG002 - the SDK's interface
        kind: SpanKind | None = None,  # noqa: ARG002 - the SDK's interface
        attributes: SdkAttributes = None,
        links: Sequence[trace.Link] | None = None,  # noqa: ARG002 - the SDK's interface
        trace_state: trace.TraceState | None = None,  # noqa: ARG002 - the SDK's interface
    ) -> sampling.SamplingResult:
        if traceparent.is_sampled(trace_id, self._ratio):
            return sampling.SamplingResult(sampling.Decision.RECORD_AND_SAMPLE, attributes)
        return sampling.SamplingResult(sampling.Decision.DROP)

    def get_description(self) -> str:
        return f"filas{{{self._ratio}}}"


class _CountingExporter(SpanExporter):
    """Sends batches, counts rejected spans, and logs each change of the collector's availability once.

    The threads that end spans increment `accepted`. The thread that sends them increments `exported`.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._unavailable = False
        self.accepted = 0
        self.exported = 0

    @property
    def waiting(self) -> int:
        """How many spans wait for the collector or are being sent."""
        return self.accepted - self.exported

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # an exporter's fault costs its spans and must not end the thread that sends
            result = SpanExportResult.FAILURE
        self.exported += len(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed:
            SPANS_DROPPED.labels("rejected").inc(len(spans))
        if failed != self._unavailable:
            self._unavailable = failed
            if failed:
                _log.warning("tracing.collector_unavailable", endpoint=self._endpoint, dropped=len(spans))
            else:
                _log.info("tracing.collector_available", endpoint=self._endpoint)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _BoundedProcessor(SpanProcessor):
    """Passes ended spans to the exporter while fewer than MAX_WAITING wait, and counts the others.

    The SDK's own processor would drop the oldest spans without counting them.
    """

    def __init__(self, exporter: _CountingExporter) -> None:
        self._exporter = exporter
        self._batches = BatchSpanProcessor(exporter, max_queue_size=MAX_WAITING)

    def on_end(self, span: ReadableSpan) -> None:
        if self._exporter.waiting >= MAX_WAITING:
            SPANS_DROPPED.labels("queue-full").inc()
            return
        self._exporter.accepted += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]


def _remote(context: traceparent.SpanContext) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=TraceFlags(context.sampled))


def _present(attributes: Attributes) -> SdkAttributes:
    return {
        name: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }
