"""Timelines: what happened from receipt to delivery receipt, with every wait between."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contract.identity import new_id
from filas.contract.policies import WEBHOOKS
from filas.errors import StoreUnavailable
from filas.models.events import SeenDuplicates
from filas.models.notifications import DeliveryReceipt
from filas.models.record import ErrorDetail
from filas.repository.event_duplicates import EventDuplicateRepository
from ingest.receive import duplicate_recorder
from ingest.receive.duplicate_recorder import DuplicateRecorder
from tests.ingest.api.seeding import attempted, queued_notifications
from tests.ingest.api.serving import Api
from tests.ingest.api.test_history import new_event, started, with_messages
from tests.shared.repository import builders


async def entries(api: Api, path: str) -> list[dict[str, Any]]:
    """The entries of a timeline, in order of time."""
    found = (await api.get(f"/{path}/timeline")).data["entries"]
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)
    return list(found)


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in found]


async def test_an_event_is_followed_from_its_receipt_to_a_delivery_receipt(api: Api) -> None:
    """Receipt, processing, execution, steps, the attempts of each message, and what the provider reported."""
    event, execution = await started(api)
    [message] = await queued_notifications(api, execution)
    await attempted(api, message, succeeds=False)
    await attempted(api, message, succeeds=True)
    for status in ("delivered", "read"):
        receipt = DeliveryReceipt(channel_id="console", provider_id="p7", status=status)
        await api.context.notifications.record_receipts([receipt])
    found = await entries(api, f"events/{event}")
    ours = [one for one in found if one.get("notificationId") == str(message)]
    assert kinds(ours) == ["message-wait", "attempt", "message-wait", "attempt", "receipt", "receipt"]
    assert [one.get("attempt") for one in ours] == [1, 1, 2, 2, None, None]
    assert ours[1]["error"]["kind"] == "timeout"
    assert [(one["status"], one["channelId"]) for one in ours[4:]] == [("delivered", "console"), ("read", "console")]
    assert {"received", "processed", "execution-wait", "step", "execution-end"} <= set(kinds(found))
    assert all(one["until"] >= one["at"] for one in ours[:4])
    timeline = (await api.get(f"/events/{event}/timeline")).data
    assert (timeline["truncated"], set(timeline["notStored"])) == (False, {"jobs", "short-pauses"})


async def test_the_duplicates_of_an_event_are_counted(api: Api) -> None:
    """How many, and when the first and the last came; also after a time without Postgres. A conflict is a duplicate."""
    event = new_event()
    await api.context.events.insert_many([event])
    recorder = DuplicateRecorder(EventDuplicateRepository(api.database))
    recorder.add(event.id, conflict=False)
    recorder.add(event.id, conflict=True)
    await recorder.close()
    [first] = [one for one in await entries(api, f"events/{event.id}") if one["kind"] == "duplicates"]
    recorder.add(event.id, conflict=False)
    await recorder.close()
    [entry] = [one for one in await entries(api, f"events/{event.id}") if one["kind"] == "duplicates"]
    assert (first["count"], entry["count"]) == (2, 3)
    assert (entry["at"], entry["until"] > first["until"]) == (first["at"], True)
    row = await api.database.fetchrow("select conflicts from event_duplicates where event_id = $1", event.id)
    assert row is not None
    assert row["conflicts"] == 1


class Unavailable:
    """A table that does not answer until it works again."""

    def __init__(self) -> None:
        self.works = False
        self.seen: list[SeenDuplicates] = []

    async def add_many(self, seen: Sequence[SeenDuplicates]) -> None:
        """Stores the duplicates, or raises."""
        if not self.works:
            raise StoreUnavailable("postgres", "it does not answer")
        self.seen += seen


async def test_duplicates_are_kept_while_postgres_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counted together with those that come meanwhile. Beyond a bound of events they are not counted."""
    monkeypatch.setattr(duplicate_recorder, "MAX_EVENTS", 2)
    store = Unavailable()
    recorder = DuplicateRecorder(store)
    one, two, three = new_id(), new_id(), new_id()
    recorder.add(one, conflict=False)
    await recorder.close()
    for event in (one, two, three):
        recorder.add(event, conflict=False)
    store.works = True
    await recorder.close()
    assert {seen.event_id: seen.count for seen in store.seen} == {one: 2, two: 1}


