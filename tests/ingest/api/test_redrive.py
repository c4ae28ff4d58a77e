"""The replay of a dead letter with another job message, and the redrive of many."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from filas.contract.policies import WEBHOOKS
from filas.errors import StoreUnavailable
from filas.models.dead_letters import NewDeadLetter
from filas.models.events import NewEvent
from filas.models.record import ErrorDetail
from filas.queue.producer import QueueProducer
from ingest.api.history import redrive
from tests.ingest.api.serving import TOKEN, Api, fields_of
from tests.ingest.api.test_history import NOON, new_event, webhook_payload
from tests.shared.cli.running import filas


async def dead(api: Api, count: int, *, kind: str = "timeout", begin: int = 0) -> list[NewEvent]:
    """Events whose jobs are dead letters of that kind, one per second from noon plus `begin`."""
    events = [new_event() for _ in range(count)]
    await api.context.events.insert_many(events)
    await api.context.dead_letters.insert_many(
        [letter(event, kind, NOON + timedelta(seconds=begin + at)) for at, event in enumerate(events)]
    )
    return events


def letter(
    event: NewEvent, kind: str, failed_at: datetime, payload: bytes | None = None, group_key: str | None = None
) -> NewDeadLetter:
    """A dead letter of the event's job."""
    return NewDeadLetter(
        queue=WEBHOOKS.name,
        job_id=WEBHOOKS.job_id(str(event.id)),
        function=WEBHOOKS.function,
        payload=msgspec.json.encode(webhook_payload(event)) if payload is None else payload,
        group_key=group_key,
        # Postgres stores JSON with a NUL, but cannot search it.
        error=ErrorDetail(kind=kind, message="no answer \x00"),
        attempts=3,
        history=[],
        enqueued_at=NOON,
        failed_at=failed_at,
    )


async def jobs(api: Api, state: str) -> list[dict[str, Any]]:
    """The jobs of `webhook-processing` in that state, in the order in which they are due."""
    found: list[dict[str, Any]] = (await api.get(f"/queue/webhook/jobs?state={state}&limit=500")).data
    return found


async def test_every_matching_dead_letter_is_replayed_once(api: Api, monkeypatch: Any) -> None:
    """By kind, over several pages, oldest first. Their events are unfinished again. A second call finds none."""
    monkeypatch.setattr(redrive, "PAGE", 3)
    chosen = await dead(api, 8, kind="timeout")
    others = await dead(api, 4, kind="permanent", begin=2)
    tried = (await api.post("/dead-letters/replay", {"errorKind": "timeout", "dryRun": True})).data
    assert (tried["matched"], tried["replayed"], tried["errorKinds"], tried["dryRun"]) == (8, 8, {"timeout": 8}, True)
    assert await jobs(api, "waiting") == []

    done = (await api.post("/dead-letters/replay", {"errorKind": "timeout"})).data
    assert (done["matched"], done["replayed"], done["refusedCount"], done["more"]) == (8, 8, 0, False)
    put = await jobs(api, "waiting")
    assert [job["data"]["eventId"] for job in put] == [str(event.id) for event in chosen]
    assert {job["data"]["replay"] for job in put} == {1}
    assert len((await api.get("/events?status=received")).data) == 8
    assert len((await api.get("/events?status=failed")).data) == len(others)
    assert (await api.post("/dead-letters/replay", {"errorKind": "timeout"})).data["matched"] == 0


async def test_a_limit_and_times_bound_a_redrive(api: Api) -> None:
    """The oldest come first, and the answer reports that more match."""
    events = await dead(api, 6)
    noon = NOON.isoformat()
    done = (await api.post("/dead-letters/replay", {"since": noon, "limit": 4})).data
    assert (done["matched"], done["replayed"], done["more"]) == (4, 4, True)
    until = (NOON + timedelta(seconds=5)).isoformat()
    done = (await api.post("/dead-letters/replay", {"until": until, "queue": "webhook"})).data
    assert (done["matched"], done["more"]) == (1, False)
    assert [job["data"]["eventId"] for job in await jobs(api, "waiting")] == [str(one.id) for one in events[:5]]
    assert (await api.post("/dead-letters/replay", {"queue": "flow"})).data["matched"] == 0


async def test_a_rate_spreads_the_due_times(api: Api) -> None:
    """At two per second, the first job is due now and the fifth in two seconds."""
    await dead(api, 5)
    before = datetime.now(UTC).timestamp() * 1000
    done = (await api.post("/dead-letters/replay", {"rate": 2})).data
    assert done["takesS"] == 2.0
    due = [job["dueOn"] for job in await jobs(api, "delayed")]
    assert len(due) >= 2
    assert all(abs(later - earlier - 500) <= 2 for earlier, later in pairwise(due))
    assert 1900 <= max(due) - before <= 4000


