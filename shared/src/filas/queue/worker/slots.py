"""Runs claimed jobs in a bounded number of slots. Each slot is a long-lived task, so a short job needs no task."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from filas.contract.policies import QueuePolicy
from filas.errors import PermanentError, StoreBusy, StoreUnavailable
from filas.memory_budget import LARGEST_FACTOR, MemoryBudget, size_in_memory
from filas.observability.logs import get_logger
from filas.queue.worker.claimed_job import ClaimedJob, HandlerCall, JobAborted
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.retry_decision import Decision, decide

_AHEAD_S: Final = 0.02
"""How many seconds of work may be claimed beyond the free slots: enough to hide the round trip to Redis."""

_MAX_AHEAD: Final = 1000
"""How many jobs may be claimed beyond the free slots: two calls, so that Redis executes one while this process decodes
the jobs of the other."""

_MAX_CLAIM: Final = 500
_CLAIM_BYTES: Final = 2 * 2**20
"""The limit of payloads that one call claims, in bytes. A call claims at least one job."""

_SMALLEST_CLAIM_BYTES: Final = 64 * 2**10
_READY_BYTES: Final = 16 * 2**20
"""The limit of jobs that wait for a slot, in bytes of memory."""

_BATCH_BYTES: Final = 4 * 2**20
"""The limit of payloads in one call of a batch function, in bytes. A call has at least one job."""

_BATCH_MEMORY: Final = 16 * 2**20
"""The same limit in bytes of memory: a decoded payload may take 34 times as much as its text."""

_SHORT_JOB_S: Final = 0.001
"""Shorter jobs hardly ever wait, so one slot runs many of them."""

_SLOW_BATCH_S: Final = 0.25
"""Beside a call of a batch function that takes longer, the next call begins. It may wait for a lock."""

_JOBS_PER_YIELD: Final = 32
"""After this number of jobs that never waited, a slot yields to the other tasks of the process."""

_log = get_logger(__name__)


class Slots:
    """Runs the jobs of `ready` in `concurrency` slots.

    `room` is set when more jobs should be claimed. `on_store_unavailable` is called when a handler raises
    StoreUnavailable. `calls` are the running handler calls. `budget` counts the memory of all jobs that wait or run.
    """

    def __init__(
        self,
        policy: QueuePolicy,
        finisher: Finisher,
        *,
        concurrency: int,
        batch_limit: int,
        budget: MemoryBudget,
    ) -> None:
        self._policy = policy
        self._finisher = finisher
        self._concurrency = concurrency
        self._batch_limit = batch_limit
        self._budget = budget
        self.on_store_unavailable: Callable[[StoreUnavailable], None] | None = None
        self.ready: deque[ClaimedJob] = deque()
        self.calls: set[HandlerCall] = set()
        self.room = asyncio.Event()
        self.closing = False
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = 0
        """How many slots were woken and have not begun."""
        # The smoothed time of a job in its slot. It starts high, so that nothing is claimed ahead before it is known.
        self._job_s = 0.1
        self._ready_bytes = 0

    def wanted(self) -> int:
        """Returns how many jobs to claim now.

        None beside a call of a batch function that is neither full nor slow: the jobs that become due meanwhile make
        the next call larger. A large call costs little more than a small one.
        """
        if self._has_room_in_batch():
            return 0
        free = (self._concurrency - len(self.calls)) * self._batch_limit
        ahead = min(_MAX_AHEAD, int(self._concurrency * _AHEAD_S / max(self._job_s, 1e-6)))
        if (ahead and len(self.ready) > ahead // 2) or self._ready_bytes >= _READY_BYTES:
            return 0
        if self._budget.room <= 0 and (self.ready or self.calls):
            return 0
        return min(max(free, 0) + ahead - len(self.ready), _MAX_CLAIM)

    def wanted_bytes(self) -> int:
        """Returns how many bytes of payloads to claim now: so many that their decoded messages fit into the budget."""
        return max(_SMALLEST_CLAIM_BYTES, min(_CLAIM_BYTES, self._budget.room // LARGEST_FACTOR))

    def add(self, jobs: list[ClaimedJob]) -> None:
        """Runs `jobs` when slots are free. While `closing`, requeues them."""
        if self.closing:
            for job in jobs:
                self._finisher.requeue(job)
            return
        size = 0
        for job in jobs:
            if not job.held_bytes and job.payload is not None:
                job.held_bytes = size_in_memory(job.payload)
                self._budget.add(job.held_bytes)
            size += job.held_bytes
        self._ready_bytes += size
        self.ready.extend(jobs)
        self._wake()

    def remove_ready(self) -> list[ClaimedJob]:
        """Removes and returns the jobs that have not started."""
        jobs = list(self.ready)
        self.ready.clear()
        self._ready_bytes = 0
        for job in jobs:
            self._release(job)
        return jobs

    def _release(self, job: ClaimedJob) -> None:
        """Counts the memory of a job no more."""
        self._budget.remove(job.held_bytes)
        job.held_bytes = 0

    async def close(self) -> None:
        """Ends the slots. Cancels handlers that still run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wake(self) -> None:
        """Wakes slots for the ready jobs: one slot for short jobs or a batch, otherwise one for each job.

        Jobs that wait for a store begin together, so that their calls share a batch. A slot for each short job would
        find that another one has run it.
        """
        function = self.ready[0].function
        wanted = 1 if function.batch or self._job_s < _SHORT_JOB_S else len(self.ready)
        while self._waking < wanted and self._wake_one():
            pass

    def _wake_one(self) -> bool:
        """Wakes or creates a slot. Returns False if all slots are busy."""
        while self._idle:
            future = self._idle.pop()
            if not future.done():
                self._waking += 1
                future.set_result(None)
                return True
        if len(self._tasks) == self._concurrency:
            return False
        self._waking += 1
        task = asyncio.create_task(self._slot())
        self._tasks.add(task)
        task.add_done_callback(self._slot_ended)
        return True

    def _has_room_in_batch(self) -> bool:
        """Whether a call of a batch function runs that is neither full nor slow."""
        return any(
            call.jobs[0].function.batch
            and len(call.jobs) < call.jobs[0].function.batch_limit
            and time.monotonic() - call.started < _SLOW_BATCH_S
            for call in self.calls
        )

    def _slot_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("worker.slot_died", queue=self._policy.name, reason=repr(task.exception()))

    async def _slot(self) -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._waking -= 1
        jobs_in_a_row = 0
        while True:
            if not self.ready:
                self.room.set()
                future = asyncio.get_running_loop().create_future()
                self._idle.append(future)
                await future
                self._waking -= 1
                continue
            jobs = self._next_jobs()
            if not self.ready:
                # This call may last a minute, but other slots are free.
                self.room.set()
            # A woken slot starts when this one waits.
            if self.ready:
                self._wake()
            await self._call(task, jobs)
            if len(self.ready) * 2 <= _MAX_AHEAD:
                self.room.set()
            jobs_in_a_row += len(jobs)
            # An idle slot must not keep its last jobs in memory.
            del jobs
            if jobs_in_a_row >= _JOBS_PER_YIELD:
                jobs_in_a_row = 0
                await asyncio.sleep(0)

    def _next_jobs(self) -> list[ClaimedJob]:
        """Removes and returns the jobs of the next handler call: one, or a batch of one function within the limits."""
        ready = self.ready
        first = ready.popleft()
        function = first.function
        jobs, size, memory = [first], _size(first), first.held_bytes
        while function.batch and ready and len(jobs) < function.batch_limit and ready[0].function is function:
            size, memory = size + _size(ready[0]), memory + ready[0].held_bytes
            if size > _BATCH_BYTES or memory > _BATCH_MEMORY:
                break
            jobs.append(ready.popleft())
        for job in jobs:
            self._ready_bytes -= job.held_bytes
        return jobs

    async def _call(self, task: "asyncio.Task[Any]", jobs: list[ClaimedJob]) -> None:
        """Calls the handler of `jobs`, and ends each job by its outcome."""
        first, started = jobs[0], time.monotonic()
        function = first.function
        timeout_s = self._policy.timeout_s if function.timeout_s is None else function.timeout_s
        call = HandlerCall(jobs, task, started, timeout_s)
        self.calls.add(call)
        outcomes: Any
        handler: Any = function.handler
        slow = asyncio.get_running_loop().call_later(_SLOW_BATCH_S, self.room.set) if function.batch else None
        try:
            if function.batch:
                outcomes = await handler([(job.context, job.message) for job in jobs])
                if len(outcomes) != len(jobs):
                    raise RuntimeError(f"{function.name} returned {len(outcomes)} outcomes for {len(jobs)} jobs")
            else:
                outcomes = (await handler(first.context, first.message),)
        except asyncio.CancelledError:
            if call.reason is None and task.cancelling():
                raise
            outcomes = [self._interruption(call, timeout_s)] * len(jobs)
        except Exception as error:
            outcomes = [error] * len(jobs)
        finally:
            self.calls.discard(call)
            if slow is not None:
                slow.cancel()
            if call.reason is not None:
                while task.cancelling():
                    task.uncancel()
        self._job_s += 0.1 * ((time.monotonic() - started) / len(jobs) - self._job_s)
        for job, outcome in zip(jobs, outcomes, strict=True):
            self._end_safely(job, outcome, call)
            self._release(job)
        # The traceback of an error refers to this frame, and its handler's frame to the messages.
        outcomes = outcome = None

    @staticmethod
    def _interruption(call: HandlerCall, timeout_s: float) -> BaseException:
        if call.reason == "timeout":
            return TimeoutError(f"not done after {timeout_s:g} s")
        if call.reason == "abort":
            return JobAborted("cancelled while it ran")
        return asyncio.CancelledError("the handler was cancelled")

    def _end_safely(self, job: ClaimedJob, outcome: Any, call: HandlerCall) -> None:
        """Ends the job. An outcome that cannot be recorded (an error whose text raises) makes it a dead letter."""
        try:
            self._end(job, outcome, call)
        except Exception as error:
            _log.error(
                "job.outcome_unwritable", queue=self._policy.name, job_id=job.job_id, reason=type(error).__name__
            )
            unwritable = PermanentError(f"the outcome cannot be recorded: {type(error).__name__}")
            self._finisher.fail(job, unwritable, Decision("dead-letter"), call.started)

    def _end(self, job: ClaimedJob, outcome: Any, call: HandlerCall) -> None:
        if job.lease_lost:
            self._finisher.drop(job)
        elif not isinstance(outcome, BaseException):
            self._finisher.complete(job, outcome, call.started)
        elif call.reason == "drain" and isinstance(outcome, asyncio.CancelledError):
            self._finisher.requeue(job, time.monotonic() - call.started)
        else:
            # A statement that was not run because of a lock does not stop the other jobs.
            if (
                isinstance(outcome, StoreUnavailable)
                and not isinstance(outcome, StoreBusy)
                and self.on_store_unavailable
            ):
                self.on_store_unavailable(outcome)
            decision = decide(outcome, job.context.attempt, job.context.max_attempts, self._policy)
            self._finisher.fail(job, outcome, decision, call.started)


def _size(job: ClaimedJob) -> int:
    return len(job.payload) if job.payload is not None else 0
