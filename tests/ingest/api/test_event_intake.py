"""Many events in one call: each has its own outcome, by the same acceptance as the public door."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from filas.contract.new_job import NewJob
from filas.contract.policies import WEBHOOKS
from filas.errors import StoreUnavailable
from filas.models.events import EventReceipt, NewEvent
from filas.queue.producer import EnqueueOutcome
from filas_local.servers import PostgresServer, RedisServer
from ingest.api.history.event_intake import CHUNK, MAX_EVENTS, EventsAccepted, accept_events, read_events
from ingest.api.routing.route_types import Call, Query
from ingest.receive.acceptor import Acceptor
from tests.ingest.api.serving import Api, fields_of, serving
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.waiting import eventually

CONVERSATION = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}


async def put_webhook(api: Api, webhook_id: str = "orders", **fields: Any) -> None:
    """A webhook whose events can be handed over from now on."""
    reply = await api.put(f"/webhooks/{webhook_id}", {"flowId": "greeting", **fields})
    assert reply.status == 200, reply.text


async def hand_over(api: Api, *events: Any) -> Any:
    """The answer's data to one call with these events."""
    reply = await api.post("/events", {"events": list(events)})
    assert reply.status == 200, reply.text
    return reply.data


async def waiting_bodies(api: Api) -> list[Any]:
    """The bodies in the jobs of `webhook-processing`, in the order in which they will run."""
    page = await api.get("/queue/webhook/jobs", params={"limit": "500"})
    return [job["data"]["body"] for job in page.data]


async def test_each_event_has_its_own_outcome_in_order(api: Api) -> None:
    """New, known, to nowhere, misshapen, too large: none of them keeps another from its place."""
    await put_webhook(api, dedupe={"path": "id"}, maxBodyBytes=100)
    await put_webhook(api, "off", enabled=False)
    data = await hand_over(
        api,
        {"webhookId": "orders", "body": {"id": 1}},
        {"webhookId": "nowhere", "body": {}},
        {"webhookId": "orders", "body": {"id": 1}},
        {"webhookId": "off", "body": {}},
        {"webhookId": 7, "body": {}},
        {"webhookId": "orders"},
        {"webhookId": "orders", "body": {}, "colour": "red"},
        "nonsense",
        {"webhookId": "orders", "body": "x" * 100},
        {"webhookId": "orders", "body": {"id": 2}},
    )
    first, nowhere, again, off, *misshapen, too_large, last = data["events"]
    assert (data["accepted"], data["duplicates"], data["failed"]) == (2, 1, 7)
    assert (first["duplicate"], last["duplicate"]) == (False, False)
    assert again == {**first, "duplicate": True}
    assert first["jobId"] == WEBHOOKS.job_id(first["eventId"])
    assert [nowhere["error"]["status"], off["error"]["status"], too_large["error"]["status"]] == [404, 404, 413]
    assert [one["error"]["status"] for one in misshapen] == [422] * 4
    details = [one["error"]["detail"].partition(":")[0] for one in misshapen]
    assert details[:3] == ["webhookId", "body", "colour"]
    assert set(nowhere) == {"error"}
    listed = (await api.get("/events")).data
    assert {event["id"] for event in listed} == {first["eventId"], last["eventId"]}
    assert await waiting_bodies(api) == [{"id": 1}, {"id": 2}]


async def test_an_event_is_stored_as_if_it_had_been_posted(api: Api) -> None:
    """Body byte by byte, headers without secrets, query, sender's address, conversation: whatever its `auth` says."""
    await put_webhook(
        api,
        auth={"type": "api-key", "secrets": ["k"], "header": "X-Shop-Key"},
        conversation=CONVERSATION,
        rateLimit={"max": 1, "windowMs": 60_000},
    )
    body = '{"from":"+55", "text":"olá \\u0000", "price":1.10, "number":123456789012345678901234567890}'
    event = (
        '{"webhookId":"orders", "body":' + body + ', "headers":{"X-Shop":"7","X-Shop-Key":"k","Content-Type":"text/x"},'
        '"queryParams":{"a":"1","b":["2","3"],"c":[]}}'
    )
    raw = '{"events":[' + ",".join([event] * 3) + "]}"
    reply = await api.call("POST", "/events", data=raw.encode())
    assert (reply.data["accepted"], reply.data["failed"]) == (3, 0), "a rate limit has no place here"
    outcome = reply.data["events"][0]
    shown = (await api.get(f"/events/{outcome['eventId']}")).data
    assert shown["body"] == body
    assert shown["headers"] == {"x-shop": "7", "content-type": "application/json"}
    assert shown["queryParams"] == {"a": "1", "b": ["2", "3"]}
    expected = {
        "webhookId": "orders",
        "flowId": "greeting",
        "nodeId": "start",
        "method": "POST",
        "contentType": "application/json",
        "remoteAddress": "127.0.0.1",
        "status": "received",
    }
    assert expected.items() <= shown.items()
    job = (await api.get(f"/jobs/{outcome['jobId']}")).data
    assert (job["group"], job["data"]["recorded"]) == ("console:+55", True)


