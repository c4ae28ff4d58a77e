"""The spans of jobs: one for each that is put, one for each try. Used only where tracing is on.

A job that is put carries the span of its sending; the message that a handler is given names the span of its try, so
that whatever the handler does for it, and puts because of it, becomes that one's child. Names and attributes are
those of OpenTelemetry's conventions for messaging.
"""

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import msgspec

from filas.contract.jobs import JobMessage, Traceparent, WebhookJob
from filas.contract.policies import QueuePolicy
from filas.errors import RetryLater
from filas.observability import logs
from filas.queue.job_functions import BatchHandler, Handler, JobContext, JobFunction
from filas.queue.worker.retry_decision import decide, describe
from filas.tracing import spans, traceparent
from filas.tracing.spans import Span

if TYPE_CHECKING:
    from filas.contract.new_job import NewJob
    from filas.queue.producer import EnqueueOutcome

_IDS: Final = {
    "webhook_id": "filas.webhook.id",
    "event_id": "filas.event.id",
    "flow_id": "filas.flow.id",
    "execution_id": "filas.execution.id",
    "notification_id": "filas.notification.id",
    "channel_id": "filas.channel.id",
}
_OUTCOMES: Final = {"dead": "failed", "retry": "retried", "return": "requeued"}


class Sends:
    """A block that puts `jobs`, which carry the spans of their sending, and notes their `outcomes`, one each.

    What was in the queue already is recorded nowhere: the relay puts the jobs of whole tables, and most are there.
    """

    def __init__(self, jobs: Sequence["NewJob"]) -> None:
        self._spans = [_sending(job) for job in jobs]
        self.jobs = [_carrying(job, span) for job, span in zip(jobs, self._spans, strict=True)]
        self.outcomes: list[EnqueueOutcome] = []

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


def traced(policy: QueuePolicy, function: JobFunction) -> JobFunction:
    """`function` with a span for each try of each job; itself where tracing is off."""
    if not spans.is_on():
        return function
    wrapped = _batch(policy, function) if function.batch else _single(policy, function)
    return dataclasses.replace(function, handler=wrapped)


def _single(policy: QueuePolicy, function: JobFunction) -> Handler:
    handler = cast("Handler", function.handler)

    async def handle(context: JobContext, message: Any) -> Any:
        span = _processing(policy, context, message)
        with logs.bound(trace_id=span.trace_id), spans.as_current(span):
            try:
                result = await handler(context, _naming(message, span))
            except BaseException as error:
                _end(span, error, context, policy)
                raise
        _end(span, None, context, policy)
        return result

    return handle


def _batch(policy: QueuePolicy, function: JobFunction) -> BatchHandler:
    handler = cast("BatchHandler", function.handler)

    async def handle(batch: list[tuple[JobContext, Any]]) -> Sequence[Any]:
        running = [_processing(policy, context, message) for context, message in batch]
        pairs = zip(batch, running, strict=True)
        try:
            outcomes = await handler([(context, _naming(message, span)) for (context, message), span in pairs])
        except BaseException as error:
            for (context, _), span in zip(batch, running, strict=True):
                _end(span, error, context, policy)
            raise
        for (context, _), span, outcome in zip(batch, running, outcomes, strict=False):
            _end(span, outcome if isinstance(outcome, BaseException) else None, context, policy)
        return outcomes

    return handle


def _sending(job: "NewJob") -> Span:
    queue = job.policy.name
    return spans.span(
        f"send {queue}", "producer", _cause(job.message), _attributes(queue, "send", job.job_id, job.message)
    )


def _processing(policy: QueuePolicy, context: JobContext, message: object) -> Span:
    attributes = _attributes(policy.name, "process", context.job_id, message)
    attributes |= {"filas.job.function": context.function, "filas.job.attempt": context.attempt}
    return spans.span(f"process {policy.name}", "consumer", _cause(message), attributes)


def _attributes(queue: str, operation: str, job_id: str, message: object) -> dict[str, str | int | None]:
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


def _cause(message: object) -> Traceparent:
    """What the message carries; of a webhook's job that carries none, the event's first span."""
    if not isinstance(message, JobMessage):
        return msgspec.UNSET
    if traceparent.parse(message.traceparent) is None and isinstance(message, WebhookJob):
        return spans.root_traceparent(message.event_id)
    return message.traceparent


def _naming(message: Any, span: Span) -> Any:
    return (
        msgspec.structs.replace(message, traceparent=span.traceparent) if isinstance(message, JobMessage) else message
    )


def _carrying(job: "NewJob", span: Span) -> "NewJob":
    return dataclasses.replace(job, message=_naming(job.message, span))


def _end(span: Span, error: BaseException | None, context: JobContext, policy: QueuePolicy) -> None:
    outcome = "completed"
    if isinstance(error, Exception):
        outcome = _OUTCOMES[decide(error, context.attempt, context.max_attempts, policy).what]
        # To come again later is how a flow waits for its next try, and how a busy destination is spared.
        if not (isinstance(error, RetryLater) and not error.uses_attempt):
            kind = describe(error).kind
            span.fail(type(error).__name__ if kind == "exception" else kind)
    elif error is not None:
        outcome = "interrupted"
        span.fail(type(error).__name__)
    span.set_attributes({"filas.job.outcome": outcome})
    span.end()
