"""A message that is not delivered, from the provider's answer or receipt to the flow that has sent it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from filas.contract.policies import FLOWS, NOTIFICATIONS
from filas.repository.postgres.database import Database
from tests.e2e.pipeline import Pipeline
from tests.e2e.test_delivery_statuses import post_meta, set_up
from tests.flow_runner.harness import chain, flow, node
from tests.ingest.test_meta_bodies import text_message, whatsapp
from tests.notifier.receiver import receiver
from tests.notifier.rows import opened
from tests.redis_address import connect_url
from tests.waiting import eventually

REFUSED = {"error": {"code": 131047, "message": "Re-engagement message"}}
RE_ENGAGEMENT = {"code": 131047, "title": "Re-engagement message"}

ENDED = "select e.id from executions e where ltrim(e.contact, '+') = $1 and e.flow_id = $2 and e.ended_at is not null"
WAITING = (
    "select e.id from executions e where ltrim(e.contact, '+') = $1 and e.flow_id = $2 and e.status = 'waiting-input'"
)

BRANCHES = {
    "refused": node("refused", "message", text="please refuse", onError="branch", awaitMs=600_000),
    "nowhere": node(
        "nowhere", "message", text="oi", channel="{{ 'no-such-channel' }}", to="x", onError="branch", awaitMs=600_000
    ),
    "accepted": node("accepted", "message", text="aceito", onError="branch", awaitMs=600_000),
    "unasked": node("unasked", "input", prompt="refuse?", onError="branch", awaitMs=600_000),
    "asked": node("asked", "input", prompt="CPF?", onError="branch", awaitMs=600_000),
    "late": node("late", "message", text="tchau"),
}
"""The nodes that a contact reaches by their name."""


def branching() -> dict[str, Any]:
    names = list(BRANCHES)
    rules = [{"id": name, "rules": [_text_is(name)]} for name in names]
    edges = "start>which " + " ".join(f"which.{name}>{name} {name}.out>done" for name in names)
    edges += "".join(f" {name}.error>sorry" for name in names if name != "late")
    nodes = [node("which", "switch", cases=rules), *BRANCHES.values(), node("done", "end"), node("sorry", "end")]
    return flow(*nodes, edges=edges, settings={"undeliveredFlowId": "undelivered"})


def _text_is(text: str) -> dict[str, str]:
    return {"variable": "{{ conversation.text }}", "operator": "equals", "value": text}


class WhatsApp:
    """Accepts each message, except those with `refuse` in their text. It takes a second for the text `slow`."""

    def __init__(self) -> None:
        self.ids = itertools.count(1)
        self.accepted: dict[str, str] = {}
        self.slow = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        text = (await request.json())["text"]["body"]
        if text == self.slow:
            await asyncio.sleep(1.0)  # the provider's own slowness
        if "refuse" in text:
            return web.json_response(REFUSED, status=400)
        self.accepted[text] = f"wamid.{next(self.ids)}"
        return web.json_response({"messages": [{"id": self.accepted[text]}]})


class Chats:
    """A pipeline whose contacts each talk about something else."""

    def __init__(self, pipeline: Pipeline, provider: WhatsApp, database: Database) -> None:
        self.pipeline = pipeline
        self.provider = provider
        self.database = database

    async def say(self, contact: str, text: str) -> None:
        await post_meta(self.pipeline, whatsapp(text_message(contact, text, f"in-{contact}-{text}")))

    async def reported_as_failed(self, text: str) -> None:
        """The provider reports that the message with this text was not delivered, after it was recorded as sent."""
        provider_id = await eventually(lambda: self.provider.accepted.get(text), message=f"{text} was not sent")
        query = "select 1 from notifications where provider_id = $1 and status = 'sent'"
        await eventually(lambda: self.database.fetchval(query, provider_id))
        failed = {"id": provider_id, "status": "failed", "timestamp": "1790000000", "recipient_id": "5511"}
        await post_meta(self.pipeline, whatsapp(statuses=[failed | {"errors": [RE_ENGAGEMENT]}]))

    async def found(self, query: str, contact: str, flow_id: str = "echo") -> dict[str, Any]:
        """The execution as the API shows it, once the query finds it."""
        execution_id = await eventually(
            lambda: self.database.fetchval(query, contact, flow_id), message=f"{contact}: {flow_id}"
        )
        whole: dict[str, Any] = await self.pipeline.api("GET", f"/api/executions/{execution_id}")
        return whole


@asynccontextmanager
async def chatting(redis_url: str, postgres_dsn: str, logs: Path) -> AsyncIterator[Chats]:
    provider = WhatsApp()
    async with (
        receiver(provider.take) as server,
        Pipeline(redis_url, postgres_dsn, logs) as pipeline,
        opened(postgres_dsn) as database,
    ):
        await set_up(pipeline, server.url)
        await pipeline.api("PUT", "/api/flows/undelivered", chain(node("report", "end", output="{{ webhook.body }}")))
        await pipeline.api("PUT", "/api/flows/echo", branching())
        yield Chats(pipeline, provider, database)


def visited(execution: dict[str, Any]) -> list[str]:
    return [step["nodeId"] for step in execution["steps"]][2:]


async def test_a_flow_learns_that_its_message_was_not_delivered(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """At once by the provider's answer, or later by its receipt. No wait lasts until its `awaitMs` are over."""
    async with chatting(redis_url, postgres_dsn, tmp_path) as chats:
        ends = {"refused": "sorry", "nowhere": "sorry", "accepted": "done", "unasked": "sorry"}
        for number, name in enumerate([*ends, "asked", "late"]):
            await chats.say(f"551190000000{number}", name)
        for number, (name, end) in enumerate(ends.items()):
            execution = await chats.found(ENDED, f"551190000000{number}")
            assert (visited(execution), execution["status"]) == ([name, end], "succeeded")
        await chats.found(WAITING, "5511900000004")
        await chats.reported_as_failed("CPF?")
        assert visited(await chats.found(ENDED, "5511900000004")) == ["asked", "sorry"]
        await chats.reported_as_failed("tchau")
        late = await chats.found(ENDED, "5511900000005")
        reported = await chats.found(ENDED, "5511900000005", "undelivered")
        assert reported["output"]["message"]["content"]["text"] == "tchau"
        assert reported["output"]["message"]["nodeId"] == "late"
        same = {name: late[name] for name in ("id", "flowId", "version", "status")}
        assert reported["output"]["execution"] == same
        assert "131047" in reported["output"]["error"]["message"]
        assert reported["conversationId"] == late["conversationId"]
        await eventually(lambda: chats.database.fetchval("select count(*) = 0 from message_outcomes"))
        assert await chats.database.fetchval("select count(*) from executions where flow_id = 'undelivered'") == 1


