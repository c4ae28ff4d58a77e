"""Executions are created once, claimed by one worker, and protected by a fence."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filas.contract.identity import conversation_id, execution_id, new_id
from filas.contract.policies import FLOWS, WEBHOOKS
from filas.errors import PermanentError, RetryLater, Unstorable
from filas.models.executions import ClaimedExecution, DueExecution, NewExecution
from filas.repository.definitions.flows import FlowRepository
from filas.repository.events import EventRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.executions.execution_search import ExecutionFilter, ExecutionSearch
from filas.repository.postgres.database import Database
from tests.long_form import examples
from tests.shared.repository.builders import BROKEN, checkpoint, claimed, event, execution, fail_jobs, started
from tests.waiting import eventually

QUICK = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LEASE_S = 8.0

BLOCKED = "select count(*) from pg_locks where not granted"

Start = tuple[UUID, list[NewExecution]]


async def expire_lease(database: Database, row_id: UUID) -> None:
    await database.fetch("update executions set lease_until = now() - interval '1 second' where id = $1", row_id)


async def make_due(database: Database, row_id: UUID) -> None:
    await database.fetch("update executions set wake_at = now() - interval '1 second' where id = $1", row_id)


# ---- start -----------------------------------------------------------------------------------------


async def test_an_event_starts_its_executions_and_is_processed(database: Database, published: str) -> None:
    """Each in the published version. An event that starts none is ignored."""
    one, status = event(), event()
    await EventRepository(database).insert_many([one, status])
    first, second = execution(one.id), execution(one.id, channel=None, contact=None)
    rows = ExecutionRepository(database)
    answers = await rows.start_many([(one.id, [first, second]), (status.id, [])])
    talk = conversation_id("whatsapp", "+5511999990000")
    assert answers == [
        [
            DueExecution(
                id=first.id,
                turn=1,
                flow_id=published,
                conversation_id=talk,
                status="queued",
                channel="whatsapp",
                contact="+5511999990000",
                event_id=one.id,
            ),
            DueExecution(
                id=second.id, turn=1, flow_id=published, conversation_id=None, status="queued", event_id=one.id
            ),
        ],
        [],
    ]
    for row, expected in ((one, "processed"), (status, "ignored")):
        shown = await EventRepository(database).get(row.id)
        assert shown is not None
        assert shown.status == expected
    made = await rows.get(first.id)
    assert made is not None
    assert (made.version, made.status, made.steps, made.event_id) == (1, "queued", [], one.id)


@QUICK
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(1, 3))
async def test_starting_again_changes_nothing(
    database: Database, published: str, messages: list[int], repeats: int
) -> None:
    """A caller that does not know whether its call was written repeats it, also at the same time as others."""
    starts: list[Start] = []
    for count in messages:
        row = new_id()
        starts.append((row, [execution(row, id=execution_id(row, str(number))) for number in range(count)]))
    rows = ExecutionRepository(database)
    answers = await asyncio.gather(*(rows.start_many(starts) for _ in range(repeats + 1)))
    assert all(answer == answers[0] for answer in answers)
    assert [len(due) if isinstance(due, list) else None for due in answers[0]] == messages
    for row, executions in starts:
        assert len((await ExecutionSearch(database).search(ExecutionFilter(event_id=row))).items) == len(executions)


async def test_a_turn_that_waits_gets_no_job_from_a_repeated_start(database: Database, published: str) -> None:
    """Its job is enqueued when the wait is due."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    assert held.event_id is not None
    again = (held.event_id, [execution(held.event_id, id=held.id)])
    [due] = await rows.start_many([again])
    assert isinstance(due, list)
    assert [one.id for one in due] == [held.id]
    await rows.checkpoint_many([checkpoint(held, "waiting-timer")])
    assert await rows.start_many([again]) == [[]]


async def test_an_event_without_a_published_flow_fails_alone(database: Database, published: str) -> None:
    """The event is not changed. It starts when the flow is published."""
    await FlowRepository(database).store("draft", {}, "Draft", publish=False)
    good, draft, absent = event(), event(), event()
    await EventRepository(database).insert_many([good, draft, absent])
    starts: list[Start] = [
        (draft.id, [execution(draft.id), execution(draft.id, flow_id="draft")]),
        (good.id, [execution(good.id)]),
        (absent.id, [execution(absent.id, flow_id="absent")]),
    ]
    rows = ExecutionRepository(database)
    answers = await rows.start_many(starts)
    assert [isinstance(answer, PermanentError) for answer in answers] == [True, False, True]
    assert "draft" in str(answers[0])
    assert (await ExecutionSearch(database).search(ExecutionFilter(event_id=draft.id))).items == []
    shown = await EventRepository(database).get(draft.id)
    assert shown is not None
    assert shown.status == "received"
    await FlowRepository(database).store("draft", {}, "Draft", publish=True)
    [answer] = await rows.start_many(starts[:1])
    assert isinstance(answer, list)
    assert len(answer) == 2


