"""The executions of one worker: claims and checkpoints in batches, and leases that are renewed while executions run.

The rows are the outbox: the jobs that follow from a checkpoint are enqueued after its transaction. If the process dies
in between, or if Redis is unavailable, the relay finds the rows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol
from uuid import UUID

from filas.batching import MicroBatcher
from filas.contract.policies import LEASE_S
from filas.errors import LeaseLost, NewerVersionRequired, RetryLater, StoreBusy, StoreUnavailable
from filas.memory_budget import LARGEST_FACTOR, MEMORY_BYTES, HeldBytes, MemoryBudget, NoRoom, size_in_memory
from filas.models.executions import (
    Checkpoint,
    ClaimedExecution,
    DueExecution,
    ExecutionStatus,
)
from filas.models.notifications import DueNotification
from filas.observability import logs
from filas.observability.metrics import FENCES_LOST
from filas.periodic import periodic
from flow_runner.stores import execution_outcomes

log = logs.get_logger(__name__)

NO_ROOM_WAIT_S = 1.0
"""When a job asks again for memory."""

RENEW_EVERY_S = LEASE_S / 3
BATCH = 100
PARALLEL = 2
"""The number of concurrent transactions, if one is full or waits for a lock (see `filas.batching`)."""

_RETRY_WAITS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 2.0)
"""The waits before a checkpoint is retried while Postgres is unavailable: 5.85 s in total, so that a short outage
repeats no effect."""

_LOCKED_WAITS_S = (*_RETRY_WAITS_S, *(2.0,) * 12)
"""The waits while another session locks the execution or its conversation: 30 s in total. No other worker can claim the
execution meanwhile."""

Written = tuple[ClaimedExecution, Checkpoint]

STATE_FACTOR: Final = 8
"""How many bytes a byte of a state needs in memory: the text, its objects, and their copies in templates."""

MAX_WAIT_S: Final = 10.0
"""How long a run waits for memory. It is far shorter than the job's timeout."""

_LARGE: Final = 1024 * 1024
"""An execution that needs less memory never leaves it."""


class Outbox(Protocol):
    """Enqueues the jobs that follow from written rows."""

    async def enqueue(self, written: list[Written]) -> bool:
        """Enqueues the jobs of the checkpoints. Returns False if that was not possible."""

    async def enqueue_runs(self, due: Sequence[DueExecution]) -> None:
        """Enqueues the jobs of executions that are to be cancelled. If that is not possible, the relay does it."""

    async def enqueue_notifications(self, notifications: Sequence[DueNotification]) -> None:
        """Enqueues the jobs of the notifications, unless they exist. Raises StoreUnavailable."""


class ExecutionRows(Protocol):
    """The part of the repository that holds executions."""

    async def claim_many(
        self, turns: Sequence[tuple[UUID, int]], owner: str, lease_s: float
    ) -> list[ClaimedExecution | BaseException | None]: ...

    async def checkpoint_many(
        self, checkpoints: Sequence[Checkpoint]
    ) -> Sequence[ExecutionStatus | BaseException | None]: ...

    async def load(self, claimed: ClaimedExecution) -> ClaimedExecution: ...

    async def unfinished_notifications(self, execution_ids: Iterable[UUID]) -> list[DueNotification]: ...

    async def leave_waits(self, execution_id: UUID) -> list[DueExecution]: ...

    async def renew(self, held: Sequence[tuple[UUID, int]], lease_s: float) -> set[UUID]: ...

    async def request_cancel(self, execution_id: UUID) -> DueExecution | None: ...

    async def reopen(self, execution_id: UUID, turn: int) -> bool: ...

    async def cancel_requested(self, execution_ids: Iterable[UUID]) -> set[UUID]: ...

    async def get(self, execution_id: UUID) -> object | None: ...


class ExecutionContents:
    """The contents that the process holds. `memory` counts them, together with the bodies of its jobs."""

    def __init__(self, rows: ExecutionRows, memory: MemoryBudget) -> None:
        self._rows = rows
        self._memory = memory
        self._held: dict[UUID, HeldBytes] = {}

    @asynccontextmanager
    async def hold(self, claimed: ClaimedExecution) -> AsyncIterator[ClaimedExecution]:
        """The execution with its content, while the block runs. Raises NoRoom after MAX_WAIT_S."""
        if claimed.is_loaded:
            held = self._held[claimed.id] = self._memory.count(claimed.content_bytes * STATE_FACTOR)
            try:
                yield claimed
            finally:
                held.release()
                self._forget(claimed.id, held)
            return
        async with self._memory.hold(claimed.content_bytes * LARGEST_FACTOR, MAX_WAIT_S) as held:
            loaded = await self._rows.load(claimed)
            held.resize(max(_size(loaded), claimed.content_bytes * STATE_FACTOR))
            self._held[claimed.id] = held
            try:
                yield loaded
            finally:
                self._forget(claimed.id, held)

    def measure(self, checkpoint: Checkpoint) -> None:
        """Counts the state of a checkpoint: it may have grown since it was loaded."""
        held = self._held.get(checkpoint.execution_id)
        if held is not None and checkpoint.state is not None:
            held.resize(max(held.size, len(checkpoint.state) * STATE_FACTOR))

    def must_leave(self, execution_id: UUID) -> bool:
        """Whether the execution is large while the budget is exceeded. The one that began first stays."""
        if self._memory.room >= 0:
            return False
        held = self._held.get(execution_id)
        return held is not None and held.size > _LARGE and next(iter(self._held)) != execution_id

    def _forget(self, execution_id: UUID, held: HeldBytes) -> None:
        # Another run of the execution may have begun, after this one has lost its lease.
        if self._held.get(execution_id) is held:
            del self._held[execution_id]


