"""Every page of rows is bounded in bytes, not only in rows, and its cursor continues the list."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from filas.contract.jobs import DeliveryReceiptJob
from filas.contract.policies import WEBHOOKS
from filas.errors import LeaseLost
from filas.models.configuration import FlowVersion
from filas.models.executions import ClaimedExecution, NewExecution
from filas.models.notifications import PendingReceipt
from filas.models.record import Page
from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.definitions.channels import ChannelRepository
from filas.repository.definitions.flows import FlowRepository
from filas.repository.definitions.webhooks import WebhookRepository
from filas.repository.delivery_receipts import DeliveryReceiptRepository
from filas.repository.event_filter import EventFilter
from filas.repository.events import MAX_UNFINISHED_BYTES, EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.executions.execution_search import ExecutionSearch
from filas.repository.executions.execution_view_sql import STEPS_BYTES
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres.database import Database
from filas.repository.postgres.json_columns import to_json
from filas.repository.postgres.paging import PAGE_BYTES
from tests.shared.repository.builders import (
    NOON,
    channel,
    checkpoint,
    claimed,
    dead_letter,
    event,
    notification,
    started,
    step,
    webhook,
)

LARGE = 300_000
ROWS = 10


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns the bytes of text that each statement has read."""
    read: list[int] = []
    fetch = Database.fetch

    async def counted(self: Database, sql: str, *arguments: object) -> list[asyncpg.Record]:
        rows = await fetch(self, sql, *arguments)
        read.append(sum(len(value) for row in rows for value in row.values() if isinstance(value, str | bytes)))
        return rows

    monkeypatch.setattr(Database, "fetch", counted)
    return read


