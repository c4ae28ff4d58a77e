"""Acceptance: an event is written to Postgres, or else to Redis, before its request is answered with 200.

There are two stages, and each handles many events in one call: while the jobs of one batch are enqueued in Redis, the
events of the next batch are written to Postgres. Both keep the order of the requests, so the jobs of a conversation are
enqueued in the order of its requests.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from filas.batching import Batches
from filas.contract.jobs import webhook_job_id
from filas.contract.new_job import NewJob
from filas.errors import FilasError, StoreUnavailable
from filas.models.events import EventReceipt, NewEvent
from filas.observability.logs import get_logger
from filas.observability.metrics import WEBHOOK_BATCH_SIZE
from filas.queue.producer import EnqueueOutcome
from filas.store_watch import NO_ANSWER
from ingest.receive.batch_rest import rest_after
from ingest.receive.duplicate_recorder import DuplicateRecorder
from ingest.receive.duplicate_reports import DuplicateReports
from ingest.receive.missed_jobs import MissedJobs

log = get_logger(__name__)

SKIP_S = 1.0
"""How long a store that timed out or failed is not used, while the other store is available."""

LONGEST_SKIP_S = 8.0
"""The longest time that Postgres is not used after writes that timed out one after another."""

LAST_RESORT_S = 1.0
"""How long after its arrival a request waits for Postgres when both stores are unavailable: Postgres may be restarting.
After that, requests do not wait until a store has taken an event again."""


SHORTEST_RESORT_S = 0.25
"""How long a request waits for a Postgres that may be restarting at least, if it has waited for long already."""


class NotStorable(FilasError):
    """This event cannot be stored, whatever the state of the stores."""


class EventStore(Protocol):
    """Where events are written."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """Returns one result per event, in order. Raises StoreUnavailable, at once if that is known."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Waits until events can be written. Raises StoreUnavailable."""