async def test_a_message_that_waits_is_open_until_its_next_attempt(api: Api) -> None:
    _, execution = await started(api)
    [message] = await queued_notifications(api, execution)
    await attempted(api, message, succeeds=False)
    last = [one for one in await entries(api, f"executions/{execution}") if one.get("notificationId") == str(message)]
    assert (last[-1]["kind"], last[-1]["open"], last[-1]["status"]) == ("message-wait", True, "retrying")


async def test_an_event_shows_its_job_and_the_failed_attempts_of_its_dead_letter(api: Api) -> None:
    """The waiting job is open; the dead letter has each attempt, and the wait between them."""
    event = new_event()
    await api.context.events.insert_many([event])
    assert (await api.post(f"/events/{event.id}/replay")).status == 200
    [job] = [one for one in await entries(api, f"events/{event.id}") if one["kind"] == "job-wait"]
    assert (job["open"], job["jobId"]) == (True, WEBHOOKS.job_id(f"{event.id}:replay-1"))

    at = 1_795_348_800_000
    error = ErrorDetail(kind="timeout", message="it took too long")
    history = [
        {"attempt": 1, "error": {"kind": "timeout", "message": "slow"}, "startedAt": at, "failedAt": at + 1000},
        {"attempt": 2, "error": {"kind": "timeout", "message": "slow"}, "startedAt": at + 3000, "failedAt": at + 4000},
    ]
    letter = builders.dead_letter(WEBHOOKS.name, f'{{"eventId":"{event.id}"}}'.encode(), error=error, history=history,
        job_id=WEBHOOKS.job_id(str(event.id)), failed_at=builders.NOON + timedelta(days=9), attempts=2,
    )  # fmt: skip
    await api.context.dead_letters.insert_many([letter])
    found = [one for one in await entries(api, f"events/{event.id}") if one.get("jobId") == letter.job_id]
    assert kinds(found) == ["job-wait", "job-run", "job-wait", "job-run", "dead-letter"]
    assert [one["error"]["message"] for one in found if one["kind"] == "job-run"] == ["slow", "slow"]


async def test_a_wait_is_open_and_the_reply_ends_it(api: Api) -> None:
    """The event of the reply shows the resumed execution from the reply on, and not what came before."""
    await api.put("/flows/welcome", {"schemaVersion": 1, "name": "Welcome", "nodes": [], "edges": []})
    await api.database.fetch(
        "insert into flows (id, name, published_version) values ('welcome', 'Welcome', 1) on conflict (id) do nothing"
    )
    rows = api.context.executions
    asking = builders.execution()
    await api.context.events.insert_many([builders.event(id=asking.event_id, received_at=builders.NOON)])
    await rows.start_many([(asking.event_id, [asking])])
    claimed = await rows.claim(asking.id, 1, "worker", 30)
    assert claimed is not None
    question = builders.step(2, node_id="ask", type="input", status="waiting", ended_at=None)
    wake = claimed.started_at + timedelta(hours=2)
    steps = [builders.step(1), question]
    await rows.checkpoint_many(
        [builders.checkpoint(claimed, "waiting-input", steps=steps, wake_at=wake, awaits_reply=True)]
    )
    [wait] = [one for one in await entries(api, f"executions/{asking.id}") if one["kind"] == "wait"]
    assert (wait["open"], wait["nodeId"], wait["until"][:19]) == (True, "ask", wake.isoformat()[:19])

    [listed] = (await api.get("/waiting?waitsFor=reply")).data
    assert (listed["id"], listed["nodeId"], listed["waitsFor"]) == (str(asking.id), "ask", "reply")

    answer = builders.execution(contact=asking.contact)
    await api.context.events.insert_many([builders.event(id=answer.event_id)])
    await rows.start_many([(answer.event_id, [answer])])
    assert await rows.claim(answer.id, 1, "worker", 30) is not None
    of_reply = await entries(api, f"events/{answer.event_id}")
    assert "reply" in kinds(of_reply)
    assert not [one for one in of_reply if one.get("nodeId") == "ask"]
    assert "reply" in kinds(await entries(api, f"executions/{asking.id}"))
    assert (await api.get("/waiting")).data == []