async def walk(list_page: Callable[[str | None], Awaitable[Page]]) -> list[list[Any]]:
    """Returns the items of every page."""
    pages: list[list[Any]] = []
    cursor: str | None = None
    while True:
        page = await list_page(cursor)
        pages.append(list(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return pages


async def events(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    """Large events that compress well: what the table stores is a hundredth of what is read."""
    rows = EventRepository(database)
    await rows.insert_many([event(body=b"x" * LARGE) for _ in range(ROWS)])
    return lambda cursor: rows.search(EventFilter(), cursor=cursor, limit=500)


async def dead_letters(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    rows = DeadLetterRepository(database)
    await rows.insert_many([dead_letter(WEBHOOKS.name, b'{"a":"%b"}' % (b"x" * LARGE)) for _ in range(ROWS)])
    return lambda cursor: rows.list(cursor=cursor, limit=500)


async def notifications(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    held = await claimed(database)
    new = [notification(held.id, seq, payload={"text": "x" * LARGE}) for seq in range(1, ROWS + 1)]
    await ExecutionRepository(database).checkpoint_many([checkpoint(held, notifications=new)])
    return lambda cursor: NotificationRepository(database).search(cursor=cursor, limit=500)


async def executions(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    rows = ExecutionRepository(database)
    for _ in range(ROWS):
        held = await claimed(database)
        await rows.checkpoint_many([checkpoint(held, "succeeded", output="x" * LARGE)])
    return lambda cursor: ExecutionSearch(database).search(cursor=cursor, limit=500)


async def channels(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    rows = ChannelRepository(database)
    for number in range(ROWS):
        await rows.store(channel(f"c{number}", config={"text": "x" * LARGE}))
    return lambda cursor: rows.list(cursor, 500)


async def webhooks(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    rows = WebhookRepository(database)
    for number in range(ROWS):
        await rows.store(webhook(f"w{number}", config={"text": "x" * LARGE}))
    return lambda cursor: rows.list(cursor, 500)


async def versions(database: Database) -> Callable[[str | None], Awaitable[Page]]:
    rows = FlowRepository(database)
    for number in range(ROWS):
        await rows.store("f", {"n": number, "text": "x" * LARGE}, "F", publish=False)
    return lambda cursor: rows.versions("f", cursor, 500)


@pytest.mark.parametrize("table", [events, dead_letters, notifications, executions, channels, webhooks, versions])
async def test_a_page_of_large_rows_ends_early(
    database: Database,
    published: str,
    read_bytes: list[int],
    table: Callable[[Database], Awaitable[Callable[[str | None], Awaitable[Page]]]],
) -> None:
    """Every row is in exactly one page, and no statement reads more than a page and a row."""
    list_page = await table(database)
    read_bytes.clear()
    pages = await walk(list_page)
    ids = [one.version if isinstance(one, FlowVersion) else one.id for page in pages for one in page]
    assert len(ids) == len(set(ids)) == ROWS
    assert 2 <= len(pages) <= ROWS
    assert max(read_bytes) <= PAGE_BYTES + LARGE * 1.1


async def test_a_page_has_at_least_one_row(database: Database) -> None:
    """A row that is larger than a page is a page of its own. Small rows share pages as before."""
    rows = EventRepository(database)
    sizes = [3 * PAGE_BYTES, 10, 3 * PAGE_BYTES, *[10] * 30]
    await rows.insert_many(
        [event(body=b"x" * size, received_at=NOON - timedelta(seconds=at)) for at, size in enumerate(sizes)]
    )
    pages = await walk(lambda cursor: rows.search(EventFilter(), cursor=cursor, limit=20))
    assert [[len(one.body) for one in page] for page in pages] == [
        [3 * PAGE_BYTES],
        [10, 3 * PAGE_BYTES],
        [10] * 20,
        [10] * 10,
    ]


async def test_unfinished_events_are_read_in_pages_of_bounded_size(database: Database, read_bytes: list[int]) -> None:
    """The relay reads all of them, a few MiB at a time."""
    rows = EventRepository(database)
    await rows.insert_many([event(body=b"x" * 2**20) for _ in range(14)])
    seen: list[UUID] = []
    after = None
    while page := await rows.unfinished(0.0, 500, after):
        seen += [one.id for one in page]
        after = page[-1].id
    assert len(set(seen)) == len(seen) == 14
    assert max(read_bytes) <= MAX_UNFINISHED_BYTES + 1.1 * 2**20


async def test_replayable_dead_letters_are_read_in_pages_of_bounded_size(
    database: Database, read_bytes: list[int]
) -> None:
    """A redrive reads all of them, a MiB at a time."""
    await dead_letters(database)
    rows = DeadLetterRepository(database)
    read_bytes.clear()
    seen: list[UUID] = []
    after = None
    while page := await rows.replayable(after=after, limit=200):
        seen += [one.id for one in page]
        after = page[-1]
    assert len(set(seen)) == len(seen) == ROWS
    assert max(read_bytes) <= PAGE_BYTES + LARGE * 1.1


async def test_unrecorded_receipts_are_read_in_pages_of_bounded_size(
    database: Database, published: str, read_bytes: list[int]
) -> None:
    """A provider chooses the length of its ids and errors."""
    starts: list[tuple[UUID, list[NewExecution]]] = []
    receipts: dict[UUID, list[PendingReceipt]] = {}
    new = [event() for _ in range(ROWS)]
    await EventRepository(database).insert_many(new)
    for number, one in enumerate(new):
        job = DeliveryReceiptJob(channel_id="c", provider_id="x" * LARGE, status="sent", timestamp=0)
        starts.append((one.id, []))
        receipts[one.id] = [PendingReceipt(job_id=f"{number}", message=to_json(job))]
    await ExecutionRepository(database).start_many(starts, receipts)
    read_bytes.clear()
    rows, seen, after = DeliveryReceiptRepository(database), 0, None
    while page := await rows.unrecorded(0.0, 500, after):
        seen += len(page)
        after = f"{seen - 1}"
    assert seen == ROWS
    assert max(read_bytes) <= PAGE_BYTES + LARGE * 1.1


async def test_the_steps_of_an_execution_are_bounded_in_bytes(
    database: Database, published: str, read_bytes: list[int]
) -> None:
    """Every step is listed. Beyond the bound, inputs and outputs are left out and marked."""
    rows, held = ExecutionRepository(database), await claimed(database)
    steps = [step(seq, output="x" * LARGE) for seq in range(1, 13)]
    await rows.checkpoint_many([checkpoint(held, steps=steps)])
    read_bytes.clear()
    shown = await rows.get(held.id)
    assert shown is not None
    assert [one.seq for one in shown.steps] == list(range(1, 13))
    assert shown.steps[0].output == "x" * LARGE
    assert shown.steps[-1].output["truncated"] is True
    assert sum(read_bytes) <= STEPS_BYTES + LARGE * 1.1


async def test_a_claim_leaves_out_large_contents(database: Database, published: str, read_bytes: list[int]) -> None:
    """A claim of many executions returns small contents. A large one is loaded by itself, under the same fence."""
    rows = ExecutionRepository(database)
    trigger = to_json({"webhook": {"body": "x" * LARGE}})
    new = [await started(database, trigger=trigger if number % 2 else "{}") for number in range(ROWS)]
    read_bytes.clear()
    claims = await rows.claim_many([(one.id, 1) for one in new], "worker-1", 8.0)
    assert sum(read_bytes) < LARGE
    for number, claim in enumerate(claims):
        assert isinstance(claim, ClaimedExecution)
        assert claim.is_loaded == (number % 2 == 0)
        assert claim.content_bytes >= (LARGE if number % 2 else 2)
    large = claims[1]
    assert isinstance(large, ClaimedExecution)
    loaded = await rows.load(large)
    assert (loaded.trigger, loaded.is_loaded) == (trigger, True)
    with pytest.raises(LeaseLost):
        await rows.load(msgspec.structs.replace(large, fence=large.fence - 1))
