"""The OpenTelemetry span of a visit."""

from filas.models.executions import StepStatus
from filas.models.record import ErrorDetail
from filas.tracing import spans
from flow_runner.engine.node_protocol import Visit


def start_span(visit: Visit) -> spans.Span:
    """A span for this attempt of the visit. A visit that continues in another run has a second span there."""
    attributes: spans.Attributes = {
        "filas.execution.id": str(visit.claimed.id),
        "filas.flow.id": visit.claimed.flow_id,
        "filas.node.id": visit.place,
        "filas.node.type": visit.type,
        "filas.node.attempt": visit.attempt,
        "filas.step.seq": visit.seq,
    }
    return spans.span(f"node {visit.type}", "internal", spans.current().traceparent, attributes)


def end_span(span: spans.Span, status: StepStatus, handle: str | None, error: ErrorDetail | None) -> None:
    """Ends the span with the visit's status."""
    span.set_attributes({"filas.node.outcome": status, "filas.node.handle": handle})
    if error is not None:
        span.fail(error.kind, error.message)
    span.end()