class Executions:
    """Claims, checkpoints and leases of one worker process, which is `owner`. A run's number is `turn` in the rows.

    `memory` is the process's budget. The content of a large execution is loaded when there is room for it.
    """

    def __init__(
        self,
        rows: ExecutionRows,
        owner: str,
        outbox: Outbox,
        *,
        memory: MemoryBudget | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._contents = ExecutionContents(rows, memory or MemoryBudget(MEMORY_BYTES))
        self._rows = rows
        self._owner = owner
        self._outbox = outbox
        self._lease_s = lease_s
        self._held: dict[tuple[UUID, int], asyncio.Task[object]] = {}
        self._lost: set[tuple[UUID, int]] = set()
        self._leaving: set[tuple[UUID, int]] = set()
        self._interrupted: set[tuple[UUID, int]] = set()
        self._cancelling: set[UUID] = set()
        self._not_enqueued: set[UUID] = set()
        self._claims: MicroBatcher[tuple[UUID, int], ClaimedExecution | None] = MicroBatcher(
            self._claim_many, limit=BATCH, parallel=PARALLEL
        )
        self._unsent: MicroBatcher[UUID, None] = MicroBatcher(self._enqueue_unsent, limit=BATCH, parallel=PARALLEL)
        self._checkpoints: MicroBatcher[Written, ExecutionStatus | None] = MicroBatcher(
            self._checkpoint_many, limit=BATCH, parallel=PARALLEL, size_of=lambda written: written[1].size
        )

    async def claim(self, execution_id: UUID, turn: int) -> ClaimedExecution | None:
        """The execution under this worker's lease; None: its run number `turn` is over. If its message resumes another
        execution, that one is returned. If its flow replaces what the conversation waits for, that is cancelled.

        Raises RetryLater while another worker holds it, and StoreUnavailable.
        """
        claimed = await self._claims.add((execution_id, turn))
        # The previous worker may have died, or lost Redis, between its transaction and the jobs that follow from it.
        # They are enqueued before anything else happens in the conversation.
        if claimed is None or claimed.state is not None or not claimed.is_loaded:
            await self._unsent.add(execution_id if claimed is None else claimed.id)
        if claimed is not None and claimed.leaves_waits:
            cancelled = await self._rows.leave_waits(claimed.id)
            if cancelled:
                ids = [str(one.id) for one in cancelled]
                log.info("conversation.waits_cancelled", execution_id=str(claimed.id), cancelled=ids)
                await self._outbox.enqueue_runs(cancelled)
        return claimed

    async def request_cancel(self, execution_id: UUID) -> DueExecution | None:
        """Requests the cancellation of an execution; None: it has ended, or it does not exist."""
        return await self._rows.request_cancel(execution_id)

    async def exists(self, execution_id: UUID) -> bool:
        """Whether the execution exists."""
        return await self._rows.get(execution_id) is not None

    async def reopen(self, execution_id: UUID, turn: int) -> bool:
        """Queues an execution that failed in run `turn` again, from its last checkpoint; False: it has not failed."""
        return await self._rows.reopen(execution_id, turn)

    async def checkpoint(self, claimed: ClaimedExecution, checkpoint: Checkpoint) -> ExecutionStatus:
        """Writes a checkpoint and returns the execution's status after it. Raises LeaseLost if another worker holds the
        execution, and StoreUnavailable if Postgres stays unavailable."""
        self._contents.measure(checkpoint)
        key = claimed.id, claimed.fence
        if checkpoint.status != "running":
            # Its transaction ends the lease. The jobs that follow are enqueued after it, which may take seconds, and a
            # renewal meanwhile finds no lease. Only the checkpoint knows whether the lease was lost.
            self._leaving.add(key)
        try:
            status = await self._write(claimed, checkpoint)
        except BaseException:
            self._leaving.discard(key)
            raise
        if status is None:
            FENCES_LOST.inc()
            raise LeaseLost(f"execution {claimed.id}")
        execution_outcomes.report(claimed, checkpoint, status)
        return status

    async def _write(self, claimed: ClaimedExecution, checkpoint: Checkpoint) -> ExecutionStatus | None:
        """The status after the checkpoint; None: the fence is lost. Raises StoreUnavailable after some attempts."""
        failures = 0
        while True:
            try:
                return await self._checkpoints.add((claimed, checkpoint))
            except StoreUnavailable as error:
                waits_s = _LOCKED_WAITS_S if isinstance(error, StoreBusy) else _RETRY_WAITS_S
                if failures >= len(waits_s):
                    raise
                # The same checkpoint may be written twice: its rows have keys, and its fence is the same.
                await asyncio.sleep(waits_s[failures])
                failures += 1

    @asynccontextmanager
    async def hold(self, claimed: ClaimedExecution) -> AsyncIterator[ClaimedExecution]:
        """Renews the lease while the block runs, and loads the content. Raises LeaseLost in the block if the lease is
        lost, and RetryLater before it, without using an attempt, if there is no memory for the content.

        Raises StoreUnavailable at the end if jobs of its checkpoints could not be enqueued: the job that runs the block
        is then retried, and enqueues them before the next job of its group. If the block raises NewerVersionRequired,
        the lease ends at once.
        """
        key = claimed.id, claimed.fence
        task = asyncio.current_task()
        assert task is not None, "runs in a task"  # noqa: S101 - for the type checker
        self._held[key] = task
        try:
            async with self._contents.hold(claimed) as loaded:
                yield loaded
            if claimed.id in self._not_enqueued:
                raise StoreUnavailable("redis", "the jobs of a checkpoint could not be enqueued")
        except asyncio.CancelledError:
            if key in self._lost and task.uncancel() == 0:
                raise LeaseLost(f"execution {claimed.id}") from None
            self._interrupted.add(key)
            raise
        except (NewerVersionRequired, NoRoom) as error:
            # The job waits for a newer worker, or for memory, and its next run must not wait for the lease too.
            self._interrupted.add(key)
            with contextlib.suppress(StoreUnavailable):
                await self._release_interrupted()
            if isinstance(error, NoRoom):
                reason = "no memory for the execution's state"
                raise RetryLater(reason, delay_s=NO_ROOM_WAIT_S, uses_attempt=False) from None
            raise
        finally:
            self._held.pop(key, None)
            self._lost.discard(key)
            self._leaving.discard(key)
            self._not_enqueued.discard(claimed.id)

    async def keep_leases(self) -> None:
        """Renews the leases until it is cancelled.

        While Postgres is unavailable, no worker can claim an execution. After that, the fence decides.
        """
        await periodic("execution-leases", self.renew_once, min(RENEW_EVERY_S, self._lease_s / 3), wait_first=True)

    async def renew_once(self) -> None:
        """Renews all held leases in one statement and stops the runs whose lease is lost. Ends the leases of
        interrupted runs. Raises StoreUnavailable."""
        held = list(self._held)
        await self._release_interrupted()
        if not held:
            return
        kept = await self._rows.renew(held, self._lease_s)
        self._cancelling = await self._rows.cancel_requested([execution_id for execution_id, _ in held])
        self._stop(key for key in held if key[0] not in kept and key not in self._leaving)

    def is_cancelling(self, execution_id: UUID) -> bool:
        """Whether the cancellation of a held execution was requested before the last renewal."""
        return execution_id in self._cancelling

    def must_pause(self, execution_id: UUID) -> bool:
        """Whether a held execution should end its run at its next node: its cancellation was requested, or the process
        holds too many bytes."""
        return self.is_cancelling(execution_id) or self._contents.must_leave(execution_id)

    async def drain(self) -> None:
        """Waits for the statements that are in progress, and ends the leases of interrupted runs."""
        await self._claims.drain()
        await self._checkpoints.drain()
        with contextlib.suppress(StoreUnavailable):
            await self._release_interrupted()

    async def _release_interrupted(self) -> None:
        """Ends the leases of runs that were interrupted, because the job's lease was lost or its time was over. No run
        of these executions is left in this process, so another worker need not wait until the leases expire."""
        if self._interrupted:
            released, self._interrupted = self._interrupted, set()
            await self._rows.renew(list(released), 0.0)

    def _stop(self, lost: Iterable[tuple[UUID, int]]) -> None:
        for key in lost:
            task = self._held.get(key)
            if task is not None:
                self._lost.add(key)
                task.cancel()

    async def _claim_many(self, turns: Sequence[tuple[UUID, int]]) -> Sequence[ClaimedExecution | BaseException | None]:
        return await self._rows.claim_many(turns, self._owner, self._lease_s)

    async def _checkpoint_many(self, written: Sequence[Written]) -> Sequence[ExecutionStatus | BaseException | None]:
        statuses = await self._rows.checkpoint_many([checkpoint for _, checkpoint in written])
        kept = [pair for pair, status in zip(written, statuses, strict=True) if isinstance(status, str)]
        if not await self._outbox.enqueue(kept):
            self._not_enqueued.update(claimed.id for claimed, _ in kept)
        return statuses

    async def _enqueue_unsent(self, execution_ids: Sequence[UUID]) -> Sequence[None]:
        notifications = await self._rows.unfinished_notifications(execution_ids)
        if notifications:
            await self._outbox.enqueue_notifications(notifications)
        return [None] * len(execution_ids)


def _size(claimed: ClaimedExecution) -> int:
    texts = (
        claimed.trigger,
        claimed.state,
        claimed.start_state,
        claimed.conversation_vars,
        claimed.reply,
        claimed.call,
    )
    return sum(size_in_memory(text.encode()) for text in texts if text)
