"""Events, executions, notifications and dead letters: search, show, replay."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from filas.contract.identity import new_id
from filas.contract.jobs import FlowJob, NotificationJob
from filas.contract.policies import FLOWS, NOTIFICATIONS, WEBHOOKS
from filas.models.dead_letters import NewDeadLetter
from filas.models.events import NewEvent
from filas.models.executions import NewExecution
from filas.models.notifications import NotificationOutcome
from filas.models.record import ErrorDetail
from filas.models.refusals import NewRefusal
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.notifications import NotificationRepository
from filas.repository.refusals import RefusalRepository
from tests.ingest.api.serving import FLOW, Api, fields_of
from tests.ingest.test_processor import received
from tests.shared.repository.builders import checkpoint, end_events, fail_jobs, notification, step

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def new_event(**changes: Any) -> NewEvent:
    """An accepted event."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "webhook_id": "orders",
        "flow_id": "greeting",
        "node_id": "start",
        "method": "POST",
        "headers": '{"content-type":"application/json"}',
        "query_params": "{}",
        "body": b'{"name":"Maria"}',
        "content_type": "application/json",
        "remote_address": "127.0.0.1",
        "duplicate_key": None,
        "group_key": None,
        "config": '{"provider":"none","conversation":null,"config":{}}',
        "received_at": NOON,
    }
    return NewEvent(**{**fields, **changes})


async def started(api: Api) -> tuple[uuid.UUID, uuid.UUID]:
    """An event and the execution that it started."""
    await api.put("/flows/greeting", FLOW)
    event = new_event()
    await api.context.events.insert_many([event])
    execution = NewExecution(
        id=new_id(), event_id=event.id, flow_id="greeting", node_id="start", channel=None, contact=None, trigger="{}"
    )
    await api.context.executions.start_many([(event.id, [execution])])
    return event.id, execution.id


async def dead_letter(api: Api, payload: dict[str, Any] | bytes, queue: str, job_id: str) -> str:
    """Stores a dead letter and returns its id."""
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    letter = NewDeadLetter(
        queue=queue,
        job_id=job_id,
        function="process_webhook",
        payload=raw,
        group_key="console:+55",
        error=ErrorDetail(kind="permanent", message="it can't be done"),
        attempts=1,
        history=[],
        enqueued_at=NOON,
        failed_at=NOON + timedelta(seconds=1),
    )
    await api.context.dead_letters.insert_many([letter])
    return str((await api.get("/dead-letters")).data[0]["id"])


# ---- events ----------------------------------------------------------------------------------------


async def test_an_event_is_shown_as_it_was_accepted(api: Api) -> None:
    """Headers, body and times. A body that is not UTF-8 is shown in base64."""
    event = new_event()
    binary = new_event(body=b"\xff\x00", content_type="application/octet-stream")
    await api.context.events.insert_many([event, binary])
    shown = (await api.get(f"/events/{event.id}")).data
    assert (shown["id"], shown["status"], shown["body"]) == (str(event.id), "received", '{"name":"Maria"}')
    assert shown["receivedAt"] == "2026-11-22T12:00:00Z"
    assert (await api.get(f"/events/{binary.id}")).data["bodyEncoding"] == "base64"


async def test_an_event_with_a_lone_surrogate_is_shown(api: Api) -> None:
    """Half of a surrogate pair in a header is shown as its escape."""
    event = new_event(headers='{"x-name":"\\ud800"}', query_params='{"q":"\\u0000"}')
    await api.context.events.insert_many([event])
    for path in (f"/events/{event.id}", "/events"):
        reply = await api.get(path)
        assert reply.status == 200, reply.text
        assert "\\ud800" in reply.text


async def test_events_are_searched(api: Api) -> None:
    """By webhook, by status, by time."""
    old = new_event(received_at=NOON - timedelta(hours=1))
    new = new_event(webhook_id="payments")
    await api.context.events.insert_many([old, new])

    async def found(**params: str) -> list[str]:
        return [item["id"] for item in (await api.get("/events", params=params)).data]

    assert await found() == [str(new.id), str(old.id)]
    assert await found(webhookId="orders") == [str(old.id)]
    assert await found(since="2026-11-22T12:00:00Z") == [str(new.id)]
    assert await found(until="2026-11-22T12:00:00Z") == [str(old.id)]
    assert await found(status="failed") == []
    assert await found(limit="1") == [str(new.id)]
    page = await api.get("/events", params={"limit": "1"})
    assert await found(limit="1", cursor=page.json["nextCursor"]) == [str(old.id)]


