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

from filas.batching import MicroBatcher
from filas.errors import FilasError, StoreUnavailable
from filas.logs import get_logger
from filas.metrics import WEBHOOK_BATCH_SIZE
from filas.models import EventReceipt, NewEvent
from filas.policies import WEBHOOKS
from filas.queue.producer import EnqueueOutcome, NewJob

log = get_logger(__name__)

AWAY_S = 1.0
"""How long a store that has failed is not asked, as long as there is the other one."""


class NotStorable(FilasError):
    """This one event can't be written, whatever the state of the stores."""


class EventStore(Protocol):
    """Where events are written."""

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """One answer an event, in order. Raises StoreUnavailable."""


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


@dataclass(frozen=True, slots=True)
class _Put:
    job: NewJob
    recorded: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told. Of a duplicate: the first one's ids."""

    event_id: UUID
    job_id: str
    duplicate: bool


class Acceptor:
    """Accepts arrivals. A receipt means that the event survives the loss of any one store."""

    def __init__(self, events: EventStore, jobs: JobStore, *, limit: int = 500, timeout_s: float = 3.0) -> None:
        self._events = events
        self._jobs = jobs
        self._timeout_s = timeout_s
        self._postgres_away_until = 0.0
        self._redis_away_until = 0.0
        self._writes: MicroBatcher[NewEvent, EventReceipt] = MicroBatcher(self._write, limit=limit)
        self._puts: MicroBatcher[_Put, EnqueueOutcome] = MicroBatcher(self._put, limit=limit)

    async def accept(self, arrival: Arrival) -> Receipt:
        """Write the event, then put its job.

        Raises StoreUnavailable when neither store takes it, and NotStorable when this very event can't be.
        """
        event = arrival.event
        recorded = True
        try:
            receipt = await self._writes.add(event)
        except StoreUnavailable:
            recorded = False
        else:
            if receipt.duplicate:
                # Whoever came first has put the job, or the relay will.
                return Receipt(receipt.id, WEBHOOKS.job_id(str(receipt.id)), True)
        job = arrival.job(recorded)
        try:
            outcome = await self._puts.add(_Put(job, recorded))
        except StoreUnavailable:
            if not recorded:
                raise
            return Receipt(event.id, job.job_id, False)  # the relay puts it when Redis is back
        if outcome is EnqueueOutcome.REFUSED:
            raise NotStorable("this request can't be put into a queue")
        # A job under this id was there already: with Postgres away, that is how a duplicate shows.
        return Receipt(event.id, job.job_id, not recorded and outcome is EnqueueOutcome.DUPLICATE)

    async def accept_many(self, arrivals: Sequence[Arrival]) -> list[Receipt | BaseException]:
        """Accept each of `arrivals`, in their order; an answer that is an exception is that of its arrival alone."""
        if len(arrivals) == 1:
            try:
                return [await self.accept(arrivals[0])]
            except Exception as error:  # the caller's to tell apart, as with many
                return [error]
        tasks = [asyncio.ensure_future(self.accept(arrival)) for arrival in arrivals]
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Wait until whatever is under way has its answer."""
        await self._writes.drain()
        await self._puts.drain()

    async def _write(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | BaseException]:
        if time.monotonic() < self._postgres_away_until:
            raise StoreUnavailable("postgres", "it has failed within the last second")
        WEBHOOK_BATCH_SIZE.observe(len(events))
        try:
            async with asyncio.timeout(self._timeout_s):
                answers = await self._events.insert_many(list(events))
        except (StoreUnavailable, TimeoutError) as error:
            self._postgres_away_until = time.monotonic() + AWAY_S
            reason = error.reason if isinstance(error, StoreUnavailable) else "timeout"
            log.warning("acceptance.postgres_away", reason=reason, events=len(events))
            raise StoreUnavailable("postgres", reason) from None
        return [_answer(event, answer) for event, answer in zip(events, answers, strict=True)]

    async def _put(self, puts: Sequence[_Put]) -> Sequence[EnqueueOutcome]:
        """Put a batch. What is in Postgres already waits for no Redis that is away; the rest has nothing else."""
        can_wait = all(put.recorded for put in puts)
        if can_wait and time.monotonic() < self._redis_away_until:
            raise StoreUnavailable("redis", "it has failed within the last second")
        try:
            async with asyncio.timeout(self._timeout_s if can_wait else None):
                return await self._jobs.enqueue_many([put.job for put in puts])
        except (StoreUnavailable, TimeoutError) as error:
            self._redis_away_until = time.monotonic() + AWAY_S
            reason = error.reason if isinstance(error, StoreUnavailable) else "timeout"
            log.warning("acceptance.redis_away", reason=reason, jobs=len(puts))
            raise StoreUnavailable("redis", reason) from None


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


def _answer(event: NewEvent, answer: EventReceipt | Exception) -> EventReceipt | BaseException:
    if isinstance(answer, EventReceipt | StoreUnavailable):
        return answer
    log.error("acceptance.not_storable", webhook_id=event.webhook_id, event_id=str(event.id), error=str(answer)[:200])
    return NotStorable("this request can't be stored")
