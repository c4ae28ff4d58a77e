"""Enqueues jobs at fixed times, with arq's `cron()`. Every worker enqueues them; their id admits only one.

No service of Filas uses this module: schedules of flows are in Postgres. It is kept because the queue promises arq's
`cron`: code that ran on a stock arq worker must be able to move to our worker unchanged.
tests/shared/queue/test_compatibility.py tests it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from filas.contract.new_job import NewJob
from filas.contract.policies import QueuePolicy
from filas.observability.logs import get_logger
from filas.periodic import periodic
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.producer import QueueProducer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.redis_clock import read_time_s

if TYPE_CHECKING:
    from arq.cron import CronJob  # a worker without cron jobs does not import arq

AHEAD_S: Final = 1.0
"""How long before its time a job is enqueued, deferred until its time."""

LONGEST_WAIT_S: Final = 1.0

KEPT_S: Final = 120.0
"""The shortest time that a result is kept. Until then, a worker that was suspended cannot run the job again."""

_log = get_logger(__name__)


def cron_function(job: "CronJob") -> JobFunction:
    """Returns the function that runs `job` with arq's `ctx`."""

    async def handler(context: JobContext, _: Any) -> Any:
        started = datetime.fromtimestamp(context.enqueued_at_ms / 1000, UTC)
        return await job.coroutine({"job_id": context.job_id, "job_try": context.attempt, "enqueue_time": started})

    return JobFunction(
        job.name,
        handler,
        timeout_s=job.timeout_s,
        max_attempts=job.max_tries,
        keep_result_s=max(job.keep_result_s or 0.0, KEPT_S),
    )


class CronSchedule:
    """Enqueues the jobs of `cron_jobs` at their times by the clock of Redis, in `timezone` (default UTC)."""

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        cron_jobs: Sequence["CronJob"],
        *,
        timezone: tzinfo = UTC,
    ) -> None:
        self._redis = redis
        self._producer = QueueProducer(redis)
        self._policy = policy
        self._timezone = timezone
        self._next: list[tuple[CronJob, datetime | None]] = [(job, None) for job in cron_jobs]
        self._at_startup = {id(job) for job in cron_jobs if job.run_at_startup}

    async def run(self) -> None:
        """Enqueues jobs until cancelled. After an outage of Redis, each job that was missed is enqueued once."""
        await periodic(f"cron-{self._policy.name}", self.step, LONGEST_WAIT_S)

    async def step(self) -> float:
        """Enqueues the jobs that are due within AHEAD_S. Returns the seconds until the next step."""
        now = datetime.fromtimestamp(await read_time_s(self._redis), self._timezone)
        horizon = now + timedelta(seconds=AHEAD_S)
        for number, (job, planned) in enumerate(self._next):
            due = planned or (now if id(job) in self._at_startup else self._after(job, now))
            if due <= horizon:
                await self._enqueue(job, due)
                due = self._after(job, max(due, now))
            self._next[number] = (job, due)
        soonest = min(due for _, due in self._next if due is not None)
        return min(max((soonest - horizon).total_seconds(), 0.02), LONGEST_WAIT_S)

    @staticmethod
    def _after(job: "CronJob", moment: datetime) -> datetime:
        job.calculate_next(moment)
        return job.next_run or moment

    async def _enqueue(self, job: "CronJob", due: datetime) -> None:
        due_ms = int(due.timestamp() * 1000)
        key = job.job_id or (f"cron:{job.name}:{due_ms}" if job.unique else f"cron:{job.name}:{due_ms}:{id(self)}")
        new = NewJob(self._policy, key, None, defer_until_ms=due_ms, function=job.name)
        result = await self._producer.enqueue(new)
        _log.debug("cron.enqueued", queue=self._policy.name, job_id=result.job_id, outcome=result.outcome)
