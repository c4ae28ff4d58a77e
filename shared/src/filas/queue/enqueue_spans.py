"""The span of each job that is enqueued. Used only while tracing is on.

A job carries the span that enqueued it. Names and attributes follow OpenTelemetry's conventions for messaging.
"""

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from filas.contract.jobs import JobMessage, Traceparent, WebhookJob
from filas.contract.new_job import NewJob
from filas.tracing import spans, traceparent
from filas.tracing.spans import Span

_IDS: Final = {
    "webhook_id": "filas.webhook.id",
    "event_id": "filas.event.id",
    "flow_id": "filas.flow.id",
    "execution_id": "filas.execution.id",
    "notification_id": "filas.notification.id",
    "channel_id": "filas.channel.id",
}


class EnqueueSpans:
    """A context that enqueues `jobs`, each of which carries a span. The caller sets `outcomes`, one per job.

    The spans of duplicates are not recorded, because the relay enqueues the jobs of whole tables and most of these
    jobs are duplicates. If the block raises, all spans fail.
    """

    def __init__(self, jobs: Sequence[NewJob]) -> None:
        self._spans = [_enqueue_span(job) for job in jobs]
        self.jobs = [
            dataclasses.replace(job, message=with_traceparent(job.message, span))
            for job, span in zip(jobs, self._spans, strict=True)
        ]
        self.outcomes: Sequence[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for span, outcome in zip(self._spans, self.outcomes, strict=False):
            if outcome == "enqueued":
                span.end()
        if kind is not None:
            for span in self._spans:
                span.fail(kind.__name__)
                span.end()


def _enqueue_span(job: NewJob) -> Span:
    queue = job.policy.name
    attributes = job_attributes(queue, "send", job.job_id, job.message)
    return spans.span(f"send {queue}", "producer", cause_of(job.message), attributes)


def job_attributes(queue: str, operation: str, job_id: str, message: object) -> dict[str, str | int | None]:
    """Returns the attributes of a span that sends or processes a job."""
    attributes: dict[str, str | int | None] = {
        "messaging.system": "arq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": job_id,
    }
    for field, name in _IDS.items():
        value = getattr(message, field, None)
        if value is not None:
            attributes[name] = str(value)
    return attributes


def cause_of(message: object) -> Traceparent:
    """Returns the span that caused the job: the one in its message, or the root span of a webhook job's event."""
    if not isinstance(message, JobMessage):
        return msgspec.UNSET
    if traceparent.parse(message.traceparent) is None and isinstance(message, WebhookJob):
        return spans.root_traceparent(message.event_id)
    return message.traceparent


def with_traceparent(message: Any, span: Span) -> Any:
    """Returns `message` as a child of `span`. A message of stock arq is returned unchanged."""
    if not isinstance(message, JobMessage):
        return message
    return msgspec.structs.replace(message, traceparent=span.traceparent)
