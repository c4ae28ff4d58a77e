"""The executions of this worker: claimed and written many in one statement, and renewed while they run.

The rows are the outbox: the jobs that a checkpoint calls for are put after its transaction. When the process
dies in between, or Redis is away, the relay finds the rows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from filas.batching import MicroBatcher
from filas.contract.policies import LEASE_S
from filas.errors import LeaseLost, StoreUnavailable
from filas.models.executions import (
    FINAL_EXECUTION_STATUSES,
    Checkpoint,
    ClaimedExecution,
    DueExecution,
    ExecutionStatus,
)
from filas.models.notifications import DueNotification
from filas.observability import logs
from filas.observability.metrics import EXECUTIONS, FENCES_LOST, STEPS

log = logs.get_logger(__name__)

RENEW_EVERY_S = LEASE_S / 3
BATCH = 100
PARALLEL = 2
"""Two transactions under way: while one commits, the next is being filled and sent."""

_RETRY_WAITS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 2.0)
"""How long a checkpoint is tried again while Postgres is away: 5.85 s, so that a short absence repeats no
effect."""

Written = tuple[ClaimedExecution, Checkpoint]


class Outbox(Protocol):
    """Puts the jobs that written rows call for."""

    async def put(self, written: list[Written]) -> bool:
        """The jobs of these checkpoints; False: they could not be put."""

    async def put_notifications(self, notifications: Sequence[DueNotification]) -> None:
        """The jobs of these notifications, unless they are there. Raises StoreUnavailable."""


class ExecutionRows(Protocol):
    """What is needed of the repository."""

    async def claim_many(
        self, turns: Sequence[tuple[UUID, int]], owner: str, lease_s: float
    ) -> list[ClaimedExecution | BaseException | None]: ...

    async def checkpoint_many(
        self, checkpoints: Sequence[Checkpoint]
    ) -> Sequence[ExecutionStatus | BaseException | None]: ...

    async def unfinished_notifications(self, execution_ids: Iterable[UUID]) -> list[DueNotification]: ...

    async def renew(self, held: Sequence[tuple[UUID, int]], lease_s: float) -> set[UUID]: ...

    async def request_cancel(self, execution_id: UUID) -> DueExecution | None: ...

    async def reopen(self, execution_id: UUID, turn: int) -> bool: ...

    async def cancel_requested(self, execution_ids: Iterable[UUID]) -> set[UUID]: ...

    async def get(self, execution_id: UUID) -> object | None: ...


class Executions:
    """Claims, checkpoints and leases of one worker process, which is `owner`."""

    def __init__(self, rows: ExecutionRows, owner: str, outbox: Outbox, *, lease_s: float = LEASE_S) -> None:
        self._rows = rows
        self._owner = owner
        self._outbox = outbox
        self._lease_s = lease_s
        self._held: dict[tuple[UUID, int], asyncio.Task[object]] = {}
        self._lost: set[tuple[UUID, int]] = set()
        self._let_go: set[tuple[UUID, int]] = set()
        self._cancelling: set[UUID] = set()
        self._unput: set[UUID] = set()
        self._claims: MicroBatcher[tuple[UUID, int], ClaimedExecution | None] = MicroBatcher(
            self._claim_many, limit=BATCH, parallel=PARALLEL
        )
        self._unfinished: MicroBatcher[UUID, None] = MicroBatcher(self._put_again, limit=BATCH, parallel=PARALLEL)
        self._checkpoints: MicroBatcher[Written, ExecutionStatus | None] = MicroBatcher(
            self._checkpoint_many, limit=BATCH, parallel=PARALLEL
        )

    async def claim(self, execution_id: UUID, turn: int) -> ClaimedExecution | None:
        """The execution under this worker's lease; None: its turn has been had. Where it carries a message for
        which another execution waits, it is that other one.

        Raises RetryLater while somebody else holds it, and StoreUnavailable.
        """
        claimed = await self._claims.add((execution_id, turn))
        # Whoever had it before may have died, or lost Redis, between its transaction and the jobs of that. They are
        # put before anything else happens in the conversation.
        if claimed is None or claimed.state is not None:
            await self._unfinished.add(execution_id if claimed is None else claimed.id)
        return claimed

    async def request_cancel(self, execution_id: UUID) -> DueExecution | None:
        """Asks that the execution be ended; None: it has ended, or there is none."""
        return await self._rows.request_cancel(execution_id)

    async def exists(self, execution_id: UUID) -> bool:
        """Whether there is such an execution."""
        return await self._rows.get(execution_id) is not None

    async def reopen(self, execution_id: UUID, turn: int) -> bool:
        """Queues an execution that failed in `turn` again, from its last checkpoint; False: it has not failed."""
        return await self._rows.reopen(execution_id, turn)

    async def checkpoint(self, claimed: ClaimedExecution, checkpoint: Checkpoint) -> ExecutionStatus:
        """Writes a checkpoint and gives the status that the execution has then. Raises LeaseLost when somebody else
        holds the execution, and StoreUnavailable when Postgres stays away."""
        for wait_s in (*_RETRY_WAITS_S, None):
            try:
                status = await self._checkpoints.add((claimed, checkpoint))
                break
            except StoreUnavailable:
                if wait_s is None:
                    raise
                # The same checkpoint may be written twice: its rows have keys, and its fence is the same.
                await asyncio.sleep(wait_s)
        if status is None:
            FENCES_LOST.inc()
            raise LeaseLost(f"execution {claimed.id}")
        _count(checkpoint, status)
        return status

    @asynccontextmanager
    async def hold(self, claimed: ClaimedExecution) -> AsyncIterator[None]:
        """Keeps the lease alive while the block runs; raises LeaseLost in the block when it is gone.

        Raises StoreUnavailable in the end when jobs of its checkpoints could not be put: the job that runs the block
        is to come back, and puts them then, before the next one of its group.
        """
        key = claimed.id, claimed.fence
        task = asyncio.current_task()
        assert task is not None, "runs in a task"  # noqa: S101 - tells the type checker
        self._held[key] = task
        try:
            yield
            if claimed.id in self._unput:
                raise StoreUnavailable("redis", "the jobs of a checkpoint could not be put")
        except asyncio.CancelledError:
            if key in self._lost and task.uncancel() == 0:
                raise LeaseLost(f"execution {claimed.id}") from None
            self._let_go.add(key)
            raise
        finally:
            self._held.pop(key, None)
            self._lost.discard(key)
            self._unput.discard(claimed.id)

    async def keep_leases(self) -> None:
        """Renews every held lease in one statement, over and over, until cancelled."""
        while True:
            await asyncio.sleep(min(RENEW_EVERY_S, self._lease_s / 3))
            await self.renew_once()

    async def renew_once(self) -> None:
        """Renews what is held now, and stops what is not ours any more; ends the leases of what was interrupted."""
        held = list(self._held)
        try:
            await self._release()
            if not held:
                return
            kept = await self._rows.renew(held, self._lease_s)
            self._cancelling = await self._rows.cancel_requested([execution_id for execution_id, _ in held])
        except StoreUnavailable as error:
            # Nobody can claim while Postgres is away; after that the fence decides.
            log.warning("executions.renew_failed", held=len(held), store=error.store, reason=error.reason)
            return
        self._stop(key for key in held if key[0] not in kept)

    def is_cancelling(self, execution_id: UUID) -> bool:
        """Whether somebody wants a held execution ended, as far as the last renewal knows."""
        return execution_id in self._cancelling

    async def drain(self) -> None:
        """Waits for the statements under way, and ends the leases of what was interrupted."""
        await self._claims.drain()
        await self._checkpoints.drain()
        with contextlib.suppress(StoreUnavailable):
            await self._release()

    async def _release(self) -> None:
        """Whoever comes next need not wait until these leases run out: the job's own lease was lost, or its time was
        up, and nothing of the execution runs here."""
        if self._let_go:
            released, self._let_go = self._let_go, set()
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
        answers = await self._rows.checkpoint_many([checkpoint for _, checkpoint in written])
        kept = [pair for pair, answer in zip(written, answers, strict=True) if isinstance(answer, str)]
        if not await self._outbox.put(kept):
            self._unput.update(claimed.id for claimed, _ in kept)
        return answers

    async def _put_again(self, execution_ids: Sequence[UUID]) -> Sequence[None]:
        notifications = await self._rows.unfinished_notifications(execution_ids)
        if notifications:
            await self._outbox.put_notifications(notifications)
        return [None] * len(execution_ids)


def _count(checkpoint: Checkpoint, status: ExecutionStatus) -> None:
    """The metrics of what has been written."""
    for step in checkpoint.steps:
        if step.ended_at is not None:
            STEPS.labels(step.type, step.status).inc()
    if status in FINAL_EXECUTION_STATUSES:
        EXECUTIONS.labels(status).inc()