async def test_a_stated_key_goes_before_the_webhooks_own(api: Api) -> None:
    """Each of header, path and nothing gives way to `duplicateKey`; however long or odd that is."""
    await put_webhook(api, dedupe={"header": "X-Id"})
    odd = "\x00 ☃" + "k" * 900
    data = await hand_over(
        api,
        {"webhookId": "orders", "body": 1, "headers": {"x-id": "A"}},
        {"webhookId": "orders", "body": 2, "headers": {"X-ID": "A"}, "duplicateKey": "B"},
        {"webhookId": "orders", "body": 3, "headers": {"X-Id": "C"}, "duplicateKey": "A"},
        {"webhookId": "orders", "body": 4, "duplicateKey": odd},
        {"webhookId": "orders", "body": 5, "duplicateKey": odd},
        {"webhookId": "orders", "body": 6, "duplicateKey": ""},
    )
    *known, empty = data["events"]
    assert [one["duplicate"] for one in known] == [False, False, True, False, True]
    assert known[2]["eventId"] == known[0]["eventId"]
    assert (empty["error"]["status"], empty["error"]["detail"].partition(":")[0]) == (422, "duplicateKey")


async def test_a_body_of_many_messages_becomes_an_event_each(api: Api) -> None:
    """Split as the public door splits it; the outcome is that of the first new part, a duplicate when none is."""
    await put_webhook(api, "wa", auth={"type": "meta", "secrets": ["app"]})
    one, two, three = (text_message(f"55{n}", "oi", f"wamid.{n}") for n in range(3))
    data = await hand_over(
        api,
        {"webhookId": "wa", "body": whatsapp(one, two)},
        {"webhookId": "wa", "body": whatsapp(two, three)},
        {"webhookId": "wa", "body": whatsapp(three, one)},
        {"webhookId": "wa", "body": ["no", "object"]},
    )
    first, second, third, wrong = data["events"]
    assert [one["duplicate"] for one in (first, second, third)] == [False, False, True]
    keys = {event["id"]: event["duplicateKey"] for event in (await api.get("/events")).data}
    assert sorted(keys.values()) == ["wamid.0", "wamid.1", "wamid.2"]
    assert [keys[one["eventId"]] for one in (first, second, third)] == ["wamid.0", "wamid.2", "wamid.2"]
    assert (wrong["error"]["status"], wrong["error"]["reason"]) == (415, "not-json")


async def test_parts_of_a_body_with_a_stated_key_stay_apart(api: Api) -> None:
    """One key for a body of two messages: two events, and the whole body is a duplicate the second time."""
    await put_webhook(api, "wa", auth={"type": "meta", "secrets": ["app"]})
    body = whatsapp(text_message("551", "a", "wamid.1"), text_message("552", "b", "wamid.2"))
    event = {"webhookId": "wa", "body": body, "duplicateKey": "batch-7"}
    data = await hand_over(api, event, event)
    assert [one["duplicate"] for one in data["events"]] == [False, True]
    assert {event["duplicateKey"] for event in (await api.get("/events")).data} == {"batch-7#0", "batch-7#1"}


async def test_as_many_as_are_promised_in_their_order(api: Api) -> None:
    """A full call goes through, its jobs in the events' order across every batch; one more is refused whole."""
    await put_webhook(api)
    events = [{"webhookId": "orders", "body": number} for number in range(MAX_EVENTS)]
    data = await hand_over(api, *events)
    assert (data["accepted"], len(data["events"])) == (MAX_EVENTS, MAX_EVENTS)
    ids = [job_id.decode() for job_id in await api.redis.command("ZRANGE", WEBHOOKS.name, 0, -1)]
    assert ids == [one["jobId"] for one in data["events"]]
    assert fields_of(await api.post("/events", {"events": [*events, events[0]]})) == ["events"]
    assert (await api.get("/queue/stats")).data["queues"]["webhook"]["waiting"] == MAX_EVENTS


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (b"", 422, "events"),
        (b"{}", 422, "events"),
        (b"[]", 422, ""),
        (b'{"events":{}}', 422, "events"),
        (b'{"events":[],"x":1}', 422, "x"),
        (b'{"events":[{]}', 400, None),
        (b"\xff", 400, None),
        (b'{"events":[{"webhookId":"orders","body":"\\ud800"}]}', 400, None),
        (b'{"events":[' + b"[" * 100_000, 400, None),
    ],
)
async def test_a_call_of_another_shape_is_refused_whole(api: Api, raw: bytes, status: int, field: str | None) -> None:
    """400 for what is no JSON, else 422 with the field; nothing at all is an answer to nothing."""
    reply = await api.call("POST", "/events", data=raw)
    assert reply.status == status, reply.text
    if field is not None:
        assert fields_of(reply) == [field]
    assert (await hand_over(api))["events"] == []