async def test_ignored_events_are_searched_by_reason(api: Api) -> None:
    """Each shows why it was ignored."""
    reaction, filtered = new_event(), new_event()
    await api.context.events.insert_many([reaction, filtered])
    reasons = {reaction.id: "kind:reaction", filtered.id: "filter"}
    await ExecutionRepository(api.database).start_many([(event, []) for event in reasons], reasons=reasons)
    for event, reason in reasons.items():
        (found,) = (await api.get("/events", params={"status": "ignored", "reason": reason})).data
        assert (found["id"], found["reason"]) == (str(event), reason)
    assert (await api.get("/events", params={"reason": "kind:edit"})).data == []


async def test_refusals_are_searched(api: Api) -> None:
    """By every field, in pages, the newest first."""
    await RefusalRepository(api.database).insert_many([_refusal(number) for number in range(3)])

    async def found(**params: str) -> list[int]:
        return [item["size"] for item in (await api.get("/refusals", params=params)).data]

    assert await found() == [2, 1, 0]
    assert await found(webhookId="w1") == [1]
    assert await found(path="p2") == await found(path="/webhooks/p2") == [2]
    assert await found(status="401", reason="r1", address="192.0.2.1") == [1]
    assert await found(since="2026-11-22T12:01:00Z", until="2026-11-22T12:02:00Z") == [1]
    page = await api.get("/refusals", params={"limit": "1"})
    assert await found(cursor=page.json["nextCursor"]) == [1, 0]
    assert page.data[0] == {
        "id": page.data[0]["id"], "receivedAt": "2026-11-22T12:02:00Z", "webhookId": "w2", "path": "/webhooks/p2",
        "method": "POST", "address": "192.0.2.2", "status": 401, "reason": "r2", "detail": "d", "size": 2,
        "headers": {"a": "b"}, "queryParams": {"q": ["1", "2"]}, "body": "/w==", "bodyEncoding": "base64",
    }  # fmt: skip
    for params, field in (({"status": "200"}, "status"), ({"colour": "red"}, "colour")):
        assert fields_of(await api.get("/refusals", params=params)) == [field]


def _refusal(number: int) -> NewRefusal:
    return NewRefusal(
        id=new_id(),
        received_at=NOON + timedelta(minutes=number),
        webhook_id=f"w{number}",
        path=f"/webhooks/p{number}",
        method="POST",
        address=f"192.0.2.{number}",
        status=401,
        reason=f"r{number}",
        detail="d",
        size=number,
        headers='{"a":"b"}',
        query_params='{"q":["1","2"]}',
        body=b"\xff",
    )


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "lost"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-22T12:00:00"}, "since"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"webhookId": "\x00"}, "webhookId"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_filter_is_named(api: Api, params: dict[str, str], field: str) -> None:
    """422 whose `errors` have the parameter."""
    assert fields_of(await api.get("/events", params=params)) == [field]


async def test_a_filter_is_given_once(api: Api) -> None:
    """Otherwise one of two values would be ignored."""
    assert fields_of(await api.get("/events?limit=1&limit=2")) == ["limit"]


async def test_a_replayed_event_has_a_job_again(api: Api) -> None:
    """Its row is unfinished again, and each replay enqueues a job under another key."""
    event = new_event()
    await api.context.events.insert_many([event])
    await end_events(api.database, event.id)
    first = await api.post(f"/events/{event.id}/replay")
    assert (first.data["id"], first.data["replay"]) == (str(event.id), 1)
    assert first.data["jobIds"] == [WEBHOOKS.job_id(f"{event.id}:replay-1")]
    assert (await api.get(f"/events/{event.id}")).data["status"] == "received"
    assert (await api.post(f"/events/{event.id}/replay")).data["replay"] == 2
    jobs = await api.get("/queue/webhook/jobs", params={"state": "waiting"})
    assert {job["id"] for job in jobs.data} == {WEBHOOKS.job_id(f"{event.id}:replay-{n}") for n in (1, 2)}