async def test_the_waits_are_listed_by_due_time_in_pages(api: Api) -> None:
    """By what they wait for, by flow, and until a time."""
    _, first = await started(api)
    ids = [first]
    for _ in range(3):
        execution = builders.execution(flow_id="greeting", channel=None, contact=None)
        await api.context.events.insert_many([new_event(id=execution.event_id)])
        await api.context.executions.start_many([(execution.event_id, [execution])])
        ids.append(execution.id)
    kind_of = ["waiting-timer", "waiting-callback", "waiting-timer", "waiting-callback"]
    due = [4, 3, 2, 1]
    for one, status, hours in zip(ids, kind_of, due, strict=True):
        await api.database.fetch(
            "update executions set status = $2, wake_at = now() + make_interval(hours => $3), ready_at = null"
            " where id = $1", one, status, hours,
        )  # fmt: skip
    await api.database.fetch("update executions set awaits_message = $2 where id = $1", ids[1], new_id())
    found: list[str] = []
    cursor = ""
    while True:
        reply = await api.get(f"/waiting?limit=1{cursor}")
        found += [one["id"] for one in reply.data]
        if reply.json["nextCursor"] is None:
            break
        cursor = f"&cursor={reply.json['nextCursor']}"
    assert found == [str(one) for one in reversed(ids)]

    async def listed(query: str) -> list[UUID]:
        return [UUID(one["id"]) for one in (await api.get(f"/waiting?{query}")).data]

    assert await listed("waitsFor=time") == [ids[2], ids[0]]
    assert await listed("waitsFor=call") == [ids[3]]
    assert await listed("waitsFor=message") == [ids[1]]
    assert await listed("flowId=other") == []
    assert (await api.get("/waiting?waitsFor=luck")).status == 422


async def test_the_waits_are_read_through_an_index(api: Api) -> None:
    """The list of waits reads as many rows as it shows, whatever the table has."""
    await started(api)
    await api.database.fetch(
        """insert into executions (id, flow_id, version, node_id, trigger, status, queued_at, ended_at)
        select gen_random_uuid(), 'greeting', 1, 'start', '{}', 'succeeded', now(), now()
        from generate_series(1, 5000)"""
    )
    await api.database.fetch("analyze executions")
    plan = "\n".join(
        row[0]
        for row in await api.database.fetch(
            "explain select id from executions where wake_at is not null"
            " and status in ('waiting-timer', 'waiting-input', 'waiting-callback') order by wake_at, id limit 51"
        )
    )
    assert "Seq Scan" not in plan, plan


async def test_an_unknown_timeline_is_404(api: Api) -> None:
    for kind in ("events", "executions"):
        assert (await api.get(f"/{kind}/{new_id()}/timeline")).status == 404
        assert (await api.get(f"/{kind}/none/timeline")).status == 404


async def test_the_queues_are_shown_with_their_workers_and_pauses(api: Api) -> None:
    """Paused since when, the workers and their slots, and the age of the oldest job."""
    assert (await api.post("/queue/flow/pause")).status == 200
    await with_messages(api)
    found = {one["short"]: one for one in (await api.get("/queues")).data}
    assert list(found) == ["webhook", "flow", "notification"]
    assert found["flow"]["pausedSince"] is not None
    assert (found["webhook"]["pausedSince"], found["webhook"]["workers"], found["webhook"]["slots"]) == (None, 0, 0)
    assert {"waiting", "active", "delayed", "completed", "failed", "oldestWaitingMs"} <= set(found["flow"]["counts"])