async def test_an_execution_with_a_bad_value_fails_only_its_event(database: Database, published: str) -> None:
    """The contact has a NUL."""
    starts: list[Start] = [(one.event_id, [one]) for one in (execution(), execution(contact="\x00"), execution())]
    answers = await ExecutionRepository(database).start_many(starts)
    assert [isinstance(answer, Unstorable) for answer in answers] == [False, True, False]


async def test_a_failed_event_that_starts_after_all_is_processed(database: Database, published: str) -> None:
    """The replay of its dead letter succeeded, so its error is removed."""
    row = event()
    events = EventRepository(database)
    await events.insert_many([row])
    await fail_jobs(database, WEBHOOKS, {"eventId": row.id})
    await ExecutionRepository(database).start_many([(row.id, [execution(row.id)])])
    shown = await events.get(row.id)
    assert shown is not None
    assert (shown.status, shown.error) == ("processed", None)


async def test_an_execution_keeps_its_version(database: Database, published: str) -> None:
    """A version that is published later is for executions that start later."""
    before = await started(database)
    await FlowRepository(database).store(published, {"nodes": [1]}, "Welcome", publish=True)
    after = await started(database)
    rows = ExecutionRepository(database)
    versions = [shown.version for one in (before, after) if (shown := await rows.get(one.id))]
    assert versions == [1, 2]


# ---- claim -----------------------------------------------------------------------------------------


async def test_a_claim_returns_all_that_a_run_needs(database: Database, published: str) -> None:
    """Including the deadline, which follows from the flow's settings and the first start."""
    new = await started(database)
    claim = await ExecutionRepository(database).claim(new.id, 1, "worker-1", LEASE_S)
    assert isinstance(claim, ClaimedExecution)
    assert (claim.fence, claim.turn, claim.version, claim.status_before) == (1, 1, 1, "queued")
    assert (claim.trigger, claim.state, claim.conversation_vars) == (new.trigger, None, "{}")
    assert (claim.channel, claim.contact, claim.node_id) == (new.channel, new.contact, "start")
    assert claim.deadline_at is not None
    assert (claim.deadline_at - claim.started_at).total_seconds() == 60.0


@pytest.mark.parametrize("claimers", [2, 8])
async def test_of_concurrent_claims_one_succeeds(database: Database, published: str, claimers: int) -> None:
    """The other callers ask again later and use no attempt."""
    new = await started(database)
    rows = ExecutionRepository(database)
    answers = await asyncio.gather(
        *(rows.claim_many([(new.id, 1)], f"worker-{number}", LEASE_S) for number in range(claimers))
    )
    flat = [answer for [answer] in answers]
    assert sum(isinstance(answer, ClaimedExecution) for answer in flat) == 1
    later = [answer for answer in flat if isinstance(answer, RetryLater)]
    assert len(later) == claimers - 1
    assert not any(answer.uses_attempt for answer in later)


async def test_a_claim_that_waited_for_another_sees_its_result(database: Database, published: str) -> None:
    """The row that it selected cannot be claimed any more when it gets the lock."""
    new = await started(database)
    rows = ExecutionRepository(database)
    async with database.transaction() as other:
        await other.execute(
            "update executions set status = 'running', fence = 1, lease_until = now() + interval '8 s' where id = $1",
            new.id,
        )
        claim = asyncio.create_task(rows.claim_many([(new.id, 1)], "worker-2", LEASE_S))
        await eventually(lambda: database.fetchval(BLOCKED))
    [answer] = await claim
    assert isinstance(answer, RetryLater)
    assert await database.fetchval("select fence from executions where id = $1", new.id) == 1