@pytest.mark.parametrize("event", [b'{"webhookId":"orders","body":1e999}', b'{"webhookId":"\xff","body":1}', b"-1"])
async def test_an_event_that_no_machine_reads_fails_alone(api: Api, event: bytes) -> None:
    """Its neighbour is accepted."""
    await put_webhook(api)
    reply = await api.call("POST", "/events", data=b'{"events":[' + event + b',{"webhookId":"orders","body":1}]}')
    assert (reply.data["accepted"], reply.data["failed"]) == (1, 1), reply.text
    assert reply.data["events"][0]["error"]["status"] in (415, 422)


async def test_a_webhook_whose_secrets_are_unreadable_takes_nothing(api: Api) -> None:
    """As at the public door; what it would do with an event isn't known without them."""
    await put_webhook(api, auth={"type": "bearer", "secrets": ["env:FILAS_TEST_NOT_SET"]})
    [outcome] = (await hand_over(api, {"webhookId": "orders", "body": 1}))["events"]
    assert (outcome["error"]["status"], outcome["error"]["reason"]) == (503, "unusable")


# ---- stores away -----------------------------------------------------------------------------------


@pytest.mark.timeout(90)
async def test_either_store_is_enough_and_none_is_503(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """Without Redis the events are in Postgres, without Postgres in Redis, and without both nobody is told 200."""
    event = {"webhookId": "orders", "body": {"id": 1}}
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        await put_webhook(api)
        own_redis.kill()
        first, second = (await hand_over(api, event, event))["events"]
        assert (await api.get(f"/events/{first['eventId']}")).data["status"] == "received"
        assert first["eventId"] != second["eventId"]

        own_postgres.kill()

        async def away() -> bool:
            # A backend outlives its killed postmaster for a moment, and answers.
            return (await api.get("/events")).status == 503

        await eventually(away)
        reply = await api.post("/events", {"events": [event, {"webhookId": "nowhere", "body": 1}]})
        assert (reply.status, int(reply.headers["Retry-After"]) > 0) == (503, True), reply.text

        own_redis.start()

        async def taken() -> Any:
            reply = await api.post("/events", {"events": [event]})
            return reply.data["events"][0] if reply.status == 200 else None

        outcome = await eventually(taken, 20)
        job = (await api.get(f"/jobs/{outcome['jobId']}")).data
        assert (job["data"]["eventId"], job["data"]["recorded"]) == (outcome["eventId"], False)


class Failing:
    """Both stores, away after `batches` of events."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    async def insert_many(self, events: Sequence[NewEvent]) -> list[EventReceipt]:
        """Writes nothing, and says so from then on."""
        if self.batches == 0:
            raise StoreUnavailable("postgres", "gone")
        self.batches -= 1
        return [EventReceipt(id=event.id, duplicate=False) for event in events]

    async def wait_ready(self, timeout_s: float) -> None:
        """Nothing comes back."""
        raise StoreUnavailable("postgres", "gone")

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """Puts nothing, and says so from then on."""
        if self.batches == 0:
            raise StoreUnavailable("redis", "gone")
        return [EnqueueOutcome.ENQUEUED] * len(jobs)


async def test_what_is_accepted_before_the_stores_go_is_told(api: Api) -> None:
    """A caller that sent the whole again would send the first ones twice: 200, and the rest have errors."""
    await put_webhook(api)
    stores = Failing(batches=1)
    context = dataclasses.replace(api.context, acceptor=Acceptor(stores, stores))
    body = read_events(json.dumps({"events": [{"webhookId": "orders", "body": 1}] * (CHUNK + 5)}).encode())
    call = Call(context=context, path={}, query=Query(), body=body)
    data = (await accept_events(call)).data
    assert isinstance(data, EventsAccepted)
    assert (data.accepted, data.failed) == (CHUNK, 5)
    told = [msgspec.to_builtins(outcome)["error"]["reason"] for outcome in data.events[CHUNK:]]
    assert told == ["stores-unavailable"] * 5
    with pytest.raises(StoreUnavailable):
        await accept_events(call)


async def test_before_the_webhooks_are_read_nothing_is_refused_for_good(redis_url: str, postgres_dsn: str) -> None:
    """503, not an error that says there is no such webhook."""
    async with serving(redis_url, postgres_dsn) as api:
        api.context.webhook_cache.is_loaded = False
        reply = await api.post("/events", {"events": [{"webhookId": "orders", "body": 1}]})
        assert reply.status == 503
