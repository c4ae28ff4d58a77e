"""Acceptance: many requests a statement, Postgres first, else Redis, else nobody says 200.

Two stages, each a batch at a time, so that the next requests are written to Postgres while the jobs of the last
ones go to Redis. Both keep the order of arrival: a conversation's jobs are put in the order of their requests.
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

log = get_logger(__name__)

AWAY_S = 1.0
"""How long a store that let us wait is not asked, as long as there is the other one."""

LAST_RESORT_S = 2.0
"""How long a sender is kept waiting for Postgres when both stores are away: one that restarts may be back."""


class NotStorable(FilasError):
    """This one event can't be written, whatever the state of the stores."""


class EventStore(Protocol):
    """Where events are written."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """One answer an event, in order. Raises StoreUnavailable, at once where the store is known to be away."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until events can be written. Raises StoreUnavailable."""


class JobStore(Protocol):
    """Where jobs are put."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """One outcome a job, in order. Raises StoreUnavailable."""


@dataclass(slots=True)
class Arrival:
    """A request to be accepted: its event, and how to make the event's job once it is known whether the
    event's row was written (`recorded`)."""

    event: NewEvent
    job: Callable[[bool], NewJob]


@dataclass(slots=True)
class Receipt:
    """What the sender is told. Of a duplicate: the first one's ids."""

    event_id: UUID
    job_id: str
    duplicate: bool


@dataclass(slots=True)
class _Waiting:
    """An arrival on its way. `recorded`: its event is in Postgres; `job` is known from then on."""

    arrival: Arrival
    receipt: "asyncio.Future[Receipt]"
    recorded: bool = False
    job: NewJob | None = None


