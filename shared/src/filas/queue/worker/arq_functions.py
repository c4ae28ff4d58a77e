"""Functions written for stock arq, run by our worker: `func`, plain coroutines, `Retry`."""

from datetime import UTC, datetime
from typing import Any

from arq.worker import Retry, func

from filas.errors import RetryLater
from filas.queue.job_format import Call
from filas.queue.job_functions import JobContext, JobFunction


def arq_context(context: JobContext) -> dict[str, Any]:
    """The `ctx` that arq hands to a function."""
    return {
        "job_id": context.job_id,
        "job_try": context.attempt,
        "enqueue_time": datetime.fromtimestamp(context.enqueued_at_ms / 1000, UTC),
        "score": context.enqueued_at_ms,
    }


def arq_function(function: Any, *, keep_result_s: float = 3600.0) -> JobFunction:
    """`function`, made by arq's `func()` or a plain `async def f(ctx, …)`, for our worker.

    Its own time-out, tries and time to keep the result count before the policy's; `keep_result_s` is arq's
    default. `Retry(defer=…)` uses up a try, as with arq.
    """
    stock = func(function)

    async def handler(context: JobContext, call: Call) -> Any:
        try:
            return await stock.coroutine(arq_context(context), *call.args, **call.kwargs)
        except Retry as error:
            raise RetryLater("the function asked for it", delay_s=(error.defer_score or 0) / 1000) from error

    return JobFunction(
        stock.name,
        handler,
        timeout_s=stock.timeout_s,
        max_attempts=stock.max_tries,
        keep_result_s=keep_result_s if stock.keep_result_s is None else stock.keep_result_s,
    )