async def test_a_replay_uses_the_present_definition(api: Api) -> None:
    """Of its webhook, so that a mistake in the definition can be corrected. The row has it too, for the relay."""
    await api.put("/flows/greeting", FLOW)
    await api.put("/channels/console", {"type": "console"})
    event = new_event(webhook_id="shop", flow_id="older", body=b'{"from":"5511","text":"oi"}')
    await api.context.events.insert_many([event])
    fixed = {"channel": "console", "contact": "{{ body.from }}"}
    wanted = {"flowId": "greeting", "conversation": fixed, "filter": "body.text == 'oi'", "config": {"k": 2}}
    stored = await api.put("/webhooks/shop", wanted)
    assert stored.status == 200, stored.text
    assert (await api.post(f"/events/{event.id}/replay")).status == 200
    [found] = (await api.get("/queue/webhook/jobs", params={"state": "waiting"})).data
    message = found["data"]
    assert (message["flowId"], message["conversation"]["contact"]) == ("greeting", "{{ body.from }}")
    assert (message["filter"]["expression"], message["config"]) == ("body.text == 'oi'", {"k": 2})
    assert message["schemaVersion"] == 2
    row = await api.context.events.get_accepted(event.id)
    assert row is not None
    assert row.group_key is not None
    assert msgspec.json.decode(row.config)["conversation"]["contact"] == "{{ body.from }}"


async def test_the_dead_letter_of_an_event_uses_the_present_definition(api: Api) -> None:
    await api.put("/flows/greeting", FLOW)
    event = new_event(webhook_id="shop", flow_id="older")
    await api.context.events.insert_many([event])
    assert (await api.put("/webhooks/shop", {"flowId": "greeting", "filter": "true"})).status == 200
    await fail_jobs(api.database, WEBHOOKS, msgspec.to_builtins(received(event)))
    [letter] = (await api.get("/dead-letters")).data
    assert (await api.post("/dead-letters/replay", json={})).data["replayed"] == 1
    [found] = (await api.get("/queue/webhook/jobs", params={"state": "waiting"})).data
    assert (found["data"]["flowId"], found["data"]["filter"]) == ("greeting", {"expression": "true"})
    assert letter["payload"]["flowId"] != "greeting"


async def test_events_are_found_by_id_words_and_conversation(api: Api) -> None:
    """By all words, in any order and case, and by the conversation of the event."""
    await api.put("/flows/greeting", FLOW)
    mine, other = new_event(body='{"name":"Maria","city":"São Paulo"}'.encode()), new_event()
    await api.context.events.insert_many([mine, other])
    talk = NewExecution(
        id=new_id(), event_id=mine.id, flow_id="greeting", node_id="start", channel="console", contact="+55",
        trigger="{}",
    )  # fmt: skip
    await api.context.executions.start_many([(mine.id, [talk])])
    conversation = (await api.get(f"/executions/{talk.id}")).data["conversationId"]

    async def found(**params: str) -> list[str]:
        return [one["id"] for one in (await api.get("/events", params=params)).data]

    assert await found(text="paulo MARIA são") == [str(mine.id)]
    assert await found(text="maria olinda") == []
    assert await found(id=str(other.id)) == [str(other.id)]
    assert await found(conversationId=conversation) == [str(mine.id)]
    assert await found(conversationId=str(new_id())) == []
    assert fields_of(await api.get("/events", params={"id": "x"})) == ["id"]


async def with_messages(api: Api) -> uuid.UUID:
    """An execution that has succeeded. Of its messages, the first was sent, the second failed in its second attempt,
    and the third has no attempt yet."""
    _, execution = await started(api)
    claimed = await api.context.executions.claim(execution, 1, "worker", 30)
    assert claimed is not None
    messages = [notification(execution, seq) for seq in (2, 3, 4)]
    steps = [step(seq, node_id=f"hello-{seq}") for seq in (2, 3, 4)]
    done = checkpoint(claimed, "succeeded", steps=steps, notifications=messages)
    await api.context.executions.checkpoint_many([done])
    rows = NotificationRepository(api.database)
    for message, attempt, status in ((0, 1, "sent"), (1, 1, "retrying"), (1, 2, "retrying")):
        assert await rows.begin_attempt(messages[message].id) is not None
        outcome: Any = {"outcome": "sent" if status == "sent" else "retry", "status": status}
        error = None if status == "sent" else ErrorDetail(kind="http-status", message="bad gateway")
        await rows.record(
            NotificationOutcome(id=messages[message].id, attempt=attempt, error=error, status_code=200, **outcome)
        )
    await fail_jobs(api.database, NOTIFICATIONS, {"notificationId": str(messages[1].id)})
    return execution


