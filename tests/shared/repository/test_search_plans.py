"""The plans of the searches: each reads the index that was made for it, in the order of the list, from its cursor."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from filas.repository.dead_letters import DeadLetterRepository
from filas.repository.event_filter import EventFilter
from filas.repository.events import EventRepository
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch
from filas.repository.executions.waiting_search import WaitingFilter, WaitingSearch
from filas.repository.notifications import NotificationRepository
from filas.repository.postgres import paging
from filas.repository.postgres.database import Database
from filas.repository.search import event_search, search_sql
from filas.repository.search.entity_lookup import EntityLookup
from filas.repository.search.index_builder import IndexBuilder
from filas.repository.search.index_store import IndexStore
from tests.shared.repository.builders import event, started
from tests.shared.repository.test_plans import _generic_plan, _nodes

FILL = (
    """
insert into events (id, webhook_id, flow_id, node_id, status, reason, method, headers, query_params, body, content_type,
    remote_address, config, received_at, processed_at)
select gen_random_uuid(), 'w' || n % 10, 'f', 'start',
    case when n % 100 = 1 then 'failed' when n % 50 = 2 then 'ignored' else 'processed' end,
    case when n % 50 = 2 then 'kind:reaction' end, 'POST', '{}', '{}', '{"word":1}', '', '', '{}',
    now() - n * interval '1 second', now() from generate_series(1, 3000) n""",
    """
insert into executions (id, flow_id, version, node_id, trigger, status, fingerprint, error, cancel_requested, queued_at,
    wake_at, ended_at, conversation_id)
select gen_random_uuid(), 'f' || n % 10, 1, 'start', '{}',
    case when n % 100 = 1 then 'failed' when n % 100 = 2 then 'waiting-input' when n % 100 = 3 then 'cancelled'
        else 'succeeded' end,
    case when n % 100 = 1 then 'timeout:a:b' end,
    case when n % 100 = 1 then '{"kind":"timeout","message":""}'::json end, n % 100 = 3,
    now() - n * interval '1 second', case when n % 100 = 2 then now() end, case when n % 100 <> 2 then now() end,
    gen_random_uuid()
from generate_series(1, 3000) n""",
    """
insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, status, due_at,
    created_at, updated_at, ended_at)
select gen_random_uuid(), gen_random_uuid(), 1, 'c' || n % 5, '', '{}', n::text, case when n % 100 = 1 then 'failed'
    when n % 100 = 2 then 'cancelled' when n % 100 = 3 then 'retrying' else 'sent' end, now(),
    now() - n * interval '1 second', now(), case when n % 100 <> 3 then now() end from generate_series(1, 3000) n""",
    """
