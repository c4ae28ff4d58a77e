"""The index of the words in events: what it finds, and that it misses no event."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.errors import StoreUnavailable
from filas.models.events import NewEvent
from filas.models.record import Page
from filas.observability import metrics
from filas.repository.event_filter import EventFilter
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from filas.repository.retention import Ages, Retention
from filas.repository.search import event_search, index_builder, segments
from filas.repository.search.event_words import words_of
from filas.repository.search.index_builder import IndexBuilder
from filas.repository.search.index_state import read_search_state
from filas.repository.search.index_store import Advance, BuilderReplaced, IndexStore
from filas.repository.search.segments import Segment, SegmentDraft, merged, to_merge
from filas.repository.search.word_parts import decoded
from filas.service.search_index import build_search_index
from filas.settings.process_settings import IngestServeSettings
from filas.settings.settings_reader import load
from tests.shared.repository.builders import end_events, event
from tests.waiting import eventually

NOW = datetime.now(UTC).replace(microsecond=0)
AGO = NOW - timedelta(hours=1)


def builder(database: Database, owner: str = "one", **changes: Any) -> IndexBuilder:
    """A builder without pauses, for which every event is old enough."""
    options: dict[str, Any] = {"pause_share": 0.0, "grace": timedelta(0)}
    return IndexBuilder(IndexStore(database, owner), **(options | changes))


async def built(database: Database, one: IndexBuilder | None = None) -> None:
    """Builds until nothing is left to do. The first time, the events of the last two hours are not old."""
    one = one or builder(database)
    if await one.store.acquire():
        await one.store.begin(NOW - timedelta(hours=2), NOW - timedelta(hours=2))

    async def complete() -> bool:
        return await one.build()

    await eventually(complete, 30)


async def stored(database: Database, bodies: Sequence[str], start: datetime = AGO, **changes: Any) -> list[NewEvent]:
    """Events with these bodies, a second apart, the oldest first."""
    rows = [
        event(body=body.encode(), received_at=start + timedelta(seconds=number), **changes)
        for number, body in enumerate(bodies)
    ]
    await EventRepository(database).insert_many(rows)
    return rows


async def write_segment(database: Database, rows: Sequence[NewEvent]) -> None:
    """Writes a segment of these events, whatever the builder has read."""
    draft, store = SegmentDraft(), IndexStore(database, "one")
    for one in rows:
        draft.add(one.received_at, one.id, words_of(msgspec.structs.asdict(one)))
    assert await store.acquire()
    await store.write(draft.finish())


async def pages(database: Database, limit: int = 50, **wanted: Any) -> list[UUID]:
    """The ids on all pages of a search."""
    rows, found, cursor = EventRepository(database), [], None
    while True:
        page: Page = await rows.search(EventFilter(**wanted), cursor=cursor, limit=limit)
        found += [one.id for one in page.items]
        assert len(page.items) <= limit
        if page.next_cursor is None:
            return found
        assert page.next_cursor != cursor
        cursor = page.next_cursor


async def indexed(database: Database) -> list[UUID]:
    """The ids of the events in the index."""
    rows = await database.fetch("select ids from search_segments")
    return [UUID(bytes=one) for row in rows for one in segments.ids_of(row["ids"])]


async def old_events(database: Database, bodies: Sequence[str], **changes: Any) -> list[NewEvent]:
    """Events that are there before the index is built for the first time."""
    rows = await stored(database, bodies, **changes)
    await built(database)
    return rows


async def test_the_newest_come_first_on_every_page(database: Database) -> None:
    """Through several segments, without gap or repetition, also at equal times."""
    bodies = [f'{{"n":{number},"color":"{"red" if number % 3 else "green"}"}}' for number in range(40)]
    rows = await stored(database, bodies[:15])
    await built(database)
    for part in (bodies[15:30], bodies[30:]):
        late = await stored(database, part, AGO + timedelta(seconds=9))
        await write_segment(database, late)
        rows += late
    ordered = [one.id for one in sorted(rows, key=lambda one: (one.received_at, one.id), reverse=True)]
    red = {one.id for one in rows if b"red" in one.body}
    for limit in (1, 7, 50):
        assert await pages(database, limit, words=["red"]) == [one for one in ordered if one in red]
        assert await pages(database, limit, words=["red", "color"]) == [one for one in ordered if one in red]
        assert await pages(database, limit, words=["color"]) == ordered
    assert await pages(database, words=["red", "green"]) == []
    assert await pages(database, words=["blue"]) == []


async def test_the_other_filters_apply_too(database: Database) -> None:
    """Webhook, status, reason, time, id."""
    one, two, three = await old_events(database, ['{"t":"word one"}', '{"t":"word two"}', '{"t":"word three"}'])
    [other] = await stored(database, ['{"t":"word"}'], webhook_id="other")
    await write_segment(database, [other])
    await end_events(database, two.id)
    assert await pages(database, words=["word"], webhook_id="orders") == [three.id, two.id, one.id]
    assert await pages(database, words=["word"], webhook_id="other") == [other.id]
    assert await pages(database, words=["word"], webhook_id="order") == []
    assert await pages(database, words=["word"], status="ignored") == [two.id]
    assert await pages(database, words=["one"], status="ignored") == []
    assert await pages(database, words=["word"], since=two.received_at, webhook_id="orders") == [three.id, two.id]
    assert await pages(database, words=["word"], until=two.received_at, webhook_id="orders") == [one.id]
    assert await pages(database, words=["word"], event_id=three.id) == [three.id]
    assert await pages(database, words=["--"]) == []


async def test_many_events_with_a_rare_status_are_searched_through_the_index(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are only few, their words are compared instead."""
    monkeypatch.setattr(event_search, "FEW", 2)
    rows = await old_events(database, [f'{{"t":"word n{number}"}}' for number in range(6)])
    assert await pages(database, words=["word"], status="received") == [one.id for one in reversed(rows)]
    await end_events(database, *(one.id for one in rows[1:]))
    assert await pages(database, words=["word"], status="received") == [rows[0].id]


