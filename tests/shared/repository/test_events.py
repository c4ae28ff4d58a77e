"""Each event is stored once, and an event with a bad value fails alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.contract.identity import content_key, event_id
from filas.contract.policies import WEBHOOKS
from filas.errors import Unstorable
from filas.models.events import EventReceipt
from filas.repository.event_filter import EventFilter
from filas.repository.events import EventRepository
from filas.repository.postgres.database import Database
from tests.long_form import examples
from tests.shared.repository.builders import BROKEN, NOON, end_events, event, fail_jobs

QUICK = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def test_a_batch_is_stored_and_a_repeat_is_all_duplicates(database: Database) -> None:
    """A caller that does not know whether its first call was written may repeat it."""
    rows = EventRepository(database)
    batch = [event() for _ in range(20)]
    assert await rows.insert_many(batch) == [EventReceipt(id=one.id, duplicate=False) for one in batch]
    assert await rows.insert_many(batch) == [EventReceipt(id=one.id, duplicate=True, unfinished=True) for one in batch]
    assert await database.fetchval("select count(*) from events") == 20
    assert await rows.insert_many([]) == []


async def test_of_two_with_one_id_the_first_is_stored(database: Database) -> None:
    """Within a batch and in concurrent batches, exactly one is new."""
    rows = EventRepository(database)
    key = event_id("orders", "wamid.1")
    first, second = event(id=key, body=b"first"), event(id=key, body=b"second")
    assert await rows.insert_many([first, second]) == [
        EventReceipt(id=key, duplicate=False),
        EventReceipt(id=key, duplicate=True, unfinished=True),
    ]
    stored = await rows.get(key)
    assert stored is not None
    assert stored.body == "first"
    others = [event() for _ in range(5)]
    answers = await asyncio.gather(*(rows.insert_many(others) for _ in range(4)))
    flat = [receipt for receipts in answers for receipt in receipts]
    assert sum(receipt == EventReceipt(id=one.id, duplicate=False) for one in others for receipt in flat) == 5


async def test_one_content_key_is_one_event(database: Database) -> None:
    """Within a batch, in a later batch and in concurrent batches. A duplicate's receipt has the id of the first event.

    The same id with another content is a conflict, and its content then belongs to the first event too.
    """
    rows = EventRepository(database)
    one, other = content_key("orders", "one"), content_key("orders", "other")
    first = event(content_key=one, content_digest=b"1")
    again, plain = event(content_key=one), event()
    assert await rows.insert_many([first, again, plain, first]) == [
        EventReceipt(id=first.id, duplicate=False),
        EventReceipt(id=first.id, duplicate=True),
        EventReceipt(id=plain.id, duplicate=False),
        EventReceipt(id=first.id, duplicate=True, unfinished=True),
    ]
    changed = event(id=first.id, content_key=other, content_digest=b"2")
    conflict = EventReceipt(id=first.id, duplicate=True, conflict=True, unfinished=True)
    assert await rows.insert_many([changed]) == [conflict]
    assert await rows.insert_many([event(content_key=other)]) == [EventReceipt(id=first.id, duplicate=True)]
    batches = [[event(content_key=content_key("orders", f"{key}")) for key in range(20)] for _ in range(4)]
    answers = await asyncio.gather(
        *(rows.insert_many(batch[::step]) for batch, step in zip(batches, (1, -1, 1, -1), strict=True))
    )
    flat = [receipt for receipts in answers for receipt in receipts if isinstance(receipt, EventReceipt)]
    assert sum(not receipt.duplicate for receipt in flat) == len({receipt.id for receipt in flat}) == 20
    assert await database.fetchval("select count(*) from events") == 22


@QUICK
@given(bad=st.sets(st.integers(0, 12), max_size=5), kind=st.sampled_from(["nul", "surrogate", "broken-json"]))
async def test_events_with_bad_values_fail_alone(database: Database, bad: set[int], kind: str) -> None:
    """NUL in text, a lone surrogate, text that is not JSON: exactly these events are rejected."""
    poison = {
        "nul": {"remote_address": "192.0.2.1\x00"},
        "surrogate": {"content_type": "text/\ud800"},
        "broken-json": {"headers": "{"},
    }[kind]
    rows = EventRepository(database)
    batch = [event(**(poison if number in bad else {})) for number in range(13)]
    answers = await rows.insert_many(batch)
    assert {number for number, answer in enumerate(answers) if isinstance(answer, Unstorable)} == bad
    for number, answer in enumerate(answers):
        if number not in bad:
            assert answer == EventReceipt(id=batch[number].id, duplicate=False)
            assert await rows.get(batch[number].id) is not None


async def test_an_event_with_any_bytes_is_shown(database: Database) -> None:
    """UTF-8 as text, also with a NUL; other bytes in base64. Unusual escapes in headers are kept."""
    rows = EventRepository(database)
    text = event(body='{"t":"olá \x00"}'.encode(), headers='{"x":"\\u0000 \\ud800"}')
    binary = event(body=b"\xff\x00")
    await rows.insert_many([text, binary])
    shown = await rows.get(text.id)
    assert shown is not None
    assert (shown.body, shown.body_encoding) == ('{"t":"olá \x00"}', "utf-8")
    assert shown.headers == {"x": "\x00 \ud800"}
    shown = await rows.get(binary.id)
    assert shown is not None
    assert (shown.body, shown.body_encoding) == ("/wA=", "base64")


async def test_search_filters_and_pages(database: Database) -> None:
    """An event matches all filters. The pages are ordered from the newest to the oldest, without gap or repetition."""
    rows = EventRepository(database)
    same_time = [event(received_at=NOON, body=b'{"city":"Recife"}') for _ in range(4)]
    later = [event(received_at=NOON + timedelta(seconds=1), webhook_id="other") for _ in range(3)]
    await rows.insert_many([*same_time, *later])
    await end_events(database, same_time[0].id)
    seen = []
    cursor = None
    while True:
        page = await rows.search(EventFilter(), cursor=cursor, limit=3)
        seen += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert set(seen[:3]) == {one.id for one in later}

    async def found(**conditions: Any) -> int:
        return len((await rows.search(EventFilter(**conditions))).items)

    assert await found(webhook_id="other") == 3
    assert await found(status="ignored") == 1
    assert await found(since=NOON + timedelta(seconds=1)) == 3
    assert await found(until=NOON + timedelta(seconds=1)) == 4
    assert await found(words=["recife"]) == 4
    assert await found(words=["CITY", "Reci"]) == 4
    assert await found(words=["Recife", "Olinda"]) == 0
    assert await found(words=["Recife"], status="ignored", webhook_id="orders") == 1
    assert await found(words=["' or '1'='1"]) == 0
    assert await found(event_id=later[0].id) == 1
    assert await found(event_id=later[0].id, webhook_id="orders") == 0


async def test_words_are_found_in_any_body(database: Database) -> None:
    """Not ASCII, with a backslash, beside a NUL, in binary bodies. The escapes of Postgres are not matched."""
    rows = EventRepository(database)
    bodies = ["{'nome':'João'}".encode(), rb"C:\temp\x", b"\xff\x00Order-7\xfe"]
    await rows.insert_many([event(body=body) for body in bodies])

    async def found(*words: str) -> int:
        return len((await rows.search(EventFilter(words=words))).items)

    assert await found("JOão") == 1
    assert await found("c:\\TEMP") == 1
    assert await found("order-7") == 1
    assert await found("\\377") == 0
    assert await found("303") == 0


async def test_unfinished_lists_all_in_the_order_of_receipt(database: Database) -> None:
    """Only events that are old enough and not processed, page by page, with the content of their jobs."""
    rows = EventRepository(database)
    old = [event(received_at=NOON + timedelta(milliseconds=number // 2), group_key="c:1") for number in range(7)]
    await rows.insert_many([*reversed(old), event()])
    await end_events(database, old[3].id)
    seen = []
    after = None
    while page := await rows.unfinished(5.0, 2, after):
        seen += page
        after = page[-1].id
    assert sorted(one.id for one in seen) == sorted(one.id for one in old if one is not old[3])
    assert [one.received_at for one in seen] == sorted(one.received_at for one in seen)
    assert next(one for one in seen if one.id == old[0].id) == old[0]


async def test_an_event_ends_once(database: Database) -> None:
    """A final status stays. A replay makes the event `received` again."""
    rows = EventRepository(database)
    one, other = event(), event()
    await rows.insert_many([one, other])
    await fail_jobs(database, WEBHOOKS, {"eventId": one.id})
    await end_events(database, other.id)
    await fail_jobs(database, WEBHOOKS, {"eventId": other.id})
    failed, ignored = await rows.get(one.id), await rows.get(other.id)
    assert failed is not None
    assert ignored is not None
    assert (failed.status, failed.error) == ("failed", BROKEN)
    assert (ignored.status, ignored.error) == ("ignored", None)
    assert ignored.processed_at is not None
    assert await rows.reopen(one)
    reopened = await rows.get(one.id)
    assert reopened is not None
    assert (reopened.status, reopened.error, reopened.processed_at) == ("received", None, None)
    assert not await rows.reopen(event())


async def test_a_time_in_the_future_becomes_the_time_of_postgres(database: Database) -> None:
    """The events of a process whose clock is ahead keep their order, and the relay finds them."""
    rows = EventRepository(database)
    batch = [event(received_at=datetime.now(UTC) + timedelta(hours=1)) for _ in range(5)]
    await rows.insert_many(batch)
    assert [one.id for one in await rows.unfinished(-1.0, 10)] == [one.id for one in batch]
    stored = await rows.get(batch[0].id)
    assert stored is not None
    assert abs(stored.received_at - datetime.now(UTC)) < timedelta(minutes=1)