async def test_a_dead_letter_without_a_job_is_rejected_and_the_others_are_replayed(api: Api) -> None:
    """A dead letter that cannot be decoded is not marked, and the answer has the reason."""
    (event,) = await dead(api, 1)
    broken = [
        letter(new_event(), "decode", NOON, b"\xff"),
        letter(new_event(), "decode", NOON, b'{"schemaVersion":99}'),
    ]
    await api.context.dead_letters.insert_many(broken)
    done = (await api.post("/dead-letters/replay", {})).data
    assert (done["matched"], done["replayed"], done["refusedCount"]) == (3, 1, 2)
    assert {one["reason"].split(" ")[0] for one in done["refused"]} == {"the", "a"}
    assert [job["data"]["eventId"] for job in await jobs(api, "waiting")] == [str(event.id)]
    assert len([one for one in (await api.get("/dead-letters")).data if one["replayedAt"] is None]) == 2


async def test_a_dead_letter_whose_job_the_queue_refuses_is_not_marked(api: Api) -> None:
    """Its group is longer than a queue can hold. The answer has the reason, and the others are replayed."""
    (event,) = await dead(api, 1)
    await api.context.dead_letters.insert_many([letter(new_event(), "timeout", NOON, group_key="x" * 10_000)])
    done = (await api.post("/dead-letters/replay", {})).data
    assert (done["matched"], done["replayed"], done["refusedCount"]) == (2, 1, 1)
    (refused,) = done["refused"]
    assert refused["reason"] == redrive.JOB_REFUSED
    assert [job["data"]["eventId"] for job in await jobs(api, "waiting")] == [str(event.id)]
    assert [one["id"] for one in (await api.get("/dead-letters")).data if one["replayedAt"] is None] == [refused["id"]]
    alone = await api.post(f"/dead-letters/{refused['id']}/replay")
    assert (alone.status, alone.json["detail"]) == (409, redrive.JOB_REFUSED)


async def test_dead_letters_stay_open_if_their_jobs_are_not_enqueued(api: Api, monkeypatch: Any) -> None:
    """Redis becomes unavailable in the middle of a redrive: 503. The next redrive replays all of them."""

    async def unavailable(*_: object) -> None:
        raise StoreUnavailable("redis", "connection refused")

    events = await dead(api, 3)
    with monkeypatch.context() as patch:
        patch.setattr(QueueProducer, "enqueue_many", unavailable)
        assert (await api.post("/dead-letters/replay", {})).status == 503
    assert all(one["replayedAt"] is None for one in (await api.get("/dead-letters")).data)
    assert (await api.post("/dead-letters/replay", {})).data["replayed"] == 3
    assert {job["data"]["eventId"] for job in await jobs(api, "waiting")} == {str(event.id) for event in events}


async def test_wrong_filters_are_named(api: Api) -> None:
    """422 with the field; nothing is replayed."""
    await dead(api, 1)
    for body, field in (
        ({"queue": "nope"}, "queue"),
        ({"rate": 0}, "rate"),
        ({"limit": 0}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"dryrun": True}, "dryrun"),
    ):
        assert fields_of(await api.post("/dead-letters/replay", body)) == [field]
    assert await jobs(api, "waiting") == []


async def test_a_replay_may_replace_the_job_message(api: Api) -> None:
    """By another body of the same event. A payload that cannot be decoded or has other ids is answered 422."""
    event = new_event()
    await api.context.events.insert_many([event])
    await api.context.dead_letters.insert_many([letter(event, "decode", NOON, b'{"body":1}')])
    (found,) = (await api.get("/dead-letters")).data
    path = f"/dead-letters/{found['id']}/replay"
    for wrong in ({"body": 2}, webhook_payload(new_event()), {**webhook_payload(event), "replay": 1}):
        refused = await api.post(path, {"payload": wrong})
        assert (refused.status, fields_of(refused)) == (422, ["payload"])
    assert await jobs(api, "waiting") == []
    put = (await api.post(path, {"payload": {**webhook_payload(event), "body": {"name": "Ana"}}})).data
    (job,) = await jobs(api, "waiting")
    assert (put["replay"], job["id"], job["data"]["body"]) == (1, put["jobId"], {"name": "Ana"})
    assert (await api.post(path)).status == 409


async def test_the_command_line_replays_many_and_one_with_another_message(api: Api) -> None:
    """`replay-all`, first as a dry run; `replay --payload` reads a file."""
    environ = {"FILAS_URL": api.url, "FILAS_ADMIN_TOKEN": TOKEN}
    events = await dead(api, 2)
    run = await filas("dead-letters", "replay-all", "--dry-run", environ=environ)
    assert (run.code, run.out) == (0, "2 match: 2 of webhook-processing\n2 would be enqueued\n")
    (newest, oldest) = (await api.get("/dead-letters")).data
    payload = msgspec.json.encode({**webhook_payload(events[0]), "body": "repaired"}).decode()
    run = await filas("dead-letters", "replay", oldest["id"], "--payload", "-", environ=environ, given=payload)
    assert (run.code, run.err) == (0, "")
    run = await filas("dead-letters", "replay-all", "--rate", "5", "--limit", "10", environ=environ)
    assert run.out == "1 match: 1 of webhook-processing\n1 enqueued, the last one due in 0 s\n"
    assert (await api.get(f"/dead-letters/{newest['id']}")).data["replayedAt"] is not None
    assert {str(job["data"]["body"]) for job in await jobs(api, "waiting")} == {"repaired", "{'name': 'Maria'}"}
    run = await filas("dead-letters", "replay-all", "--since", "noon", environ=environ)
    assert (run.code, "is neither a time" in run.err) == (2, True)