async def test_concurrent_batches_share_their_executions(database: Database, published: str) -> None:
    """Each execution is claimed once, also one that is requested twice in a batch."""
    turns = [((await started(database)).id, 1) for _ in range(12)]
    rows = ExecutionRepository(database)
    answers = await asyncio.gather(
        rows.claim_many([*turns[:8], turns[0]], "a", LEASE_S),
        rows.claim_many(list(reversed(turns[4:])), "b", LEASE_S),
        rows.claim_many(turns, "c", LEASE_S),
    )
    won = [answer.id for batch in answers for answer in batch if isinstance(answer, ClaimedExecution)]
    assert sorted(won) == sorted(row_id for row_id, _ in turns)


async def test_a_held_turn_is_requested_again_when_the_lease_ends(database: Database, published: str) -> None:
    """The delay is the rest of the lease."""
    held = await claimed(database)
    with pytest.raises(RetryLater) as later:
        await ExecutionRepository(database).claim(held.id, 1, "worker-2", LEASE_S)
    assert 7.0 < later.value.delay_s <= LEASE_S
    assert not later.value.uses_attempt


async def test_a_dead_workers_execution_is_claimed_under_a_new_fence(database: Database, published: str) -> None:
    """From its last checkpoint. The former worker can write nothing more."""
    dead = await claimed(database)
    rows = ExecutionRepository(database)
    assert await rows.checkpoint_many([checkpoint(dead, state='{"at":"a"}')]) == ["running"]
    await expire_lease(database, dead.id)
    alive = await rows.claim(dead.id, 1, "worker-2", LEASE_S)
    assert alive is not None
    assert (alive.fence, alive.state, alive.status_before) == (2, '{"at":"a"}', "running")
    assert alive.started_at == dead.started_at
    for status in ("running", "succeeded", "waiting-timer"):
        assert await rows.checkpoint_many([checkpoint(dead, status, state=None)]) == [None]
    assert await rows.renew([(dead.id, dead.fence), (alive.id, alive.fence)], LEASE_S) == {alive.id}
    assert await rows.renew([(dead.id, dead.fence)], LEASE_S) == set()


