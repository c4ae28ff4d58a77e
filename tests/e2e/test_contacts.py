"""One person is one contact, whatever address a flow, a schedule or a provider uses, over all processes."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.e2e.pipeline import Pipeline
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.ingest.verify.test_signatures import meta_signature
from tests.notifier.receiver import Receiver, receiver
from tests.notifier.rows import opened
from tests.waiting import eventually

FIRST, SECOND, THIRD = "106540352242922", "222", "333"
"""Three numbers of our own. The third has no channel."""

ASK = {
    "schemaVersion": 1,
    "nodes": [
        {"id": "start", "type": "webhook", "data": {"mode": "trigger"}},
        {"id": "name", "type": "input", "data": {"prompt": "name?"}},
        {"id": "thanks", "type": "message", "data": {"text": "thanks {{ conversation.text }}"}},
    ],
    "edges": [{"source": "start", "target": "name"}, {"source": "name", "sourceHandle": "out", "target": "thanks"}],
}

Sent = tuple[str, str, str]
"""Our number, the address and the text of a message that was sent."""


async def answer(request: web.Request) -> web.StreamResponse:
    """As Meta answers. It knows one number under another one, and with a user id."""
    to = (await request.json())["to"]
    contact = {"input": to, "wa_id": "5599911112222", "user_id": "BR.9"} if to == "5511900000009" else {"input": to}
    return web.json_response({"contacts": [contact], "messages": [{"id": f"wamid.{id(request)}"}]})


def sent(provider: Receiver) -> list[Sent]:
    """Every message, in order."""
    found = []
    for one in provider.received:
        document = json.loads(one.body)
        found.append((one.path.split("/")[2], document["to"], document["text"]["body"]))
    return found


async def set_up(pipeline: Pipeline, provider: str) -> None:
    """A flow that asks for a name. It is started by messages, and by calls of our own systems (`call`)."""
    for channel, number in {"whatsapp": FIRST, "branch": SECOND}.items():
        config = {"type": "whatsapp", "phoneNumberId": number, "accessToken": "token", "baseUrl": provider}
        await pipeline.api("PUT", f"/api/channels/{channel}", config)
    await pipeline.api("PUT", "/api/flows/ask", ASK)
    meta = {"type": "meta", "secrets": ["app secret"], "verifyToken": "a token"}
    await pipeline.api("PUT", "/api/webhooks/whatsapp", {"flowId": "ask", "nodeId": "start", "auth": meta})
    rule = {"channel": "whatsapp", "contact": "{{ body.to }}"}
    call = {"flowId": "ask", "nodeId": "start", "auth": {"type": "none"}, "conversation": rule}
    await pipeline.api("PUT", "/api/webhooks/call", call)


async def say(pipeline: Pipeline, *messages: dict[str, Any], number: str = FIRST, **value: Any) -> None:
    """A body of Meta with these messages to our number."""
    document = whatsapp(*(one for one in messages if "from" in one))
    content = document["entry"][0]["changes"][0]["value"]
    content.update(value, metadata={"phone_number_id": number}, messages=list(messages))
    body = json.dumps(document).encode()
    status, received = await pipeline.webhook("whatsapp", body, meta_signature(body))
    assert status == 200, received


async def call(pipeline: Pipeline, to: str) -> None:
    """Our own system starts the flow for a contact."""
    event = {"webhookId": "call", "body": {"to": to}}
    assert (await pipeline.api("POST", "/api/events", {"events": [event]}))["accepted"] == 1


def sender(provider: Receiver) -> Callable[[Sent], Awaitable[None]]:
    """A function that waits until that message was sent."""

    async def until(message: Sent) -> None:
        await eventually(lambda: message in sent(provider), message=f"{message} is not in {sent(provider)}")

    return until


async def test_a_flow_waits_for_a_person_and_not_for_one_way_of_writing_a_number(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Started by an event or a schedule, and resumed by what Meta reports: with and without the ninth digit, by the
    number of Meta's answer to a send, and by a user id."""
    async with receiver(answer) as provider, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        await set_up(pipeline, provider.url)
        until = sender(provider)
        talks = {
            "+55 (11) 90000-0002": "5511900000002",
            "+5511900000003": "551100000003",
            "5511987650001": "551187650001",
        }
        for started, _ in talks.items():
            await call(pipeline, started)
            await until((FIRST, started, "name?"))
        for number, reported in enumerate(talks.values()):
            await say(pipeline, text_message(reported, f"Ana {number}", f"a{number}"))
            await until((FIRST, reported, f"thanks Ana {number}"))

        moment = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        conversation = {"channel": "whatsapp", "contact": "whatsapp:+55 21 8765-0001"}
        schedule = {"flowId": "ask", "at": [moment], "conversation": conversation, "misfireGraceMs": 60_000}
        await pipeline.api("PUT", "/api/schedules/once", schedule)
        await until((FIRST, "whatsapp:+55 21 8765-0001", "name?"))
        await say(pipeline, text_message("5521987650001", "Rui", "b1"))
        await until((FIRST, "5521987650001", "thanks Rui"))

        await call(pipeline, "5511900000009")
        await until((FIRST, "5511900000009", "name?"))

        async with opened(postgres_dsn) as database:

            async def learned() -> bool:
                aliases = await database.fetch("select alias from contact_aliases where alias like 'BR.%'")
                return [row["alias"] for row in aliases] == ["BR.9"]

            await eventually(learned)
        await say(pipeline, text_message("5599911112222", "Eva", "c1"))
        await until((FIRST, "5599911112222", "thanks Eva"))
        assert len([one for one in sent(provider) if one[2] == "name?"]) == len(talks) + 2