async def test_an_execution_is_shown_with_its_messages_and_their_attempts(api: Api) -> None:
    """And a message that was not delivered is counted, also in the list."""
    execution = await with_messages(api)
    shown = (await api.get(f"/executions/{execution}")).data
    assert (shown["status"], shown["undelivered"]) == ("succeeded", 1)
    assert [(one["nodeId"], one["seq"], one["status"], one["attempts"]) for one in shown["messages"]] == [
        ("hello-2", 2, "sent", 1),
        ("hello-3", 3, "failed", 2),
        ("hello-4", 4, "queued", 0),
    ]
    failed = shown["messages"][1]
    assert [(one["attempt"], one["outcome"], one["error"]["message"]) for one in failed["history"]] == [
        (1, "retry", "bad gateway"),
        (2, "retry", "bad gateway"),
    ]
    assert failed["error"]["kind"]
    assert (failed["channelId"], failed["recipient"]) == ("whatsapp", "+5511999990000")
    [listed] = (await api.get("/executions")).data
    assert listed["undelivered"] == 1
    assert "messages" not in listed


async def test_an_execution_with_many_messages_shows_the_last_ones(api: Api) -> None:
    """And of a message with many attempts the last ones, so that the answer is bounded."""
    _, execution = await started(api)
    await api.database.fetch(
        """insert into notifications (id, execution_id, seq, channel_id, recipient, payload, idempotency_key, attempts,
            due_at, created_at, updated_at)
        select gen_random_uuid(), $1::uuid, n, 'c', 'r', '{}', $1::uuid || ':' || n, 30, now(),
            now() + n * interval '1 ms', now()
        from generate_series(1, 600) n""",
        execution,
    )
    await api.database.fetch(
        """insert into notification_attempts (notification_id, attempt, outcome, started_at)
        select id, a, 'retry', now() from notifications cross join generate_series(1, 30) a where seq = 600"""
    )
    messages = (await api.get(f"/executions/{execution}")).data["messages"]
    assert [one["seq"] for one in messages] == list(range(101, 601))
    assert [one["attempt"] for one in messages[-1]["history"]] == list(range(11, 31))


@pytest.mark.parametrize("kind", ["events", "executions", "notifications", "dead-letters"])
@pytest.mark.parametrize("name", ["not-a-uuid", "018f0000-0000-7000-8000-000000000000", "%00", "%F0%9F%98%80"])
async def test_an_unknown_id_is_404(api: Api, kind: str, name: str) -> None:
    """Whether the text can be an id or not."""
    assert (await api.get(f"/{kind}/{name}")).status == 404


async def test_replaying_an_unknown_object_is_404(api: Api) -> None:
    """For events and for dead letters."""
    missing = new_id()
    assert (await api.post(f"/events/{missing}/replay")).status == 404
    assert (await api.post(f"/dead-letters/{missing}/replay")).status == 404
    assert (await api.delete(f"/dead-letters/{missing}")).status == 404
    assert (await api.post(f"/executions/{missing}/cancel")).status == 404


# ---- executions and notifications --------------------------------------------------------------------


async def test_an_execution_is_shown_with_its_steps(api: Api) -> None:
    """And it is found by its event, its flow and its status."""
    event, execution = await started(api)
    shown = (await api.get(f"/executions/{execution}")).data
    expected = {"id": str(execution), "status": "queued", "flowId": "greeting", "version": 1, "eventId": str(event)}
    assert expected.items() <= shown.items()
    assert shown["steps"] == []
    assert {"conversationId", "error", "startedAt", "endedAt"} <= set(shown)
    for params in ({"eventId": str(event)}, {"flowId": "greeting"}, {"status": "queued"}, {}):
        listed = await api.get("/executions", params=params)
        assert [item["id"] for item in listed.data] == [str(execution)], params
        assert "steps" not in listed.data[0]
    assert (await api.get("/executions", params={"eventId": str(new_id())})).data == []
    assert fields_of(await api.get("/executions", params={"eventId": "x"})) == ["eventId"]
    assert fields_of(await api.get("/executions", params={"status": "x"})) == ["status"]


async def test_a_waiting_execution_is_cancelled_by_a_command(api: Api) -> None:
    """The command is a job of its own to the flow-runner, outside of the group of the conversation."""
    _, execution = await started(api)
    asked = await api.post(f"/executions/{execution}/cancel")
    job = (await api.get(f"/jobs/{asked.data['jobId']}")).data
    assert (job["data"]["reason"], job["data"]["executionId"], job.get("group")) == ("cancel", str(execution), None)
    assert [one.execution_id for one in await api.context.cancels.unapplied_executions(0.0, 10)] == [execution]


