"""The spans of incoming requests: the first span of a trace, or one that continues it."""

from collections.abc import Sequence

from filas.contract.jobs import Traceparent
from filas.models.executions import DueExecution
from filas.tracing import spans
from ingest.receive.acceptor import IncomingEvent, Receipt


def received(
    events: Sequence[IncomingEvent], answers: Sequence[Receipt | BaseException], route: str, caller: str | None = None
) -> None:
    """Records the span of each accepted event, from the request to its answer: the first span of the event's trace.

    The span of a duplicate is a child of the first event's span. A rejected event has no span. If one part of a body is
    rejected, the answer is not 200, although other parts were accepted.

    `caller` is the request's own `traceparent`. It becomes a link only. As the parent it would let any client write
    into our traces, under ids of its choice, and decide what is recorded.
    """
    whole = all(isinstance(answer, Receipt) for answer in answers)
    for incoming, receipt in zip(events, answers, strict=True):
        if isinstance(receipt, BaseException):
            continue
        event = incoming.event
        attributes: spans.Attributes = {
            "http.request.method": event.method,
            "http.response.status_code": 200 if whole else None,
            "http.route": route,
            "filas.webhook.id": event.webhook_id,
            "filas.event.id": str(receipt.event_id),
            "filas.webhook.outcome": "duplicate" if receipt.duplicate else "accepted",
        }
        with spans.span(
            f"webhook {event.webhook_id}",
            "server",
            spans.root_traceparent(receipt.event_id),
            attributes,
            root_of=None if receipt.duplicate else receipt.event_id,
            began_s=event.received_at.timestamp(),
        ) as span:
            span.link(caller)


def resumed(due: DueExecution, began_s: float, caller: str | None) -> Traceparent:
    """Records the span of a callback that an execution waits for. Returns the parent for the span of its job."""
    attributes = {
        "http.request.method": "POST",
        "http.route": "/resume/{token}",
        "filas.execution.id": str(due.id),
        "filas.flow.id": due.flow_id,
    }
    first = spans.root_traceparent(due.event_id or due.id)
    with spans.span("resume", "server", first, attributes, began_s=began_s) as span:
        span.link(caller)
        return span.traceparent
