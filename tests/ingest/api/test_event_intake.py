"""`POST /api/events`: many events in one call, accepted like requests to the public endpoint."""

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
from ingest.access.authentication import ADMIN
from ingest.access.call_audit import CallAudit
from ingest.api.history.event_intake import CHUNK, MAX_EVENTS, EventsAccepted, accept_events, read_events
from ingest.api.routing.route_types import Call, Query
from ingest.receive.acceptor import Acceptor
from tests.ingest.api.serving import Api, fields_of, serving
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.waiting import eventually

CONVERSATION = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}


async def store_webhook(api: Api, webhook_id: str = "orders", **fields: Any) -> None:
    """Stores a webhook whose events the route accepts."""
    reply = await api.put(f"/webhooks/{webhook_id}?force=true", {"flowId": "greeting", **fields})
    assert reply.status == 200, reply.text


async def post_events(api: Api, *events: Any) -> Any:
    """Returns the `data` of the answer to a call with these events."""
    reply = await api.post("/events", {"events": list(events)})
    assert reply.status == 200, reply.text
    return reply.data


async def waiting_bodies(api: Api) -> list[Any]:
    """The bodies of the jobs of `webhook-processing`, in the order in which they run."""
    page = await api.get("/queue/webhook/jobs", params={"limit": "500"})
    return [job["data"]["body"] for job in page.data]


