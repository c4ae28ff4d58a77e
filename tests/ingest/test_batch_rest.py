"""While the stores are busy, receiving leaves them to the work on earlier events between two statements."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from filas.contract.new_job import NewJob
from filas.models.events import EventReceipt, NewEvent
from filas.queue.producer import EnqueueOutcome
from ingest.receive.acceptor import Acceptor
from ingest.receive.batch_rest import LONG_S, LONGEST_REST_S, MANY_EVENTS, rest_after
from tests.ingest.test_outages import incoming, new_event

WRITE_S = 2 * LONG_S


@pytest.mark.parametrize(
    ("events", "took_s", "rest_s"),
    [
        (MANY_EVENTS, LONG_S, 3 * LONG_S),
        (MANY_EVENTS - 1, 1.0, 0.0),
        (500, LONG_S - 0.001, 0.0),
        (500, 1.0, LONGEST_REST_S),
    ],
)
def test_only_many_events_that_took_long_are_followed_by_a_rest(events: int, took_s: float, rest_s: float) -> None:
    assert rest_after(events, took_s) == rest_s


class SlowEvents:
    """Writes each batch in WRITE_S, and keeps when it began and ended, and how many events it had."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, float, int]] = []

    async def insert_many(self, events: Sequence[NewEvent]) -> Sequence[EventReceipt | Exception]:
        """All events are new."""
        began = time.monotonic()
        await asyncio.sleep(WRITE_S)
        self.calls.append((began, time.monotonic(), len(events)))
        return [EventReceipt(id=event.id, duplicate=False) for event in events]

    async def wait_ready(self, timeout_s: float) -> None:
        """Is always ready."""


class Jobs:
    """Takes every job."""

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """All jobs are new."""
        return [EnqueueOutcome.ENQUEUED] * len(jobs)


async def test_a_large_batch_is_answered_before_the_rest_and_the_next_one_begins_after_it() -> None:
    """No event is lost or refused. At the end, the acceptor drains without waiting for more events."""
    store = SlowEvents()
    acceptor = Acceptor(store, Jobs())
    first = [acceptor.accept(incoming(new_event(number))) for number in range(MANY_EVENTS)]
    await asyncio.sleep(0)  # the first batch is taken
    await asyncio.sleep(0)
    second = [acceptor.accept(incoming(new_event(number))) for number in range(100, 110)]
    await asyncio.gather(*first)
    assert not any(receipt.done() for receipt in second)
    assert len(store.calls) == 1
    receipts = await asyncio.gather(*second)
    assert [receipt.event_id for receipt in receipts] == [new_event(number).id for number in range(100, 110)]
    (_, ended, many), (began, _, few) = store.calls
    assert (many, few) == (MANY_EVENTS, 10)
    assert began - ended >= WRITE_S
    await acceptor.drain()