async def test_a_person_with_a_user_name_and_two_numbers_of_our_own(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """The user id alone begins a conversation; the number joins it while a question is open. Each of our numbers
    answers for itself, and a number without a channel does not answer."""
    async with (
        receiver(answer) as provider,
        opened(postgres_dsn) as database,
        Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline,
    ):
        await set_up(pipeline, provider.url)
        until = sender(provider)
        by_user = {"from_user_id": "BR.1", "id": "u1", "timestamp": "1749416383", "type": "text"}
        await say(
            pipeline, by_user | {"text": {"body": "oi"}}, contacts=[{"user_id": "BR.1", "profile": {"name": "Ana"}}]
        )
        await until((FIRST, "BR.1", "name?"))
        both = text_message("5511900000005", "Ana", "u2") | {"from_user_id": "BR.1"}
        await say(pipeline, both)
        await until((FIRST, "5511900000005", "thanks Ana"))

        for number, identity in ((SECOND, "n2"), (THIRD, "n3"), (FIRST, "n1")):
            await say(pipeline, text_message("5511900000005", "oi", identity), number=number)
        await until((FIRST, "5511900000005", "name?"))
        await until((SECOND, "5511900000005", "name?"))
        await say(pipeline, text_message("5511900000005", "Bia", "n4"), number=SECOND)
        await until((SECOND, "5511900000005", "thanks Bia"))

        async def refused() -> bool:
            channels = await database.fetch("select channel_id from notifications where status = 'failed'")
            return [row["channel_id"] for row in channels] == [f"whatsapp-{THIRD}"]

        await eventually(refused)
        assert [one[0] for one in sent(provider)].count(THIRD) == 0
        assert len(sent(provider)) == 5
        contact = await database.fetchval(
            "select contact_id from contact_aliases where channel = 'whatsapp' and alias = 'BR.1'"
        )
        shown = await pipeline.api("GET", f"/api/contacts/{contact}")
        assert shown["aliases"] == ["5511900000005", "BR.1"]
        assert shown["address"] == "5511900000005"
        assert len(shown["conversations"]) == 1
