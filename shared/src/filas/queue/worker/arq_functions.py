"""Runs functions that were written for stock arq: `func`, plain coroutines and `Retry`.

No service of Filas uses this module. It is kept because the queue promises arq's `Retry` and `func`: code that ran on
a stock arq worker must be able to move to our worker unchanged. tests/shared/queue/test_compatibility.py tests it.
"""

from datetime import UTC, datetime
from typing import Any

from arq.worker import Retry, func

from filas.errors import RetryLater
from filas.queue.job_format import Call
from filas.queue.job_functions import JobContext, JobFunction


def arq_context(context: JobContext) -> dict[str, Any]:
    """Returns the `ctx` that arq passes to a function."""
    return {
        "job_id": context.job_id,
        "job_try": context.attempt,
        "enqueue_time": datetime.fromtimestamp(context.enqueued_at_ms / 1000, UTC),
        "score": context.enqueued_at_ms,
    }


def arq_function(function: Any, *, keep_result_s: float = 3600.0) -> JobFunction:
    """Makes a JobFunction of `function`, which was made by arq's `func()` or is a plain `async def f(ctx, …)`.

    Its own time limit, attempts and time to keep the result take precedence over the policy's. `keep_result_s` has
    arq's default. `Retry(defer=…)` uses an attempt, as with arq.
    """
    stock = func(function)

    async def handler(context: JobContext, call: Call) -> Any:
        try:
            return await stock.coroutine(arq_context(context), *call.args, **call.kwargs)
        except Retry as error:
            raise RetryLater("the function raised arq's Retry", delay_s=(error.defer_score or 0) / 1000) from error

    return JobFunction(
        stock.name,
        handler,
        timeout_s=stock.timeout_s,
        max_attempts=stock.max_tries,
        keep_result_s=keep_result_s if stock.keep_result_s is None else stock.keep_result_s,
    )