@pytest.mark.parametrize("limit", [1, 4, 50])
async def test_a_word_of_many_events_of_which_few_match_is_compared_in_their_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """The search changes over in the middle, without gap or repetition."""
    monkeypatch.setattr(event_search, "FEW", 0)
    monkeypatch.setattr(event_search, "EXAMINED", 1)
    monkeypatch.setattr(event_search, "MIN_READ", 2)
    monkeypatch.setattr(event_search, "RARE_SHARE", 2)
    rows = await old_events(database, [f'{{"t":"word n{number}"}}' for number in range(40)])
    await end_events(database, *(one.id for number, one in enumerate(rows) if number % 9 == 1))
    ignored = [one.id for number, one in enumerate(rows) if number % 9 == 1]
    assert await pages(database, limit, words=["word"], status="ignored") == list(reversed(ignored))
    wanted = EventFilter(words=["word"], status="ignored")
    assert [one.id for one in await EventRepository(database).replayable(wanted, None, 50)] == ignored


async def test_events_are_found_before_they_are_indexed(database: Database) -> None:
    """Before the index was ever built, after it, and before its history is complete."""
    old = await stored(database, ['{"t":"word"}'] * 3)
    assert await pages(database, 2, words=["word"]) == [one.id for one in reversed(old)]
    store = IndexStore(database, "one")
    assert await store.acquire()
    await store.begin(AGO + timedelta(seconds=1), AGO)
    new = await stored(database, ['{"t":"word"}'] * 2, NOW)
    assert await indexed(database) == []
    assert await pages(database, 2, words=["word"]) == [one.id for one in reversed([*old, *new])]
    await built(database)
    assert sorted(await indexed(database)) == sorted(one.id for one in [*old, *new])
    assert await pages(database, 2, words=["word"]) == [one.id for one in reversed([*old, *new])]


