"""The spans of what comes in: the first of a trace, or the one that goes on with it."""

from collections.abc import Sequence

from filas.contract.jobs import Traceparent
from filas.models.executions import DueExecution
from filas.tracing import spans
from ingest.receive.acceptor import Arrival, Receipt


def received(
    arrivals: Sequence[Arrival], answers: Sequence[Receipt | BaseException], route: str, caller: str | None = None
) -> None:
    """The span of each event that was accepted, from the request to its answer: the first of the event's trace. One
    that was known already is a child of the first one's. What was refused has begun nothing, and has no span; where
    that is a part of a body, the answer is no 200, though its neighbours were accepted.

    `caller` is the request's own `traceparent`. It becomes a link and no more: were it the parent, anybody could put
    his requests into our traces, under ids of his choice, and decide for us what is recorded.
    """
    whole = all(isinstance(answer, Receipt) for answer in answers)
    for arrival, receipt in zip(arrivals, answers, strict=True):
        if isinstance(receipt, BaseException):
            continue
        event = arrival.event
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
    """The span of a call that an execution waits for; what its job is a child of."""
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
