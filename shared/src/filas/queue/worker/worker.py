"""The worker of a queue: claims jobs in batches, runs them, ends them in batches.

Its parts each have a module: claiming, running, finishing, leases, dead_letters, cron. All of a worker's
tasks live in `run()`; none of them ends on a fault of Redis, of Postgres or of a handler.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Final, TypedDict, Unpack
from uuid import uuid4

from filas.contract.policies import LEASE_S, QueuePolicy
from filas.errors import StoreUnavailable
from filas.observability import metrics
from filas.observability.logs import get_logger
from filas.queue.job_functions import DeadLetterSink, JobFunction, PauseSource, StoreProblem
from filas.queue.job_spans import traced
from filas.queue.producer import Producer
from filas.queue.redis_client.connection import Redis
from filas.queue.redis_client.scripts import load
from filas.queue.worker.claimed_job import HeldJob
from filas.queue.worker.claimer import Claimer
from filas.queue.worker.cron_jobs import CronSchedule, cron_function
from filas.queue.worker.dead_letter_drain import DeadLetterDrain
from filas.queue.worker.finisher import Finisher
from filas.queue.worker.lease_keeper import Keeper
from filas.queue.worker.slots import Slots
from filas.queue.worker_presence import HEARTBEAT_S, beat, leave

if TYPE_CHECKING:
    from arq.cron import CronJob

PAUSE_POLL_S: Final = 0.4
GROUP_SWEEP_S: Final = 5.0
_GROUPS_A_CALL: Final = 200
_CALLS_A_SWEEP: Final = 50

_log = get_logger(__name__)


class WorkerOptions(TypedDict, total=False):
    """What is rarely given.

    `cron_jobs`: made by `arq.cron`, run in `timezone` (UTC). `on_data_lost`: called when Redis is found without
    our data (the relay's cue). `lease_s`: how long a job stays claimed when nobody renews it. `drain_s`: how
    long `stop()` lets handlers finish (20 s); what runs longer goes back unspent. `ring`: how many records of
    finished jobs are kept, of each state (1,000).
    """

    cron_jobs: Sequence["CronJob"]
    timezone: tzinfo
    on_data_lost: Callable[[], None]
    lease_s: float
    drain_s: float
    ring: int


class Worker:
    """Runs the jobs of `policy`'s queue until `stop()`.

    `functions`: what jobs may name. `concurrency`: how many handlers run at a time (calls, for batch
    functions). `dead_letters`: where dead letters go; None leaves them in Redis. `pauses`: asked twice a
    second. `store_problem`: while it answers a reason, nothing is claimed. The rest: WorkerOptions.
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
        # From the first scrape on: an increase from nothing would not be seen as one.
        metrics.DEAD_LETTERS.labels(policy.name)
        metrics.LEASES_LOST.labels(policy.name)
        self._redis = redis
        self._pauses = pauses
        self._concurrency = concurrency
        self._drain_s = options.get("drain_s", 20.0)
        self._stopping = asyncio.Event()
        self._swept = 0
        self._held: dict[bytes, HeldJob] = {}
        cron_functions = [cron_function(job) for job in cron_jobs]
        by_name = {function.name: traced(policy, function) for function in (*functions, *cron_functions)}
        self._finisher = Finisher(redis, policy, self._held, ring=options.get("ring", 1000))
        limit = max((function.batch_limit for function in functions if function.batch), default=1)
        self._slots = Slots(policy, self._finisher, concurrency=concurrency, batch_limit=limit)
        parts = (self._slots, self._finisher, self._held)
        self._claimer = Claimer(redis, policy, by_name, *parts, lease_s=lease_s)
        self._claimer.store_problem = store_problem
        self._claimer.on_data_lost = options.get("on_data_lost")
        self._slots.on_store_trouble = self._claimer.trouble
        self._keeper = Keeper(redis, policy, *parts, lease_s=lease_s)
        self._drain = (
            DeadLetterDrain(redis, policy, dead_letters, self._finisher.dead_letters) if dead_letters else None
        )
        timezone = options.get("timezone", UTC)
        self._cron = CronSchedule(Producer(redis), policy, cron_jobs, timezone=timezone) if cron_jobs else None

    @property
    def problem(self) -> str | None:
        """Why the worker takes no jobs now (a store is away, it stops), or None. Being paused is no problem."""
        if self._stopping.is_set():
            return "stopping"
        return self._claimer.problem

    @property
    def running(self) -> int:
        """How many handlers run."""
        return len(self._slots.runs)

    @property
    def paused(self) -> bool:
        """Whether the queue is paused, as far as this worker knows."""
        return not self._claimer.unpaused.is_set()

    async def run(self) -> None:
        """Work until `stop()`, then drain."""
        if self._pauses is not None:
            await self._once(self._ask_pauses)
        claiming = [asyncio.create_task(part) for part in self._claiming_parts()]
        keeping = [asyncio.create_task(self._keeper.run()), asyncio.create_task(self._finisher.run())]
        if self._drain is not None:
            keeping.append(asyncio.create_task(self._drain.run()))
        stopping = asyncio.create_task(self._stopping.wait())
        _log.info("worker.started", queue=self.policy.name, worker_id=self.id)
        try:
            # A task of ours that ends is a fault of ours: better a dead process than a deaf worker.
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
        """Claim no more; `run()` returns when what runs has finished or gone back."""
        self._stopping.set()

    async def drain(self, timeout_s: float) -> None:
        """Let running handlers finish for `timeout_s`, give everything else back unspent, write all of it.

        A handler that hasn't ended by then is cancelled. Redis away: what can't be written within three more
        seconds is left to the expiry of its lease.
        """
        for job in self._slots.take_back():
            self._finisher.give_back(job)
        try:
            await asyncio.wait_for(self._finisher.drain(), timeout_s)
        except TimeoutError:
            for run in tuple(self._slots.runs):
                run.cancel("drain")
            try:
                await asyncio.wait_for(self._finisher.drain(), 3.0)
            except TimeoutError:
                _log.warning("worker.drain_incomplete", queue=self.policy.name, jobs=len(self._held))

    def _claiming_parts(self) -> Iterator[Coroutine[None, None, None]]:
        yield self._claimer.run()
        yield self._every(GROUP_SWEEP_S, self._sweep_groups)
        yield self._every(HEARTBEAT_S, self._beat)
        if self._pauses is not None:
            yield self._every(PAUSE_POLL_S, self._ask_pauses)
        if self._cron is not None:
            yield self._cron.run()

    async def _every(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._once(step)
            await asyncio.sleep(seconds)

    async def _once(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except StoreUnavailable:
            # The claimer says it for Redis, the store's own health check for the other.
            return
        except Exception as error:
            _log.error("worker.step_failed", queue=self.policy.name, step=step.__name__, reason=repr(error)[:500])

    async def _ask_pauses(self) -> None:
        if self._pauses is None:
            return
        paused = self.policy.name in await self._pauses.all()
        metrics.QUEUE_PAUSED.labels(self.policy.name).set(paused)
        if paused != self.paused:
            _log.info("queue.paused" if paused else "queue.resumed", queue=self.policy.name)
            self._claimer.pause(paused)

    async def _beat(self) -> None:
        # A write: an idle worker on a replica that turned read-only must notice.
        await beat(self._redis, self.policy, self.id, self.running, self._concurrency)

    async def _sweep_groups(self) -> None:
        names = self._redis.keys(self.policy.name)
        # One worker of the queue at a time; the lock's expiry lets the next one.
        lock = names.named("sweep")
        if not await self._redis.command("SET", lock, self.id, "NX", "PX", int(GROUP_SWEEP_S * 900)):
            return
        for _ in range(_CALLS_A_SWEEP):
            answer = await self._redis.command("HSCAN", names.named("heads"), self._swept, "COUNT", _GROUPS_A_CALL)
            self._swept, groups = int(answer[0]), list(answer[1])
            if groups:
                keys = names.of("wake", "heads", "grouped", "waiting")
                await self._redis.run(load("sweep_groups"), keys, [names.group_prefix, *groups])
            if self._swept == 0:
                return


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    pending = set(tasks)
    while pending:
        # More than once: a cancellation that meets an answer or a time-out in the same turn can get lost in a
        # library on the way.
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