async def test_a_search_ends_in_time_and_continues_at_its_cursor(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may then be empty although more follow. Each page comes further."""
    rows = await old_events(database, ['{"t":"first"}', *['{"t":"word"}'] * 30])
    for number in range(4):
        rows += await stored(database, ['{"t":"word"}'] * 3, AGO + timedelta(minutes=1 + number))
        await built(database)
    unindexed = await stored(database, ['{"t":"word"}'] * 9, NOW)
    monkeypatch.setattr(event_search, "SEARCH_S", 0.0)
    monkeypatch.setattr("filas.repository.events.SEARCH_S", 0.0)
    monkeypatch.setattr(event_search, "CHUNK", 2)
    assert await pages(database, words=["first"]) == [rows[0].id]
    assert await pages(database, 4, words=["word"]) == [one.id for one in reversed([*rows[1:], *unindexed])]


async def test_a_replay_reads_the_oldest_first(database: Database) -> None:
    """The same events as the list, in pages that end only at the end."""
    rows = await old_events(database, ['{"t":"word"}', '{"t":"other"}', *['{"t":"word"}'] * 8])
    rows += await stored(database, ['{"t":"word"}'] * 3, NOW)
    found: list[NewEvent] = []
    while page := await EventRepository(database).replayable(
        EventFilter(words=["word"]), found[-1] if found else None, 4
    ):
        found += page
    assert [one.id for one in found] == [one.id for one in rows if b"word" in one.body]
    assert await EventRepository(database).count_replayable(EventFilter(words=["word"]), 100) == len(found)
    assert await EventRepository(database).count_replayable(EventFilter(words=["word"]), 5) == 5


TYPED = [
    "5511987654321",
    "+55 (11) 98765-4321",
    "0055 11 98765 4321",
    "+55 11 8765-4321",
    "(11) 98765-4321",
    "98765-4321",
]


@pytest.mark.parametrize("typed", TYPED)
async def test_a_contact_is_found_in_every_spelling(database: Database, typed: str) -> None:
    """With and without country code, ninth digit and punctuation; also if the body has another spelling."""
    await database.fetch("insert into contacts (id, channel, address) values ($1, 'w', '5511987654321')", UUID(int=1))
    for alias in ("5511987654321", "br.1"):
        await database.fetch("insert into contact_aliases values ('w', $1, $2)", alias, UUID(int=1))
    numbers = ("551187654321", "+55 (11) 98765-4321", "5511987654329", "BR.1")
    bodies = [f'{{"from":"{number}"}}' for number in numbers]
    rows = await old_events(database, bodies)
    assert await pages(database, contact=typed) == [rows[3].id, rows[1].id, rows[0].id]
    assert await pages(database, contact=typed, words=["98765", "from"]) == [rows[1].id]
    assert await pages(database, contact="5511999999999") == []


async def test_an_event_that_is_written_late_is_indexed_when_it_is_processed(database: Database) -> None:
    """The write-behind backfill writes events long after they were received. None is indexed twice."""
    await old_events(database, ['{"t":"early"}'])
    [late] = await stored(database, ['{"t":"late"}'], AGO - timedelta(minutes=5))
    [kept] = await stored(database, ['{"t":"kept"}'], NOW - timedelta(minutes=1))
    one = builder(database)
    await built(database, one)
    assert await pages(database, words=["late"]) == []
    await end_events(database, late.id, kept.id)
    await database.fetch("update events set processed_at = processed_at - interval '5 minutes' where id = $1", late.id)
    await database.fetch("update events set processed_at = processed_at - interval '1 minute' where id = $1", kept.id)

    async def found() -> bool:
        await one.build()
        return await pages(database, words=["late"]) == [late.id]

    await eventually(found, 30)
    assert sorted(await indexed(database)).count(kept.id) == 1
    await built(database, one)
    assert len(await indexed(database)) == len(set(await indexed(database))) == 3


async def test_an_open_transaction_holds_back_the_late_pass(database: Database) -> None:
    """Its event may be processed at a time that has passed when it is committed."""
    await old_events(database, ['{"t":"early"}'])
    one = builder(database)
    async with database.transaction() as connection:
        row = event(body=b'{"t":"late"}', received_at=AGO - timedelta(minutes=5))
        await connection.execute(
            "insert into events (id, webhook_id, flow_id, node_id, method, headers, query_params, body, content_type,"
            " remote_address, config, received_at, processed_at, status) values ($1, 'orders', 'f', 'n', 'POST', '{}',"
            " '{}', $2, 'application/json', '::1', '{}', $3, now() - interval '20 seconds', 'processed')",
            row.id,
            row.body,
            row.received_at,
        )
        [other] = await stored(database, ['{"t":"other"}'], AGO)
        await end_events(database, other.id)
        for _ in range(3):
            await built(database, one)
        progress = await IndexStore(database, "reader").progress()
        assert progress is not None
        assert progress.late[0] < datetime.now(UTC) - timedelta(seconds=20)

    async def found() -> bool:
        await one.build()
        return await pages(database, words=["late"]) == [row.id]

    await eventually(found, 30)


async def test_an_outage_is_caught_up_with(database: Database) -> None:
    """The index continues where it was, with segments of a bounded size."""
    await old_events(database, ['{"t":"before"}'])
    rows = await stored(database, [f'{{"t":"while{number}"}}' for number in range(50)], AGO + timedelta(minutes=1))
    one = builder(database)
    await built(database, one)
    assert set(await indexed(database)) >= {row.id for row in rows}
    assert await pages(database, words=["while7"]) == [rows[7].id]


class Killed(Exception):
    """Ends a builder in the middle of a transaction."""


@pytest.mark.parametrize("statement", range(1, 6))
async def test_a_builder_that_is_killed_at_any_statement_leaves_a_complete_index(
    database: Database, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    """Its successor indexes every event once."""
    rows = await old_events(database, ['{"t":"word"}'] * 3)
    rows += await stored(database, ['{"t":"word"}'] * 3, NOW)
    executed = 0
    connection_type = type(await _connection(database))
    execute = connection_type.execute

    async def failing(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal executed
        executed += 1
        if executed == statement:
            raise Killed
        return await execute(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(connection_type, "execute", failing)
        with suppress(Killed):
            await builder(database).build()
    await database.fetch("update search_progress set expires_at = '-infinity'")
    await built(database, builder(database, "successor"))
    assert sorted(await indexed(database)) == sorted(one.id for one in rows)
    assert await pages(database, words=["word"]) == [one.id for one in reversed(rows)]


async def _connection(database: Database) -> Any:
    async with database.connection() as connection:
        return connection._con  # type: ignore[attr-defined]


async def test_only_one_process_builds(database: Database) -> None:
    """Another one takes over when the lease has expired; the first one then writes nothing."""
    await stored(database, ['{"t":"word"}'])
    first, second = IndexStore(database, "first"), IndexStore(database, "second")
    assert await first.acquire()
    assert not await second.acquire()
    await built(database, builder(database, "second"))
    assert await indexed(database) == []
    await first.begin(NOW, NOW)
    await database.fetch("update search_progress set expires_at = '-infinity'")
    assert await second.acquire()
    with pytest.raises(BuilderReplaced):
        await first.write(None, Advance(next=(NOW, UUID(int=0))))


async def test_small_segments_become_large_ones(database: Database) -> None:
    """A search reads few segments, also after many rounds with few events. A segment has at most 2**16 events."""
    one, rows = builder(database), []
    for number in range(30):
        rows += await stored(database, [f'{{"t":"word n{number}"}}'], AGO + timedelta(minutes=number))
        await built(database, one)
    heads = await IndexStore(database, "reader").heads()
    assert sum(head.events for head in heads) == 30
    assert len(heads) < 12
    assert await pages(database, 4, words=["word"]) == [row.id for row in reversed(rows)]
    assert await pages(database, words=["n17"]) == [rows[17].id]


async def test_segments_with_very_many_words_are_not_merged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge reads them into memory. They are found all the same."""
    monkeypatch.setattr(index_builder, "MERGED_BYTES", 100)
    one, rows = builder(database), []
    for number in range(9):
        rows += await stored(database, [f'{{"t":"word n{number}"}}'], AGO + timedelta(minutes=number))
        await built(database, one)
    assert len(await IndexStore(database, "reader").heads()) == 9
    assert await pages(database, 4, words=["word"]) == [row.id for row in reversed(rows)]


def test_a_draft_is_bounded_by_its_events_and_by_its_words() -> None:
    """A hostile body has a thousand words of its own."""
    draft, added = SegmentDraft(), 0
    while not draft.is_full:
        draft.add(AGO, UUID(int=added), frozenset(b"%d-%d" % (added, number) for number in range(1000)))
        added += 1
    assert added == segments.DRAFT_WORDS // 1000


def test_the_segments_of_a_tier_are_merged_when_they_reach_the_next() -> None:
    """The oldest first. A full segment stays as it is."""

    def head(no: int, events: int) -> segments.SegmentHead:
        return segments.SegmentHead(no, events, AGO, AGO + timedelta(seconds=no))

    assert to_merge([head(no, 1) for no in range(7)]) == []
    assert [one.no for one in to_merge([head(no, 1) for no in range(9)])] == list(range(8))
    assert [one.no for one in to_merge([head(1, 5000), head(2, 9), head(3, 30_000), head(4, 32_000)])] == [1, 3]
    assert to_merge([head(1, segments.FULL_EVENTS), head(2, 60_000)]) == []


def test_a_merged_segment_has_the_words_of_its_parts() -> None:
    """Of segments whose times overlap, and with an event that is in two of them."""
    chance = random.Random(7)
    events = [(AGO + timedelta(seconds=chance.randrange(500)), UUID(int=number)) for number in range(3000)]
    words = {one: frozenset(b"%d" % chance.randrange(900) for _ in range(4)) | {b"all"} for one in events}

    def segment(chosen: Sequence[tuple[datetime, UUID]]) -> Segment:
        draft = SegmentDraft()
        for one in chosen:
            draft.add(*one, words[one])
        return draft.finish()

    whole = segment(events)
    assert merged([segment(events[:1000]), segment(events[900:2100]), segment(events[2100:])]) == whole
    found = {word: set(positions) for _, part in whole.parts for word, positions in decoded(part)}
    ordered = sorted(events)
    assert found == {
        word: {place for place, one in enumerate(ordered) if word in words[one]}
        for word in frozenset().union(*words.values())
    }


async def test_the_index_is_deleted_with_its_events(database: Database) -> None:
    """By age, with its words. A deleted event that is still in the index is not found."""
    old = await old_events(database, ['{"t":"word"}'] * 3, start=NOW - timedelta(days=40))
    new = await stored(database, ['{"t":"word"}'] * 3, AGO)
    await built(database)
    await end_events(database, *(one.id for one in [*old, *new]))
    await database.fetch("delete from events where id = $1", new[1].id)
    assert await pages(database, words=["word"]) == [one.id for one in reversed([*old, new[0], new[2]])]
    deleted = await Retention(database).purge(datetime.now(UTC), Ages())
    assert deleted["search_segments"] == 1
    assert len(await indexed(database)) == 3
    assert await database.fetchval("select count(distinct segment) from search_words") == 1
    assert await pages(database, words=["word"]) == [new[2].id, new[0].id]


async def test_an_unavailable_store_is_reported(database: Database) -> None:
    """The periodic task tries again."""
    await database.close()
    with pytest.raises(StoreUnavailable):
        await builder(database).build()


async def test_the_state_of_the_index_shows_how_far_it_is_behind(database: Database) -> None:
    """Before it was ever built, while its history is missing, and when it is complete."""
    await stored(database, ['{"t":"word"}'] * 3)
    state = await read_search_state(database)
    assert (state.built, state.behind_events, state.indexed_until, state.events) == (False, 3, None, 0)
    assert state.behind_s > 3500
    store = IndexStore(database, "one")
    assert await store.acquire()
    await store.begin(AGO + timedelta(seconds=1), AGO)
    state = await read_search_state(database)
    assert (state.built, state.behind_events) == (True, 2)
    assert state.indexed_from == AGO + timedelta(seconds=1)
    await built(database)
    state = await read_search_state(database)
    assert (state.behind_s, state.behind_events, state.indexed_from, state.events) == (0.0, 0, None, 3)


async def test_the_index_is_built_in_the_background(database: Database, postgres_dsn: str) -> None:
    """As `ingest admin` does it. The figure of the metric is that of the state."""
    [row] = await stored(database, ['{"t":"word"}'])
    settings = load(IngestServeSettings, {"DATABASE_URL": postgres_dsn, "FILAS_SECRET_KEY": "x1y2" * 8})
    task = asyncio.create_task(build_search_index(settings, "test"))
    try:

        async def is_indexed() -> bool:
            return await indexed(database) == [row.id] and behind() == 0.0

        await eventually(is_indexed, 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def behind() -> float:
    """The value of the metric."""
    value = metrics.REGISTRY.get_sample_value("filas_search_index_behind_seconds")
    assert value is not None
    return value