async def test_nothing_to_do_is_none(database: Database, published: str) -> None:
    """A turn that is over, a turn that is not due, a later turn, an ended execution, a missing row."""
    rows = ExecutionRepository(database)
    held = await claimed(database)
    await rows.checkpoint_many([checkpoint(held, "waiting-timer")])
    ended = await claimed(database)
    await rows.checkpoint_many([checkpoint(ended, "succeeded")])
    turns = [(held.id, 1), (held.id, 2), (held.id, 3), (ended.id, 1), (new_id(), 1)]
    assert await rows.claim_many(turns, "worker-1", LEASE_S) == [None] * 5
    await make_due(database, held.id)
    claim = await rows.claim(held.id, 2, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.status_before == "waiting-timer"


async def test_renewing_prolongs_a_lease(database: Database, published: str) -> None:
    """A renewed execution cannot be claimed."""
    held = await claimed(database)
    rows = ExecutionRepository(database)
    await expire_lease(database, held.id)
    assert await rows.renew([(held.id, held.fence)], LEASE_S) == {held.id}
    with pytest.raises(RetryLater):
        await rows.claim(held.id, 1, "worker-2", LEASE_S)


# ---- the relay, cancelling, search -----------------------------------------------------------------


async def test_the_relay_finds_executions_without_a_job(database: Database, published: str) -> None:
    """Queued ones, and those of dead workers. Not those that run, wait, have ended, or were queued just now."""
    rows = ExecutionRepository(database)
    queued = [await started(database) for _ in range(3)]
    dead, alive, waiting, ended = [await claimed(database) for _ in range(4)]
    await expire_lease(database, dead.id)
    await rows.checkpoint_many([checkpoint(waiting, "waiting-timer"), checkpoint(ended, "failed", error=BROKEN)])
    expected = {one.id for one in queued} | {dead.id}
    seen = []
    after = None
    while page := await rows.unfinished(0.0, 2, after):
        seen += [due.id for due in page]
        after = page[-1].id
    assert len(seen) == 4
    assert set(seen) == expected
    assert alive.id not in seen
    assert await rows.unfinished(60.0, 10) == []


async def test_executions_that_hold_their_conversation_are_found(database: Database, published: str) -> None:
    """They run under a lease, or wait for a retry or for the outcome of a message. Not those that are due, wait for
    something else, retry in two hours, or have ended."""
    rows = ExecutionRepository(database)
    await started(database)
    running, dead, retrying, later, asking, awaiting, ended = [await claimed(database) for _ in range(7)]
    await expire_lease(database, dead.id)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    await rows.checkpoint_many(
        [
            checkpoint(retrying, "retrying", wake_at=soon),
            checkpoint(later, "retrying", wake_at=soon),
            checkpoint(asking, "waiting-input", wake_at=soon),
            checkpoint(awaiting, "waiting-callback", wake_at=soon),
            checkpoint(ended, "failed", error=BROKEN),
        ]
    )
    await database.fetch("update executions set awaits_message = $2 where id = $1", awaiting.id, new_id())
    await database.fetch("update executions set wake_at = now() + interval '2 hours' where id = $1", later.id)
    seen: list[UUID] = []
    while page := await rows.holding(2, seen[-1] if seen else None):
        seen += [due.id for due in page]
    assert seen == sorted(one.id for one in (running, retrying, awaiting))


async def test_pages_of_unfinished_executions_skip_none(database: Database, published: str) -> None:
    """The order is that of `ready_at`, and not of the ids. An expired timer moves an execution behind the others."""
    rows = ExecutionRepository(database)
    ids = [(await started(database)).id for _ in range(3)]
    first = await rows.claim(min(ids), 1, "worker-1", LEASE_S)
    assert first is not None
    await rows.checkpoint_many([checkpoint(first, "waiting-timer", wake_at=datetime.now(UTC))])
    await rows.queue_due(10)
    seen = []
    after = None
    while page := await rows.unfinished(0.0, 1, after):
        after = page[0].id
        seen.append(after)
    assert seen == [*(one for one in ids if one != first.id), first.id]


async def test_a_cancellation_queues_what_waits_and_marks_what_runs(database: Database, published: str) -> None:
    """A waiting execution is queued in its next turn. A running one can begin no wait."""
    rows = ExecutionRepository(database)
    waiting, running, ended = [await claimed(database) for _ in range(3)]
    await rows.checkpoint_many([checkpoint(waiting, "waiting-timer"), checkpoint(ended, "succeeded")])
    due = await rows.request_cancel(waiting.id)
    assert due is not None
    assert (due.turn, due.status) == (2, "queued")
    claim = await rows.claim(waiting.id, 2, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.cancel_requested
    asked = await rows.request_cancel(running.id)
    assert asked is not None
    assert asked.status == "running"
    assert await rows.cancel_requested([waiting.id, running.id, ended.id]) == {waiting.id, running.id}
    assert await rows.checkpoint_many([checkpoint(running, "waiting-timer")]) == ["queued"]
    assert (await rows.claim(running.id, 1, "worker-1", LEASE_S)) is not None
    assert await rows.request_cancel(ended.id) is None


async def test_a_failed_execution_may_be_reopened_in_its_turn(database: Database, published: str) -> None:
    """For the replay of a dead letter: it continues from its last checkpoint."""
    rows = ExecutionRepository(database)
    held = await claimed(database)
    await rows.checkpoint_many([checkpoint(held, state='{"at":"b"}')])
    await fail_jobs(database, FLOWS, {"executionId": held.id, "turn": 1})
    assert await rows.checkpoint_many([checkpoint(held, "succeeded")]) == [None]
    failed = await rows.get(held.id)
    assert failed is not None
    assert (failed.status, failed.error) == ("failed", BROKEN)
    assert not await rows.reopen(held.id, 2)
    assert await rows.reopen(held.id, 1)
    assert not await rows.reopen(held.id, 1)
    claim = await rows.claim(held.id, 1, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.state == '{"at":"b"}'


async def test_search_filters_and_pages(database: Database, published: str) -> None:
    """An execution matches all filters. Every execution appears once, the newest first."""
    rows = ExecutionRepository(database)
    made = [await started(database, contact=str(number % 2)) for number in range(5)]
    seen = []
    cursor = None
    while True:
        page = await ExecutionSearch(database).search(ExecutionFilter(flow_id=published), cursor, 2)
        seen += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [one.id for one in reversed(made)]
    talk = conversation_id("whatsapp", "0")

    async def found(**filters: Any) -> list[UUID]:
        return [one.id for one in (await ExecutionSearch(database).search(ExecutionFilter(**filters))).items]

    assert len(await found(conversation_id=talk, statuses=["queued", "running"])) == 3
    assert await found(conversation_id=talk, statuses=["failed"]) == []
    assert await found(event_id=made[1].event_id) == [made[1].id]
    assert await found(flow_id="other") == []
    assert await rows.get(new_id()) is None