class JobStore(Protocol):
    """Where jobs are enqueued."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """Returns one outcome per job, in order. Raises StoreUnavailable."""


@dataclass(slots=True)
class IncomingEvent:
    """An event to accept. `job` makes its job; the argument is whether the event's row was written (`recorded`).
    `is_status`: it is a delivery receipt."""

    event: NewEvent
    job: Callable[[bool], NewJob]
    is_status: bool = False


@dataclass(slots=True)
class Receipt:
    """The ids of an accepted event. A duplicate has the ids of the first event. `conflict`: it has the duplicate key of
    the first event, and another content."""

    event_id: UUID
    job_id: str
    duplicate: bool
    conflict: bool = False


@dataclass(slots=True)
class _PendingEvent:
    """An event that has no receipt yet. `arrived`: when, on the monotonic clock. `recorded`: its row is in Postgres.
    `job` is set after the first stage. `first`: it is a duplicate of this event, whose job may be missing."""

    incoming: IncomingEvent
    receipt: "asyncio.Future[Receipt]"
    arrived: float
    recorded: bool = False
    job: NewJob | None = None
    first: EventReceipt | None = None


class Acceptor:
    """Accepts events. A receipt means that the event survives the loss of any one store.

    `write_later` is called with each event that only Redis has, so that it is written when Postgres is available.
    `duplicates` counts the duplicates of each event.
    """

    def __init__(
        self,
        events: EventStore,
        jobs: JobStore,
        *,
        limit: int = 500,
        timeout_s: float = 1.0,
        write_later: Callable[[NewEvent], None] | None = None,
        duplicates: DuplicateRecorder | None = None,
    ) -> None:
        self._events = events
        self._write_later = write_later
        self._duplicates = DuplicateReports(recorder=duplicates)
        self._jobs = jobs
        self._timeout_s = timeout_s
        # Kept, because asyncio.get_running_loop() is a system call on Python 3.11, and would be made per request.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._missed = MissedJobs(jobs)
        self._postgres_skipped_until = 0.0
        self._postgres_skip_s = SKIP_S
        self._both_failed = False
        self._postgres_silent = False
        self._next_warning_at = 0.0
        self._next_redis_warning_at = 0.0
        self._writes: Batches[_PendingEvent] = Batches(self._write, limit=limit, size_of=_size)
        self._enqueues: Batches[_PendingEvent] = Batches(self._enqueue_batch, limit=limit, size_of=_size)

    def accept(self, incoming: IncomingEvent) -> "asyncio.Future[Receipt]":
        """Writes the event, then enqueues its job.

        The future raises StoreUnavailable if neither store is available, and NotStorable if this event can't be stored.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        self._writes.add(_PendingEvent(incoming, receipt, time.monotonic()))
        return receipt

    async def accept_many(self, events: Sequence[IncomingEvent]) -> list[Receipt | BaseException]:
        """Accepts `events` in their order. Returns the receipt or the exception of each one."""
        return await asyncio.gather(*map(self.accept, events), return_exceptions=True)

    async def drain(self) -> None:
        """Waits until every event has its receipt."""
        await self._writes.drain()
        await self._enqueues.drain()
        await self._missed.close()

    def postgres_took_events(self) -> None:
        """Another part of the process has written events: a Postgres that timed out is used again."""
        self._postgres_skipped_until, self._postgres_skip_s = 0.0, SKIP_S

    async def _write(self, batch: Sequence[_PendingEvent]) -> None:
        """First stage: writes the events of a batch. Those that need a job continue to the second stage."""
        batch = [waiting for waiting in batch if not waiting.receipt.done()]
        began = time.monotonic()
        try:
            answers = await self._insert([waiting.incoming.event for waiting in batch])
        except Exception as error:  # any failure: the other store is used
            if not isinstance(error, StoreUnavailable):
                log.error("acceptance.write_failed", events=len(batch), exc_info=error)
            for waiting in batch:
                self._to_second_stage(waiting, recorded=False)
            return
        rest_s = rest_after(len(batch), time.monotonic() - began)
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, EventReceipt):
                if not answer.duplicate:
                    self._to_second_stage(waiting, recorded=True)
                elif answer.unfinished:
                    # A process that was killed may have written the event without enqueuing its job. The next events of
                    # its conversation must not overtake it.
                    waiting.first = answer
                    self._to_second_stage(waiting, recorded=True)
                else:
                    _resolve(waiting, self._duplicate_of(waiting, answer))
            elif isinstance(answer, StoreUnavailable):
                self._to_second_stage(waiting, recorded=False)
            else:
                _fail([waiting], _not_storable(waiting.incoming.event, answer))
        if rest_s:
            await asyncio.sleep(rest_s)

    async def _insert(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        if time.monotonic() < self._postgres_skipped_until:
            raise StoreUnavailable("postgres", "a write timed out a moment ago")
        WEBHOOK_BATCH_SIZE.observe(len(events))
        try:
            async with asyncio.timeout(self._timeout_s):
                answers = await self._events.insert_many(events)
        except TimeoutError:
            # The server may answer other statements, so that its circuit is closed: the table is locked, for example.
            self._postgres_skipped_until = time.monotonic() + self._postgres_skip_s
            self._postgres_skip_s = min(2 * self._postgres_skip_s, LONGEST_SKIP_S)
            failure = StoreUnavailable("postgres", "timeout")
        except StoreUnavailable as error:
            failure = error
        else:
            self._postgres_skip_s, self._both_failed = SKIP_S, False
            return answers
        self._postgres_silent = failure.reason == NO_ANSWER
        if time.monotonic() >= self._next_warning_at:
            self._next_warning_at = time.monotonic() + SKIP_S
            log.warning("acceptance.postgres_unavailable", reason=failure.reason, events=len(events))
        raise failure

    def _to_second_stage(self, waiting: _PendingEvent, *, recorded: bool) -> None:
        waiting.recorded = recorded
        try:
            waiting.job = waiting.incoming.job(recorded)
        except Exception as error:  # it concerns this event only
            _fail([waiting], error)
        else:
            self._enqueues.add(waiting)

    async def _enqueue_batch(self, batch: Sequence[_PendingEvent]) -> None:
        """Second stage: enqueues the jobs of a batch."""
        if self._missed.is_waiting:
            # Redis does not take jobs now, and the jobs of a conversation are enqueued in their order.
            batch = [waiting for waiting in batch if not self._enqueue_later(waiting)]
            if not batch:
                return
        jobs = [waiting.job for waiting in batch if waiting.job is not None]
        try:
            outcomes = await self._enqueue(jobs)
        except Exception as error:  # any failure: the other store is used
            if not isinstance(error, StoreUnavailable):
                log.error("acceptance.enqueue_failed", jobs=len(jobs), exc_info=error)
            await self._write_as_last_resort([one for one in batch if not self._enqueue_later(one)], error)
            return
        for waiting, job, outcome in zip(batch, jobs, outcomes, strict=True):
            if outcome is EnqueueOutcome.REFUSED:
                _fail([waiting], NotStorable("the event's job cannot be enqueued"))
                continue
            if waiting.first is not None:
                _resolve(waiting, self._duplicate_of(waiting, waiting.first))
                continue
            # While Postgres is unavailable, a duplicate is known by its job, which is in the queue already.
            duplicate = not waiting.recorded and outcome is EnqueueOutcome.DUPLICATE
            if duplicate:
                self._duplicates.report(
                    waiting.incoming.event, EventReceipt(id=waiting.incoming.event.id, duplicate=True)
                )
            if not waiting.recorded and not duplicate and self._write_later is not None:
                self._write_later(waiting.incoming.event)
            _resolve(waiting, Receipt(waiting.incoming.event.id, job.job_id, duplicate))

    async def _write_as_last_resort(self, batch: Sequence[_PendingEvent], failure: Exception) -> None:
        """Neither store has accepted these events. Waits briefly for Postgres, which may be restarting."""
        if not batch:
            return
        try:
            was_skipped = time.monotonic() < self._postgres_skipped_until
            # A Postgres that does not answer is not waited for a second time.
            if (self._both_failed or self._postgres_silent) and not was_skipped:
                raise failure
            wait_s = batch[0].arrived + LAST_RESORT_S - time.monotonic()
            await self._events.wait_ready(max(wait_s, SHORTEST_RESORT_S))
            self._postgres_skipped_until = 0.0
            answers = await self._insert([waiting.incoming.event for waiting in batch])
        except Exception as error:  # each request gets the error
            self._both_failed = isinstance(error, StoreUnavailable)
            _fail(batch, error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, EventReceipt) and answer.duplicate:
                _resolve(waiting, self._duplicate_of(waiting, answer))
            elif isinstance(answer, EventReceipt):
                # Its job is not left to the relay: the next events of its conversation must not overtake it.
                waiting.recorded = True
                self._enqueue_later(waiting)
            else:
                event = waiting.incoming.event
                _fail([waiting], answer if isinstance(answer, StoreUnavailable) else _not_storable(event, answer))

    def _duplicate_of(self, waiting: _PendingEvent, first: EventReceipt) -> Receipt:
        """Returns the receipt of an event that is a duplicate of `first`."""
        self._duplicates.report(waiting.incoming.event, first)
        return Receipt(first.id, webhook_job_id(first.id), duplicate=True, conflict=first.conflict)

    async def _enqueue(self, jobs: Sequence[NewJob]) -> Sequence[EnqueueOutcome]:
        try:
            async with asyncio.timeout(self._timeout_s):
                outcomes = await self._jobs.enqueue_many(jobs)
        except (StoreUnavailable, TimeoutError) as error:
            reason = error.reason if isinstance(error, StoreUnavailable) else "timeout"
            if time.monotonic() >= self._next_redis_warning_at:
                self._next_redis_warning_at = time.monotonic() + SKIP_S
                log.warning("acceptance.redis_unavailable", reason=reason, jobs=len(jobs))
            raise StoreUnavailable("redis", reason) from None
        self._both_failed = False
        return outcomes

    def _enqueue_later(self, waiting: _PendingEvent) -> bool:
        """Gives the receipt of an event that is in Postgres, and enqueues its job when Redis answers. False for another
        event."""
        if waiting.recorded and waiting.job is not None:
            self._missed.add(waiting.job, _size(waiting))
            first = waiting.first
            _resolve(waiting, _receipt_before_job(waiting) if first is None else self._duplicate_of(waiting, first))
        return waiting.recorded


def _receipt_before_job(waiting: _PendingEvent) -> Receipt:
    """Returns the receipt of an event that is in Postgres, and whose job the relay enqueues if Redis has lost it."""
    event_id = waiting.incoming.event.id
    return Receipt(event_id, webhook_job_id(event_id), duplicate=False)


def _size(waiting: _PendingEvent) -> int:
    """Returns what an event counts for in the bound of a batch: 500 bodies of 1 MiB would be half a GiB."""
    return len(waiting.incoming.event.body)


def _resolve(waiting: _PendingEvent, receipt: Receipt) -> None:
    if not waiting.receipt.done():
        waiting.receipt.set_result(receipt)


def _fail(batch: Sequence[_PendingEvent], error: Exception) -> None:
    for waiting in batch:
        if not waiting.receipt.done():
            waiting.receipt.set_exception(error)


def receipt_of(parts: Sequence[Receipt | BaseException]) -> Receipt:
    """Returns the receipt of the first new part of a body; if no part is new, that of the first part. A conflict of any
    part is a conflict of the body.

    Raises the first failure. The sender then sends the whole body again, and its accepted parts are duplicates.
    """
    receipts: list[Receipt] = []
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        receipts.append(part)
    found = next((receipt for receipt in receipts if not receipt.duplicate), receipts[0])
    found.conflict = any(receipt.conflict for receipt in receipts)
    return found


def _not_storable(event: NewEvent, error: Exception) -> NotStorable:
    log.error("acceptance.not_storable", webhook_id=event.webhook_id, event_id=str(event.id), error=str(error)[:200])
    return NotStorable("the event cannot be stored")
