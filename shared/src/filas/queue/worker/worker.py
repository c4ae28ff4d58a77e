"""The worker of a queue: claims jobs in batches, runs them, and finishes them in batches.

Its parts are the other modules of this folder. `Worker.run` owns all of their tasks. No unavailable store and no error
of a handler ends them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Final, TypedDict, Unpack
from uuid import uuid4

from filas.contract.policies import LEASE_S, QueuePolicy
from filas.errors import StoreUnavailable
from filas.memory_budget import MEMORY_BYTES, MemoryBudget
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.periodic import periodic
from filas.queue.job_functions import CancelSource, DeadLetterSink, JobFunction, PauseSource, StoreProblem
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load
from filas.queue.worker.attempt_spans import traced
from filas.queue.worker.claimed_job import ClaimedJob
from filas.queue.worker.claimer import Claimer
from filas.queue.worker.cron_jobs import CronSchedule, cron_function
from filas.queue.worker.dead_letter_drain import DeadLetterDrain
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.job_cancels import SYNC_S, JobCancels
from filas.queue.worker.lease_keeper import LeaseKeeper
from filas.queue.worker.newer_version_jobs import OFFER_S, NewerVersionJobs
from filas.queue.worker.restoration import Restorable, Restoration
from filas.queue.worker.slots import Slots
from filas.queue.worker_presence import HEARTBEAT_S, beat, leave

if TYPE_CHECKING:
    from arq.cron import CronJob

PAUSE_POLL_S: Final = 0.4
GROUP_SWEEP_S: Final = 5.0
_GROUPS_PER_CALL: Final = 200
_CALLS_PER_SWEEP: Final = 50

_log = get_logger(__name__)


class WorkerOptions(TypedDict, total=False):
    """Options of a worker that are rarely given.

    `cron_jobs`: made by `arq.cron`, run in `timezone` (default UTC). `relays`: enqueue the jobs of unfinished rows when
    Redis has lost its data, in this order, before anything is claimed. `lease_s`: how long a claim lasts without
    renewal, in seconds. `drain_s`: how many seconds `stop()` lets handlers finish (default 20); then they are requeued
    without using an attempt. `ring`: how many records of finished jobs are kept, for each state (default 1,000).
    `budget`: the memory that the process has for bodies (default: MEMORY_BYTES for this worker). `cancels`: the stored
    cancels of jobs.
    """

    cron_jobs: Sequence["CronJob"]
    timezone: tzinfo
    relays: Sequence[Restorable]
    lease_s: float
    drain_s: float
    ring: int
    budget: MemoryBudget
    cancels: CancelSource


class Worker:
    """Runs the jobs of `policy`'s queue until `stop()`.

    `functions`: the functions that jobs can name. `concurrency`: how many handlers run at a time (for batch functions:
    how many calls). `dead_letters`: where dead letters are stored; None leaves them in Redis. `pauses`: read every
    PAUSE_POLL_S. `store_problem`: while it returns a reason, nothing is claimed. `options`: see WorkerOptions.
    """

    def __init__(
        self,
        redis: Redis,
        policy: QueuePolicy,
        functions: Sequence[JobFunction],
        *,
        concurrency: int = 10,
        dead_letters: DeadLetterSink | None = None,
        pauses: PauseSource | None = None,
        store_problem: StoreProblem | None = None,
        **options: Unpack[WorkerOptions],
    ) -> None:
        cron_jobs, lease_s = options.get("cron_jobs", ()), options.get("lease_s", LEASE_S)
        self.id = uuid4().hex
        self.policy = policy
        # The counters exist from the first scrape, because Prometheus ignores the first increase of a new series.
        metrics.DEAD_LETTERS.labels(policy.name)
        metrics.LEASES_LOST.labels(policy.name)
        metrics.JOBS_NEWER_VERSION.labels(policy.name)
        self._redis = redis
        self._pauses = pauses
        self._concurrency = concurrency
        self._drain_s = options.get("drain_s", 20.0)
        self._stopping = asyncio.Event()
        self._sweep_cursor = 0
        self._claimed: dict[bytes, ClaimedJob] = {}
        cron_functions = [cron_function(job) for job in cron_jobs]
        by_name = {function.name: traced(policy, function) for function in (*functions, *cron_functions)}
        self._finisher = Finisher(redis, policy, self._claimed, ring=options.get("ring", 1000), worker_id=self.id)
        self._newer_version_jobs = NewerVersionJobs(redis, policy, self.id)
        limit = max((function.batch_limit for function in functions if function.batch), default=1)
        budget = options.get("budget") or MemoryBudget(MEMORY_BYTES)
        self._slots = Slots(policy, self._finisher, concurrency=concurrency, batch_limit=limit, budget=budget)
        parts = (self._slots, self._finisher, self._claimed)
        restoration = Restoration(redis, policy, options.get("relays", ()))
        self._claimer = Claimer(redis, policy, by_name, *parts, restoration, lease_s=lease_s)
        self._claimer.store_problem = store_problem
        self._cancels = JobCancels(redis, policy, options.get("cancels"), self.id)
        self._claimer.load_cancels = self._cancels.load if options.get("cancels") else None
        self._slots.on_store_unavailable = self._claimer.store_unavailable
        self._lease_keeper = LeaseKeeper(redis, policy, *parts, lease_s=lease_s)
        self._dead_letter_drain = (
            DeadLetterDrain(redis, policy, dead_letters, self._finisher.dead_letters) if dead_letters else None
        )
        timezone = options.get("timezone", UTC)
        self._cron = CronSchedule(redis, policy, cron_jobs, timezone=timezone) if cron_jobs else None

    @property
    def problem(self) -> str | None:
        """Why the worker claims nothing now (a store is unavailable, the worker stops), or None.

        A paused queue is not a problem.
        """
        if self._stopping.is_set():
            return "stopping"
        return self._claimer.problem

    @property
    def running(self) -> int:
        """How many handlers run."""
        return len(self._slots.calls)

    @property
    def paused(self) -> bool:
        """Whether the queue is paused, as far as this worker knows."""
        return not self._claimer.unpaused.is_set()

    async def run(self) -> None:
        """Works until `stop()`, then drains."""
        if self._pauses is not None:
            await self._try(self._read_pauses)
        claiming = [asyncio.create_task(part) for part in self._claiming_parts()]
        keeping = [asyncio.create_task(self._lease_keeper.run()), asyncio.create_task(self._finisher.run())]
        if self._dead_letter_drain is not None:
            keeping.append(asyncio.create_task(self._dead_letter_drain.run()))
        stopping = asyncio.create_task(self._stopping.wait())
        _log.info("worker.started", queue=self.policy.name, worker_id=self.id)
        try:
            # A task that ends before `stop()` is a bug. It ends the process, whose supervisor starts it again.
            await asyncio.wait([stopping, *claiming, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in (*claiming, *keeping):
                if task.done():
                    task.result()
            self._slots.closing = True
            await _cancel(claiming)
            with suppress(StoreUnavailable):
                await leave(self._redis, self.policy, self.id)
            await self._claimer.settle()
            await self.drain(self._drain_s)
        finally:
            stopping.cancel()
            await _cancel(claiming)
            await self._slots.close()
            await _cancel(keeping)
            _log.info("worker.stopped", queue=self.policy.name, worker_id=self.id)

    def stop(self) -> None:
        """Stops claiming. `run()` returns when all claimed jobs are finished or requeued."""
        self._stopping.set()

    async def drain(self, timeout_s: float) -> None:
        """Lets running handlers finish for `timeout_s` seconds, and requeues all other jobs without using an attempt.

        After that time, running handlers are cancelled and requeued. If Redis is unavailable, ends that cannot be
        written within three more seconds are left to the expiry of their leases.
        """
        for job in self._slots.remove_ready():
            self._finisher.requeue(job)
        try:
            await asyncio.wait_for(self._finisher.drain(), timeout_s)
        except TimeoutError:
            for call in tuple(self._slots.calls):
                call.cancel("drain")
            try:
                await asyncio.wait_for(self._finisher.drain(), 3.0)
            except TimeoutError:
                _log.warning("worker.drain_incomplete", queue=self.policy.name, jobs=len(self._claimed))

    def _claiming_parts(self) -> Iterator[Coroutine[None, None, None]]:
        """The tasks that end before the drain."""
        yield self._claimer.run()
        yield self._repeat(GROUP_SWEEP_S, self._sweep_groups)
        yield self._repeat(HEARTBEAT_S, self._beat)
        yield self._repeat(SYNC_S, self._cancels.sync)
        yield self._repeat(OFFER_S, self._newer_version_jobs.offer)
        if self._pauses is not None:
            yield self._repeat(PAUSE_POLL_S, self._read_pauses)
        if self._cron is not None:
            yield self._cron.run()

    async def _repeat(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        await periodic(f"{self.policy.name} {step.__name__}", lambda: self._try(step), seconds)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except StoreUnavailable:
            # The claimer reports Redis, and the health check reports Postgres.
            return
        except Exception as error:
            _log.error("worker.step_failed", queue=self.policy.name, step=step.__name__, reason=repr(error)[:500])

    async def _read_pauses(self) -> None:
        if self._pauses is None:
            return
        paused = self.policy.name in await self._pauses.all()
        metrics.QUEUE_PAUSED.labels(self.policy.name).set(paused)
        if paused != self.paused:
            _log.info("queue.paused" if paused else "queue.resumed", queue=self.policy.name)
            self._claimer.set_paused(paused)

    async def _beat(self) -> None:
        # The heartbeat is a write, so an idle worker notices that its Redis has become a read-only replica.
        await beat(self._redis, self.policy, self.id, self.running, self._concurrency)

    async def _sweep_groups(self) -> None:
        """Promotes the next jobs of groups whose head no longer exists (see `sweep_groups.lua`)."""
        names = self._redis.keys(self.policy.name)
        # One worker of the queue sweeps at a time. The lock expires before the next sweep.
        lock = names.named("sweep")
        if not await self._redis.command("SET", lock, self.id, "NX", "PX", int(GROUP_SWEEP_S * 900)):
            return
        for _ in range(_CALLS_PER_SWEEP):
            heads = names.named("heads")
            answer = await self._redis.command("HSCAN", heads, self._sweep_cursor, "COUNT", _GROUPS_PER_CALL)
            self._sweep_cursor, groups = int(answer[0]), list(answer[1])
            if groups:
                keys = names.of("wake", "heads", "grouped", "waiting")
                await self._redis.run(load("sweep_groups"), keys, [names.group_prefix, *groups])
            if self._sweep_cursor == 0:
                return


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    pending = set(tasks)
    while pending:
        # More than once: a library can lose a cancellation that coincides with an answer or a time-out.
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
