"""Running claimed jobs: a bounded number of slots, each a long-lived task, so that a short job costs no task."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from filas.contract.policies import QueuePolicy
from filas.errors import PermanentError, StoreUnavailable
from filas.observability.logs import get_logger
from filas.queue.worker.claimed_job import HeldJob, JobAborted, Run
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.retry_decision import Decision, decide

_AHEAD_S: Final = 0.02
"""How much work may be claimed beyond the free slots: enough to hide the way to Redis, and no more."""

_MAX_AHEAD: Final = 500
_MAX_CLAIM: Final = 500
_MAX_BYTES: Final = 16 * 2**20
"""Payloads that are held before they run, and what a claim is to bring: decoded they take several times as much."""

_BATCH_BYTES: Final = 4 * 2**20
"""A call of a batch function gets no more payload than this, but one job at least."""

_BREATH: Final = 32
"""After so many jobs that never waited, a slot lets the rest of the process have its turn."""

_log = get_logger(__name__)


class Slots:
    """`concurrency` slots over a queue of claimed jobs.

    `room` is set when it would be worth while to claim more. `on_store_trouble` is called when a handler
    says that a store is away.
    """

    def __init__(
        self,
        policy: QueuePolicy,
        finisher: Finisher,
        *,
        concurrency: int,
        batch_limit: int,
    ) -> None:
        self._policy = policy
        self._finisher = finisher
        self._concurrency = concurrency
        self._batch_limit = batch_limit
        self.on_store_trouble: Callable[[StoreUnavailable], None] | None = None
        self.ready: deque[HeldJob] = deque()
        self.runs: set[Run] = set()
        self.room = asyncio.Event()
        self.closing = False
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False
        # A job's time in its slot, smoothed. Slow until it is known, so that nothing is claimed ahead.
        self._job_s = 0.1
        # The size of a job: that of the last claim's, or smoothed where that was smaller. Large until it is known.
        self._job_bytes = 256.0 * 2**10
        self._ready_bytes = 0

    def wanted(self) -> int:
        """How many jobs to claim now."""
        free = (self._concurrency - len(self.runs)) * self._batch_limit
        ahead = min(_MAX_AHEAD, int(self._concurrency * _AHEAD_S / max(self._job_s, 1e-6)))
        if (ahead and len(self.ready) > ahead // 2) or self._ready_bytes >= _MAX_BYTES:
            return 0
        wanted = min(max(free, 0) + ahead - len(self.ready), _MAX_CLAIM)
        return min(wanted, max(1, int((_MAX_BYTES - self._ready_bytes) / self._job_bytes)))

    def put(self, jobs: list[HeldJob]) -> None:
        """Run `jobs` as slots get free; once `closing` they go back."""
        if self.closing:
            for job in jobs:
                self._finisher.give_back(job)
            return
        size = sum(map(_size, jobs))
        self._ready_bytes += size
        self._job_bytes = max(size / len(jobs), 0.9 * self._job_bytes + 0.1 * size / len(jobs), 1.0)
        self.ready.extend(jobs)
        if not self._waking:
            self._wake_one()

    def take_back(self) -> list[HeldJob]:
        """Everything that has not begun."""
        jobs = list(self.ready)
        self.ready.clear()
        self._ready_bytes = 0
        return jobs

    async def close(self) -> None:
        """End the slots. Handlers that still run are cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wake_one(self) -> None:
        while self._idle:
            future = self._idle.pop()
            if not future.done():
                self._waking = True
                future.set_result(None)
                return
        if len(self._tasks) < self._concurrency:
            self._waking = True
            task = asyncio.create_task(self._slot())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("worker.slot_died", queue=self._policy.name, reason=repr(task.exception()))

    async def _slot(self) -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._waking = False
        jobs_in_a_row = 0
        while True:
            if not self.ready:
                self.room.set()
                future = asyncio.get_running_loop().create_future()
                self._idle.append(future)
                await future
                self._waking = False
                continue
            jobs = self._next_call()
            if not self.ready:
                # Though no job may end for a minute, other slots are free.
                self.room.set()
            # The next slot gets its turn when this one waits. Short jobs never wait: one slot runs them all.
            if self.ready and not self._waking:
                self._wake_one()
            await self._call(task, jobs)
            if len(self.ready) * 2 <= _MAX_AHEAD:
                self.room.set()
            jobs_in_a_row += len(jobs)
            # An idle slot is not to keep what its last jobs held.
            del jobs
            if jobs_in_a_row >= _BREATH:
                jobs_in_a_row = 0
                await asyncio.sleep(0)

    def _next_call(self) -> list[HeldJob]:
        ready = self.ready
        first = ready.popleft()
        function = first.function
        jobs, size = [first], _size(first)
        while function.batch and ready and len(jobs) < function.batch_limit and ready[0].function is function:
            if size + _size(ready[0]) > _BATCH_BYTES:
                break
            size += _size(ready[0])
            jobs.append(ready.popleft())
        self._ready_bytes -= size
        return jobs

    async def _call(self, task: "asyncio.Task[Any]", jobs: list[HeldJob]) -> None:
        first, started = jobs[0], time.time()
        function = first.function
        timeout_s = self._policy.timeout_s if function.timeout_s is None else function.timeout_s
        run = Run(jobs, task, started, timeout_s)
        self.runs.add(run)
        outcomes: Any
        handler: Any = function.handler
        try:
            if function.batch:
                outcomes = await handler([(job.context, job.message) for job in jobs])
                if len(outcomes) != len(jobs):
                    raise RuntimeError(f"{function.name} answered {len(outcomes)} outcomes for {len(jobs)} jobs")
            else:
                outcomes = (await handler(first.context, first.message),)
        except asyncio.CancelledError:
            if run.reason is None and task.cancelling():
                raise
            outcomes = [self._interruption(run, timeout_s)] * len(jobs)
        except Exception as error:
            outcomes = [error] * len(jobs)
        finally:
            self.runs.discard(run)
            if run.reason is not None:
                while task.cancelling():
                    task.uncancel()
        self._job_s += 0.1 * ((time.time() - started) / len(jobs) - self._job_s)
        for job, outcome in zip(jobs, outcomes, strict=True):
            try:
                self._end(job, outcome, run)
            except Exception as error:
                # An outcome that can't be written, an error whose own text raises: the job must end all the same.
                _log.error(
                    "job.outcome_unwritable", queue=self._policy.name, job_id=job.job_id, reason=type(error).__name__
                )
                unwritable = PermanentError(f"its outcome can't be recorded: {type(error).__name__}")
                self._finisher.fail(job, unwritable, Decision("dead"), run.started)

    @staticmethod
    def _interruption(run: Run, timeout_s: float) -> BaseException:
        if run.reason == "timeout":
            return TimeoutError(f"not done after {timeout_s:g} s")
        if run.reason == "abort":
            return JobAborted("cancelled while it ran")
        return asyncio.CancelledError("the handler was cancelled")

    def _end(self, job: HeldJob, outcome: Any, run: Run) -> None:
        if job.token_gone:
            self._finisher.forget(job)
        elif not isinstance(outcome, BaseException):
            self._finisher.complete(job, outcome, run.started)
        elif run.reason == "drain" and isinstance(outcome, asyncio.CancelledError):
            self._finisher.give_back(job, time.time() - run.started)
        else:
            if isinstance(outcome, StoreUnavailable) and self.on_store_trouble:
                self.on_store_trouble(outcome)
            decision = decide(outcome, job.context.attempt, job.context.max_attempts, self._policy)
            self._finisher.fail(job, outcome, decision, run.started)


def _size(job: HeldJob) -> int:
    return len(job.payload) if job.payload is not None else 0
