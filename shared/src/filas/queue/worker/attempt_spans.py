"""The span of each attempt of a job. Used only while tracing is on.

The message that a handler gets names the span of its attempt, so everything that the handler enqueues becomes a child
of that span. Names and attributes follow OpenTelemetry's conventions for messaging.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final, cast

from filas.contract.policies import QueuePolicy
from filas.errors import NewerVersionRequired, RetryLater
from filas.observability import logs
from filas.queue.enqueue_spans import cause_of, job_attributes, with_traceparent
from filas.queue.job_functions import BatchHandler, Handler, JobContext, JobFunction
from filas.queue.worker.retry_decision import decide, describe
from filas.tracing import spans
from filas.tracing.spans import Span

_OUTCOMES: Final = {"dead-letter": "failed", "retry": "retried", "requeue": "requeued", "await-newer": "requeued"}


def traced(policy: QueuePolicy, function: JobFunction) -> JobFunction:
    """Returns `function` with a span for each attempt of each job, or `function` itself while tracing is off."""
    if not spans.is_on():
        return function
    handler = _traced_batch(policy, function) if function.batch else _traced_single(policy, function)
    return dataclasses.replace(function, handler=handler)


def _traced_single(policy: QueuePolicy, function: JobFunction) -> Handler:
    handler = cast("Handler", function.handler)

    async def handle(context: JobContext, message: Any) -> Any:
        span = _attempt_span(policy, context, message)
        with logs.bound(trace_id=span.trace_id), spans.as_current(span):
            try:
                result = await handler(context, with_traceparent(message, span))
            except BaseException as error:
                _end(span, error, context, policy)
                raise
        _end(span, None, context, policy)
        return result

    return handle


def _traced_batch(policy: QueuePolicy, function: JobFunction) -> BatchHandler:
    handler = cast("BatchHandler", function.handler)

    async def handle(batch: list[tuple[JobContext, Any]]) -> Sequence[Any]:
        running = [_attempt_span(policy, context, message) for context, message in batch]
        pairs = zip(batch, running, strict=True)
        try:
            outcomes = await handler([(context, with_traceparent(message, span)) for (context, message), span in pairs])
        except BaseException as error:
            for (context, _), span in zip(batch, running, strict=True):
                _end(span, error, context, policy)
            raise
        for (context, _), span, outcome in zip(batch, running, outcomes, strict=False):
            _end(span, outcome if isinstance(outcome, BaseException) else None, context, policy)
        return outcomes

    return handle


def _attempt_span(policy: QueuePolicy, context: JobContext, message: object) -> Span:
    attributes = job_attributes(policy.name, "process", context.job_id, message)
    attributes |= {"filas.job.function": context.function, "filas.job.attempt": context.attempt}
    return spans.span(f"process {policy.name}", "consumer", cause_of(message), attributes)


def _end(span: Span, error: BaseException | None, context: JobContext, policy: QueuePolicy) -> None:
    outcome = "completed"
    if isinstance(error, Exception):
        outcome = _OUTCOMES[decide(error, context.attempt, context.max_attempts, policy).action]
        # Running again later without using an attempt is no failure: a flow waits, or a channel is paused.
        if not (isinstance(error, NewerVersionRequired) or (isinstance(error, RetryLater) and not error.uses_attempt)):
            kind = describe(error).kind
            span.fail(type(error).__name__ if kind == "exception" else kind)
    elif error is not None:
        outcome = "interrupted"
        span.fail(type(error).__name__)
    span.set_attributes({"filas.job.outcome": outcome})
    span.end()