async def test_each_event_has_its_own_outcome_in_order(api: Api) -> None:
    """A new one, a duplicate, one to no webhook, a malformed one and one that is too large."""
    await store_webhook(api, dedupe={"path": "id"}, maxBodyBytes=100)
    await store_webhook(api, "off", enabled=False)
    data = await post_events(
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


async def test_a_known_key_with_another_body_is_a_conflict(api: Api) -> None:
    """It is a duplicate; the caller learns that its event was not accepted."""
    await store_webhook(api)
    bodies = [{"n": 1}, {"n": 1}, {"n": 2}]
    data = await post_events(api, *({"webhookId": "orders", "body": body, "duplicateKey": "k"} for body in bodies))
    first, again, changed = data["events"]
    assert (again, changed) == ({**first, "duplicate": True}, {**first, "duplicate": True, "conflict": True})
    assert (data["accepted"], data["duplicates"], data["failed"]) == (1, 2, 0)


async def test_an_event_is_stored_like_a_request(api: Api) -> None:
    """Body byte by byte, headers without secrets, query, address and conversation, with any `auth`."""
    await store_webhook(
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


async def test_a_stated_key_replaces_the_webhooks_own(api: Api) -> None:
    """`duplicateKey` replaces a key from a header or a path, and may be any text."""
    await store_webhook(api, dedupe={"header": "X-Id"})
    odd = "\x00 ☃" + "k" * 900
    data = await post_events(
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


async def test_a_body_with_several_messages_becomes_one_event_each(api: Api) -> None:
    """The outcome is that of the first new part, or a duplicate if no part is new."""
    await store_webhook(api, "wa", auth={"type": "meta", "secrets": ["app"]})
    one, two, three = (text_message(f"55{n}", "oi", f"wamid.{n}") for n in range(3))
    data = await post_events(
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


async def test_the_parts_of_a_body_with_a_stated_key_have_different_keys(api: Api) -> None:
    """A body with two messages is two events. The same body again is a duplicate."""
    await store_webhook(api, "wa", auth={"type": "meta", "secrets": ["app"]})
    body = whatsapp(text_message("551", "a", "wamid.1"), text_message("552", "b", "wamid.2"))
    event = {"webhookId": "wa", "body": body, "duplicateKey": "batch-7"}
    data = await post_events(api, event, event)
    assert [one["duplicate"] for one in data["events"]] == [False, True]
    assert {event["duplicateKey"] for event in (await api.get("/events")).data} == {"batch-7#0", "batch-7#1"}


async def test_a_call_with_the_largest_number_of_events_keeps_their_order(api: Api) -> None:
    """The jobs are in the order of the events across all chunks. One event more is answered 422."""
    await store_webhook(api)
    events = [{"webhookId": "orders", "body": number} for number in range(MAX_EVENTS)]
    data = await post_events(api, *events)
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
async def test_a_call_of_another_shape_is_rejected(api: Api, raw: bytes, status: int, field: str | None) -> None:
    """400 for a body that is not JSON, else 422 with the field. An empty list is accepted."""
    reply = await api.call("POST", "/events", data=raw)
    assert reply.status == status, reply.text
    if field is not None:
        assert fields_of(reply) == [field]
    assert (await post_events(api))["events"] == []


@pytest.mark.parametrize("event", [b'{"webhookId":"\xff","body":1}', b"-1"])
async def test_an_event_that_cannot_be_decoded_fails_alone(api: Api, event: bytes) -> None:
    """The other event is accepted."""
    await store_webhook(api)
    reply = await api.call("POST", "/events", data=b'{"events":[' + event + b',{"webhookId":"orders","body":1}]}')
    assert (reply.data["accepted"], reply.data["failed"]) == (1, 1), reply.text
    assert reply.data["events"][0]["error"]["status"] in (415, 422)


async def test_a_webhook_with_unreadable_secrets_accepts_nothing(api: Api) -> None:
    """As at the public endpoint."""
    await store_webhook(api, auth={"type": "bearer", "secrets": ["env:SECRET_NOT_SET"]})
    [outcome] = (await post_events(api, {"webhookId": "orders", "body": 1}))["events"]
    assert (outcome["error"]["status"], outcome["error"]["reason"]) == (503, "unusable")


# ---- unavailable stores ----------------------------------------------------------------------------


@pytest.mark.timeout(90)
async def test_either_store_is_enough_and_none_is_503(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    """Without Redis the events are in Postgres, without Postgres in Redis. Without both, the answer is 503."""
    event = {"webhookId": "orders", "body": {"id": 1}}
    async with serving(own_redis.url, own_postgres.dsn()) as api:
        await store_webhook(api)
        own_redis.kill()
        first, second = (await post_events(api, event, event))["events"]
        assert (await api.get(f"/events/{first['eventId']}")).data["status"] == "received"
        assert first["eventId"] != second["eventId"]

        own_postgres.kill()

        async def unavailable() -> bool:
            # A backend process answers for a moment after its postmaster was killed.
            return (await api.get("/events")).status == 503

        await eventually(unavailable)
        reply = await api.post("/events", {"events": [event, {"webhookId": "nowhere", "body": 1}]})
        assert (reply.status, int(reply.headers["Retry-After"]) > 0) == (503, True), reply.text

        own_redis.start()

        async def taken() -> Any:
            reply = await api.post("/events", {"events": [event]})
            return reply.data["events"][0] if reply.status == 200 else None

        outcome = await eventually(taken)
        job = (await api.get(f"/jobs/{outcome['jobId']}")).data
        assert (job["data"]["eventId"], job["data"]["recorded"]) == (outcome["eventId"], False)


class Failing:
    """Two stores that are unavailable after `batches` batches of events."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    async def insert_many(self, events: Sequence[NewEvent]) -> list[EventReceipt]:
        """Raises StoreUnavailable after the last batch."""
        if self.batches == 0:
            raise StoreUnavailable("postgres", "gone")
        self.batches -= 1
        return [EventReceipt(id=event.id, duplicate=False) for event in events]

    async def wait_ready(self, timeout_s: float) -> None:
        """Raises StoreUnavailable: the store stays unavailable."""
        raise StoreUnavailable("postgres", "gone")

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> list[EnqueueOutcome]:
        """Raises StoreUnavailable after the last batch."""
        if self.batches == 0:
            raise StoreUnavailable("redis", "gone")
        return [EnqueueOutcome.ENQUEUED] * len(jobs)


async def test_events_accepted_before_an_outage_are_reported(api: Api) -> None:
    """The answer is 200, and the other events have errors: a repeated call would send the first ones twice."""
    await store_webhook(api)
    stores = Failing(batches=1)
    context = dataclasses.replace(api.context, acceptor=Acceptor(stores, stores))
    body = read_events(json.dumps({"events": [{"webhookId": "orders", "body": 1}] * (CHUNK + 5)}).encode())
    audit = CallAudit(context.access.audit, ADMIN, "", "acceptEvents", "events")
    call = Call(context=context, path={}, query=Query(), body=body, client=ADMIN, audit=audit)
    data = (await accept_events(call)).data
    assert isinstance(data, EventsAccepted)
    assert (data.accepted, data.failed) == (CHUNK, 5)
    reasons = [msgspec.to_builtins(outcome)["error"]["reason"] for outcome in data.events[CHUNK:]]
    assert reasons == ["stores-unavailable"] * 5
    with pytest.raises(StoreUnavailable):
        await accept_events(call)


async def test_before_the_webhooks_are_read_the_answer_is_503(redis_url: str, postgres_dsn: str) -> None:
    """And not 404, which would be final."""
    async with serving(redis_url, postgres_dsn) as api:
        api.context.webhook_cache.is_loaded = False
        reply = await api.post("/events", {"events": [{"webhookId": "orders", "body": 1}]})
        assert reply.status == 503