insert into dead_letters (id, queue, job_id, function, payload, error, fingerprint, attempts, history, failed_at)
select gen_random_uuid(), 'q' || n % 3, n::text, 'run', '{}', '{"kind":"a","message":"b"}', 'timeout:a:' || n % 50, 3,
    '[]', now() - n * interval '1 second' from generate_series(1, 3000) n""",
    "analyze",
)

CHUNKS = (
    "HEADS_BETWEEN",
    "PLACES",
    "PLACES_BETWEEN",
    "PLACES_AT",
    "NOT_INDEXED",
    "READ_NEXT",
    "READ_HISTORY",
    "PROCESSED",
)

CURSOR = paging.cursor_at(datetime.now(UTC), UUID(int=2**127))
Search = Callable[[Database], Awaitable[Any]]


def events(**wanted: Any) -> Search:
    """A page of events after a cursor."""
    return lambda database: EventRepository(database).search(EventFilter(**wanted), cursor=CURSOR)


def executions(**wanted: Any) -> Search:
    """A page of executions after a cursor."""
    return lambda database: ExecutionSearch(database).search(ExecutionFilter(**wanted), cursor=CURSOR)


def notifications(**wanted: Any) -> Search:
    """A page of notifications after a cursor."""
    return lambda database: NotificationRepository(database).search(cursor=CURSOR, **wanted)


def letters(*wanted: Any) -> Search:
    """A page of dead letters after a cursor."""
    return lambda database: DeadLetterRepository(database).list(*wanted, cursor=CURSOR)


ORDERED = [
    ("the newest events", events(), "events_time"),
    ("events of a webhook", events(webhook_id="w1"), "events_webhook"),
    ("failed events", events(status="failed"), "events_failed"),
    ("events that are not processed", events(status="received"), "events_unfinished"),
    ("ignored events", events(status="ignored"), "events_ignored"),
    ("events with a reason", events(reason="kind:reaction"), "events_reason"),
    ("the newest executions", executions(), "executions_time"),
    ("executions of a flow", executions(flow_id="f1"), "executions_flow"),
    ("failed executions", executions(statuses=("failed",)), "executions_errors_queued"),
    ("failed executions of a flow", executions(statuses=("failed",), flow_id="f1"), "executions_errors_flow"),
    ("executions with a fingerprint", executions(error="timeout:a:b"), "executions_errors_fingerprint"),
    ("executions with an error", executions(error="timeout"), "executions_errors_kind"),
    ("cancelled executions", executions(statuses=("cancelled",)), "executions_to_cancel"),
    ("waiting executions", executions(statuses=("waiting-input", "retrying")), "executions_wake_queued"),
    ("executions of a conversation", executions(conversation_id=UUID(int=1)), "executions_conversation"),
    ("failed messages", notifications(status="failed"), "notifications_failed_created"),
    ("failed messages of a channel", notifications(status="failed", channel_id="c1"), "notifications_channel_failed"),
    ("cancelled messages", notifications(status="cancelled"), "notifications_cancelled"),
    ("the newest dead letters", letters(), "dead_letters_time"),
    ("dead letters of a queue", letters("q1"), "dead_letters_queue"),
    ("dead letters with a fingerprint", letters(None, "timeout:a:7"), "dead_letters_fingerprint"),
]

BOUNDED = [
    ("executions that run", executions(statuses=("running",)), {"executions_ready"}),
    ("messages that are not delivered", notifications(status="retrying"), {"notifications_unfinished"}),
    (
        "executions of a contact",
        executions(contact="+55 11 91234-5678"),
        {"contact_aliases_alias", "contact_aliases_reversed", "conversations_contact", "executions_conversation"},
    ),
    (
        "waiting executions by due time",
        lambda database: WaitingSearch(database).search(WaitingFilter(), cursor=CURSOR),
        {"executions_wake"},
    ),
    (
        "everything with an id",
        lambda database: EntityLookup(database).rows(UUID(int=1)),
        {"events_pkey", "executions_pkey", "notifications_pkey", "conversations_pkey", "dead_letters_pkey"},
    ),
]


async def plans(database: Database, search: Search, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The nodes of the plans of all statements of a search, for its arguments.

    Without bitmap scans, which are cheaper than the order of an index for the few rows of a test only.
    """
    calls: list[tuple[str, tuple[object, ...]]] = []
    fetch = database.fetch

    async def recorded(sql: str, *arguments: object) -> Any:
        calls.append((sql, arguments))
        return await fetch(sql, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch", recorded)
        await search(database)
    assert calls
    async with database.transaction() as connection:
        await connection.execute("set local enable_bitmapscan = off")
        texts = [await connection.fetchval(f"explain (format json) {sql}", *arguments) for sql, arguments in calls]
    return [node for text in texts for node in _nodes(json.loads(text)[0]["Plan"])]


async def test_a_list_is_read_in_the_order_of_its_index(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the cursor on, without a sort: its time does not depend on the number of rows."""
    for statement in FILL:
        await database.fetch(statement)
    for label, search, index in ORDERED:
        nodes = await plans(database, search, monkeypatch)
        scans = [node for node in nodes if "Index Name" in node or node["Node Type"] == "Seq Scan"]
        assert scans[0].get("Index Name") == index, (label, scans)
        assert "ROW(" in scans[0]["Index Cond"], (label, scans[0])
        assert all(node["Node Type"] != "Seq Scan" for node in nodes), (label, nodes)
        before_limit = [one for node in nodes if node["Node Type"] == "Limit" for one in _nodes(node)]
        assert before_limit, label
        assert all("Sort" not in node["Node Type"] for node in before_limit), (label, before_limit)


async def test_a_search_without_an_index_of_its_order_reads_few_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the index of a rare state, or by a lookup for each conversation."""
    for statement in FILL:
        await database.fetch(statement)
    for label, search, indexes in BOUNDED:
        nodes = await plans(database, search, monkeypatch)
        used = {node["Index Name"] for node in nodes if "Index Name" in node}
        assert used >= indexes, (label, used)
        assert all(node["Node Type"] != "Seq Scan" for node in nodes), label


async def test_a_search_for_words_reads_the_index_of_words(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts by their keys, and the events by their ids. The rest is read in the order of the time."""
    for statement in FILL:
        await database.fetch(statement)
    builder = IndexBuilder(IndexStore(database, "one"), pause_share=0.0)
    while not await builder.build():
        pass
    await database.fetch("analyze")
    parts = list(_nodes(await _generic_plan(database, search_sql.PARTS)))
    [scan] = [node for node in parts if node.get("Relation Name") == "search_words" and "first <" in str(node)][:1]
    assert re.search(r"segment = .* AND .*first < .* AND .*first >= ", scan["Index Cond"]), scan
    for name in (
        "HEADS_BETWEEN",
        "PLACES",
        "PLACES_BETWEEN",
        "PLACES_AT",
        "NOT_INDEXED",
        "READ_NEXT",
        "READ_HISTORY",
        "PROCESSED",
    ):
        nodes = list(_nodes(await _generic_plan(database, getattr(search_sql, name))))
        assert all(node["Node Type"] != "Seq Scan" for node in nodes), name
    monkeypatch.setattr(event_search, "FEW", 0)
    wanted = EventFilter(words=["word"], status="failed")
    assert len(await EventRepository(database).replayable(wanted, None, 100)) == 30


WRITTEN_BY_INSERT = {
    "events": {"events_pkey", "events_time", "events_webhook", "events_unfinished"},
    "executions": {
        "executions_pkey",
        "executions_time",
        "executions_event",
        "executions_flow",
        "executions_conversation",
        "executions_ready",
        "executions_unfinished",
    },
}
INDEXES = """
select c.relname as name, pg_get_expr(i.indpred, i.indrelid) as condition
from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = $1::text::regclass"""


async def test_no_insert_writes_an_index_of_a_search(database: Database, published: str) -> None:
    """The insert path is as fast as without searches: a new row is in none of their indexes."""
    new = event()
    await EventRepository(database).insert_many([new])
    begun = await started(database, event_id=new.id, flow_id=published)
    await database.fetch("update events set status = 'received', processed_at = null")
    for table, row_id in (("events", new.id), ("executions", begun.id)):
        written = {
            index["name"]
            for index in await database.fetch(INDEXES, table)
            if await database.fetchval(
                " ".join(("select", index["condition"] or "true", "from", table, "where id = $1")), row_id
            )
        }
        assert written == WRITTEN_BY_INSERT[table], table