class Acceptor:
    """Accepts arrivals. A receipt means that the event survives the loss of any one store.

    `write_later` is given each event that Redis alone has, for the time when Postgres is back.
    """

    def __init__(
        self,
        events: EventStore,
        jobs: JobStore,
        *,
        limit: int = 500,
        timeout_s: float = 3.0,
        write_later: Callable[[NewEvent], None] | None = None,
    ) -> None:
        self._events = events
        self._write_later = write_later
        self._jobs = jobs
        self._timeout_s = timeout_s
        # Kept: on Python 3.11 to ask for it is a system call, and here it would be one a request.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._postgres_away_until = 0.0
        self._redis_away_until = 0.0
        self._both_away_until = 0.0
        self._mute_until = 0.0
        self._writes: Batches[_Waiting] = Batches(self._write, limit=limit, size_of=_size)
        self._puts: Batches[_Waiting] = Batches(self._put, limit=limit, size_of=_size)

    def accept(self, arrival: Arrival) -> "asyncio.Future[Receipt]":
        """Write the event, then put its job.

        The future raises StoreUnavailable when neither store takes it, and NotStorable when this very event
        can't be.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        self._writes.put(_Waiting(arrival, receipt))
        return receipt

    async def accept_many(self, arrivals: Sequence[Arrival]) -> list[Receipt | BaseException]:
        """Accept each of `arrivals`, in their order; an answer that is an exception is that of its arrival alone."""
        return await asyncio.gather(*map(self.accept, arrivals), return_exceptions=True)

    async def drain(self) -> None:
        """Wait until whatever is under way has its answer."""
        await self._writes.drain()
        await self._puts.drain()

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """Write the events of a batch, and hand on what needs a job."""
        batch = [waiting for waiting in batch if not waiting.receipt.done()]
        try:
            answers = await self._insert([waiting.arrival.event for waiting in batch])
        except Exception as error:  # whatever it is: there is the other store
            if not isinstance(error, StoreUnavailable):
                log.error("acceptance.write_failed", events=len(batch), exc_info=error)
            for waiting in batch:
                self._hand_on(waiting, recorded=False)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, EventReceipt):
                if answer.duplicate:
                    # Whoever came first has put the job, or the relay will.
                    _tell(waiting, _left_to_the_relay(waiting, duplicate=True))
                else:
                    self._hand_on(waiting, recorded=True)
            elif isinstance(answer, StoreUnavailable):
                self._hand_on(waiting, recorded=False)
            else:
                _fail([waiting], _not_storable(waiting.arrival.event, answer))

    async def _insert(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        if time.monotonic() < self._postgres_away_until:
            raise StoreUnavailable("postgres", "it has let us wait within the last second")
        WEBHOOK_BATCH_SIZE.observe(len(events))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._events.insert_many(events)
        except TimeoutError:
            self._postgres_away_until = time.monotonic() + AWAY_S
            failure = StoreUnavailable("postgres", "timeout")
        except StoreUnavailable as error:
            failure = error
        if time.monotonic() >= self._mute_until:
            self._mute_until = time.monotonic() + AWAY_S
            log.warning("acceptance.postgres_away", reason=failure.reason, events=len(events))
        raise failure

    def _hand_on(self, waiting: _Waiting, *, recorded: bool) -> None:
        waiting.recorded = recorded
        try:
            waiting.job = waiting.arrival.job(recorded)
        except Exception as error:  # this one's, not its neighbours'
            _fail([waiting], error)
        else:
            self._puts.put(waiting)

    async def _put(self, batch: Sequence[_Waiting]) -> None:
        """Put the jobs of a batch."""
        jobs = [waiting.job for waiting in batch if waiting.job is not None]
        try:
            outcomes = await self._enqueue(jobs, can_wait=all(waiting.recorded for waiting in batch))
        except Exception as error:  # whatever it is: there is the other store
            if not isinstance(error, StoreUnavailable):
                log.error("acceptance.put_failed", jobs=len(jobs), exc_info=error)
            for waiting in batch:
                if waiting.recorded:
                    _tell(waiting, _left_to_the_relay(waiting))
            await self._write_at_last([waiting for waiting in batch if not waiting.recorded], error)
            return
        for waiting, job, outcome in zip(batch, jobs, outcomes, strict=True):
            if outcome is EnqueueOutcome.REFUSED:
                _fail([waiting], NotStorable("this request can't be put into a queue"))
                continue
            # A job under this id was there already: with Postgres away, that is how a duplicate shows.
            duplicate = not waiting.recorded and outcome is EnqueueOutcome.DUPLICATE
            if not waiting.recorded and not duplicate and self._write_later is not None:
                self._write_later(waiting.arrival.event)
            _tell(waiting, Receipt(waiting.arrival.event.id, job.job_id, duplicate))

    async def _write_at_last(self, batch: Sequence[_Waiting], failure: Exception) -> None:
        """Neither store took these. One may be coming back in this very moment: Postgres is waited for, briefly."""
        if not batch:
            return
        try:
            if time.monotonic() < self._both_away_until:
                raise failure
            await self._events.wait_ready(LAST_RESORT_S)
            self._postgres_away_until = 0.0
            answers = await self._insert([waiting.arrival.event for waiting in batch])
        except Exception as error:  # the callers' to handle: each gets it
            if isinstance(error, StoreUnavailable) and error is not failure:
                self._both_away_until = time.monotonic() + AWAY_S
            _fail(batch, error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, EventReceipt):
                _tell(waiting, _left_to_the_relay(waiting, duplicate=answer.duplicate))
            else:
                event = waiting.arrival.event
                _fail([waiting], answer if isinstance(answer, StoreUnavailable) else _not_storable(event, answer))

    async def _enqueue(self, jobs: Sequence[NewJob], *, can_wait: bool) -> Sequence[EnqueueOutcome]:
        """What is in Postgres already (`can_wait`) waits for no Redis that is away; the rest has nothing else."""
        if can_wait and time.monotonic() < self._redis_away_until:
            raise StoreUnavailable("redis", "it has failed within the last second")
        try:
            async with asyncio.timeout(self._timeout_s if can_wait else None):
                return await self._jobs.enqueue_many(jobs)
        except (StoreUnavailable, TimeoutError) as error:
            self._redis_away_until = time.monotonic() + AWAY_S
            reason = error.reason if isinstance(error, StoreUnavailable) else "timeout"
            log.warning("acceptance.redis_away", reason=reason, jobs=len(jobs))
            raise StoreUnavailable("redis", reason) from None


def _left_to_the_relay(waiting: _Waiting, *, duplicate: bool = False) -> Receipt:
    """The receipt of an event that is in Postgres, and whose job the relay puts when Redis is back."""
    event_id = waiting.arrival.event.id
    return Receipt(event_id, webhook_job_id(event_id), duplicate)


def _size(waiting: _Waiting) -> int:
    """What a call is bounded by: five hundred bodies of a mebibyte in one statement would be half a gibibyte."""
    return len(waiting.arrival.event.body)


def _tell(waiting: _Waiting, receipt: Receipt) -> None:
    if not waiting.receipt.done():
        waiting.receipt.set_result(receipt)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.receipt.done():
            waiting.receipt.set_exception(error)


def receipt_of(parts: Sequence[Receipt | BaseException]) -> Receipt:
    """The answer to a body of these parts: that of the first new one, a duplicate when none is new.

    Raises the first failure: the sender comes again with the whole body, and the parts that are in are
    duplicates then.
    """
    receipts: list[Receipt] = []
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        receipts.append(part)
    return next((receipt for receipt in receipts if not receipt.duplicate), receipts[0])


def _not_storable(event: NewEvent, error: Exception) -> NotStorable:
    log.error("acceptance.not_storable", webhook_id=event.webhook_id, event_id=str(event.id), error=str(error)[:200])
    return NotStorable("this request can't be stored")