async def test_an_execution_that_has_ended_is_not_cancelled(api: Api) -> None:
    """409 with its final status."""
    _, execution = await started(api)
    await fail_jobs(api.database, FLOWS, {"executionId": execution, "turn": 1})
    reply = await api.post(f"/executions/{execution}/cancel")
    assert (reply.status, reply.json["detail"]) == (409, "the execution has ended: failed")


async def test_notifications_are_listed(api: Api) -> None:
    """Without notifications the list is empty. A wrong filter is answered 422."""
    assert (await api.get("/notifications")).data == []
    assert (await api.get("/notifications", params={"executionId": str(new_id()), "status": "sent"})).data == []
    assert fields_of(await api.get("/notifications", params={"status": "lost"})) == ["status"]


# ---- dead letters --------------------------------------------------------------------------------------


def webhook_payload(event: NewEvent) -> dict[str, Any]:
    """The job message of the event, as JSON."""
    return {
        "schemaVersion": 1,
        "eventId": str(event.id),
        "webhookId": event.webhook_id,
        "method": "POST",
        "headers": {},
        "queryParams": {},
        "body": {"name": "Maria"},
        "timestamp": 1_790_000_000_000,
        "flowId": "greeting",
        "nodeId": "start",
        "config": {},
        "recorded": True,
    }


async def test_a_dead_letter_is_shown_replayed_and_deleted(api: Api) -> None:
    """Its job is enqueued once under the key of the next replay. It is marked, and its event is unfinished again."""
    event = new_event()
    await api.context.events.insert_many([event])
    letter = await dead_letter(api, webhook_payload(event), WEBHOOKS.name, WEBHOOKS.job_id(str(event.id)))
    shown = (await api.get(f"/dead-letters/{letter}")).data
    assert (shown["queue"], shown["error"]["kind"], shown["replayedAt"]) == (WEBHOOKS.name, "permanent", None)
    assert (await api.get(f"/events/{event.id}")).data["status"] == "failed"
    put = await api.post(f"/dead-letters/{letter}/replay")
    assert put.data == {
        "id": letter,
        "replay": 1,
        "jobId": WEBHOOKS.job_id(f"{event.id}:replay-1"),
        "duplicate": False,
    }
    assert (await api.get(f"/events/{event.id}")).data["status"] == "received"
    job = (await api.get(f"/jobs/{put.data['jobId']}")).data
    assert (job["state"], job["data"]["replay"]) == ("waiting", 1)
    assert (await api.get(f"/dead-letters/{letter}")).data["replayedJobId"] == put.data["jobId"]
    again = await api.post(f"/dead-letters/{letter}/replay")
    assert (again.status, again.json["title"]) == (409, "Conflict")
    assert (await api.delete(f"/dead-letters/{letter}")).data == {"id": letter, "deleted": True}
    assert (await api.get(f"/dead-letters/{letter}")).status == 404


async def test_a_payload_that_is_no_job_message_cannot_be_replayed(api: Api) -> None:
    """409, and the raw bytes are shown."""
    letter = await dead_letter(api, b"\xffnonsense", FLOWS.name, FLOWS.job_id("x"))
    shown = (await api.get(f"/dead-letters/{letter}")).data
    assert shown["payload"] is None
    assert shown["raw"]
    assert (await api.post(f"/dead-letters/{letter}/replay")).status == 409
    foreign = await dead_letter(api, {"schemaVersion": 99}, FLOWS.name, FLOWS.job_id("y"))
    assert (await api.post(f"/dead-letters/{foreign}/replay")).status == 409


async def test_dead_letters_are_listed_by_queue(api: Api) -> None:
    """By the full or short name of the queue. Another name is answered 422."""
    await dead_letter(api, {"schemaVersion": 99}, FLOWS.name, FLOWS.job_id("x"))
    assert len((await api.get("/dead-letters", params={"queue": "flow"})).data) == 1
    assert len((await api.get("/dead-letters", params={"queue": FLOWS.name})).data) == 1
    assert (await api.get("/dead-letters", params={"queue": "webhook"})).data == []
    assert fields_of(await api.get("/dead-letters", params={"queue": "x"})) == ["queue"]


def test_the_key_of_a_replay_has_the_rows_key_and_the_replays_number() -> None:
    """On every queue."""
    row = new_id()
    flow = FlowJob(execution_id=row, turn=3, flow_id="f", replay=2)
    notification = NotificationJob(notification_id=row, channel_id="c", replay=1)
    assert flow.key == f"{row}:3:replay-2"
    assert notification.key == f"{row}:replay-1"