async def test_an_outcome_outlives_redis_and_the_processes(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The messages are delivered, or fail, while no flow-runner runs, and Redis is emptied. Its relay finds the
    outcomes, and each execution continues once."""
    redis = connect_url(redis_url)
    async with chatting(redis_url, postgres_dsn, tmp_path) as chats:
        pipeline = chats.pipeline
        pipeline.kill("notifier")
        contacts = {"5511900000000": "refused", "5511900000001": "accepted", "5511900000002": "asked"}
        for contact, name in contacts.items():
            await chats.say(contact, name)
        waiting = "select count(*) = 3 from executions where status in ('waiting-callback', 'waiting-input')"
        await eventually(lambda: chats.database.fetchval(waiting))
        pipeline.kill("flow-runner")
        pipeline.start("notifier")
        await chats.reported_as_failed("CPF?")
        await eventually(lambda: chats.database.fetchval("select count(*) = 3 from message_outcomes"))
        pipeline.kill("notifier")
        await redis.command("FLUSHDB")
        await chats.database.fetch("update message_outcomes set created_at = created_at - interval '1 minute'")
        pipeline.start("flow-runner")
        ends = {"5511900000000": "sorry", "5511900000001": "done", "5511900000002": "sorry"}
        for contact, end in ends.items():
            assert visited(await chats.found(ENDED, contact)) == [contacts[contact], end]
        await eventually(lambda: chats.database.fetchval("select count(*) = 0 from message_outcomes"))
        for queue in (FLOWS, NOTIFICATIONS):
            assert not await redis.command("ZCARD", f"{{{queue.name}}}:dead")
    await redis.close()


async def test_an_answer_that_overtakes_the_provider_answers_the_question_that_follows(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """The provider takes a second for the greeting. The contact's second message arrives meanwhile: it waits, and is
    the reply to the question after the greeting. It starts no second execution."""
    greet = node("greet", "message", text="demorado", onError="branch")
    ask = node("ask", "input", prompt="Nome?", variable="nome")
    flow_of_chat = flow(
        greet,
        ask,
        node("done", "end", output="{{ vars.nome }}"),
        node("sorry", "end"),
        edges="start>greet greet.out>ask greet.error>sorry ask.out>done",
        variables=[{"name": "nome"}],
    )
    async with chatting(redis_url, postgres_dsn, tmp_path) as chats:
        await chats.pipeline.api("PUT", "/api/flows/echo", flow_of_chat)
        chats.provider.slow = "demorado"
        await chats.say("5511900000000", "oi")
        begun = "select 1 from executions where status = 'waiting-callback'"
        await eventually(lambda: chats.database.fetchval(begun))
        await chats.say("5511900000000", "Ana")
        done = await chats.found(f"{ENDED} and e.resumed_id is null", "5511900000000")
        assert done["output"] == "Ana"
        assert [step["nodeId"] for step in done["steps"]] == ["start", "greet", "ask", "done"]
        assert await chats.database.fetchval("select count(*) from executions where resumed_id is null") == 1
