"""The five mistakes of a newcomer: each ends in a message that names the cause, where the person looks first."""

from pathlib import Path
from typing import Any

from aiohttp import web

from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, Receiver, receiver
from tests.flow_runner.harness import chain, node
from tests.waiting import eventually

HELLO = chain(node("say", "message", text="Hello {{ webhook.body.name }}"))
TALK = {"channel": "console", "contact": "{{ body.from }}", "text": "{{ body.text }}"}
MESSAGE = b'{"from":"+5511999990000","text":"oi","name":"Maria"}'


class Broken(Receiver):
    """An API that answers 500."""

    async def handle(self, request: web.Request) -> web.Response:
        """Answers 500."""
        self.note(request, await request.read())
        return web.Response(status=500, text="out of order")


class Newcomer:
    """What a person does, and reads."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def put(self, path: str, document: Any) -> tuple[int, Any]:
        """Returns the status and the whole answer of a PUT."""
        url = f"http://127.0.0.1:{self._pipeline.admin_ports['ingest-admin']}/api/{path}"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self._pipeline.session.put(url, json=document, headers=headers) as answer:
            return answer.status, await answer.json()

    async def refused(self, path: str, document: Any) -> list[tuple[str, str]]:
        """The fields and messages of a PUT that is answered with 422."""
        status, answer = await self.put(path, document)
        assert status == 422, answer
        return [(one.get("field", ""), one["message"]) for one in answer["errors"]]

    async def stored(self, path: str, document: Any) -> None:
        """Stores a definition."""
        status, answer = await self.put(path, document)
        assert status == 200, answer

    async def sent(self, webhook: str) -> str:
        """Sends a message to a webhook. Returns the id of its event, when it has ended."""
        status, receipt = await self._pipeline.webhook(webhook, MESSAGE)
        assert status == 200, receipt
        event: str = receipt["eventId"]

        async def ended() -> bool:
            return bool((await self._pipeline.api("GET", f"/api/events/{event}"))["status"] != "received")

        await eventually(ended)
        return event

    async def execution(self, event: str) -> str:
        """The id of the event's execution, when it has ended."""

        async def ended() -> str | None:
            found = await self._pipeline.api("GET", f"/api/executions?eventId={event}")
            return str(found[0]["id"]) if found and found[0]["endedAt"] is not None else None

        return await eventually(ended, timeout=60)

    async def why(self, **asked: str) -> Any:
        """The answer of `filas why`."""
        [(kind, name)] = asked.items()
        return await self._pipeline.api("GET", f"/api/doctor?{kind}={name}")

    async def finding(self, code: str, subject: str, words: str) -> Any:
        """The finding of `filas doctor` with this code and subject whose message has these words."""

        async def found() -> Any:
            report = await self._pipeline.api("GET", "/api/doctor")
            named = (one for one in report["findings"] if (one["code"], one["subject"]["id"]) == (code, subject))
            return next((one for one in named if words in one["message"]), None)

        return await eventually(found, message=f"no finding {code} of {subject}: {words}")

    async def replayed(self, event: str) -> Any:
        """Replays an event as the advice states. Returns its newest execution, when it has ended."""
        before = len(await self._pipeline.api("GET", f"/api/executions?eventId={event}"))
        await self._pipeline.api("POST", f"/api/events/{event}/replay")

        async def ended() -> Any:
            found = await self._pipeline.api("GET", f"/api/executions?eventId={event}")
            return found[0] if len(found) > before and found[0]["endedAt"] is not None else None

        return await eventually(ended, timeout=60)


async def test_five_mistakes_are_explained(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """By the answer of the PUT, by the doctor, and by `why`. The advice works."""
    async with receiver(Broken()) as crm, Pipeline(redis_url, postgres_dsn, tmp_path) as pipeline:
        person = Newcomer(pipeline)
        await person.stored("channels/console", {"type": "console"})
        await person.stored("flows/hello", HELLO)
        await wrong_flow(person)
        await wrong_node(person)
        await wrong_field(person)
        await missing_channel(person)
        await failing_api(person, crm.url)


async def wrong_flow(person: Newcomer) -> None:
    """`helo` instead of `hello`."""
    wrong = {"flowId": "helo", "conversation": TALK}
    refused = await person.refused("webhooks/one", wrong)
    assert refused == [("flowId", "no flow 'helo' is stored: did you mean `hello`?")]
    await person.stored("webhooks/one?force=true", wrong)
    event = await person.sent("one")
    answer = await person.why(event=event)
    assert answer["sentence"] == "it failed: permanent: no version of the flow is published: helo"
    assert f"filas events replay {event}" in answer["remedy"]
    await person.finding("webhook-without-flow", "one", "the flow helo does not exist")
    await person.stored("webhooks/one", {"flowId": "hello", "conversation": TALK})
    assert (await person.replayed(event))["status"] == "succeeded"


async def wrong_node(person: Newcomer) -> None:
    """`strat` instead of `start`."""
    wrong = {"flowId": "hello", "nodeId": "strat", "conversation": TALK}
    refused = await person.refused("webhooks/two", wrong)
    assert refused == [("nodeId", "flow 'hello' has no node 'strat': did you mean `start`?")]
    await person.stored("webhooks/two?force=true", wrong)
    event = await person.sent("two")
    execution = await person.execution(event)
    for answer in (await person.why(event=event), await person.why(execution=execution)):
        assert "version 1 of flow hello has no node strat" in answer["sentence"]
        assert answer["remedy"] == f"correct the webhook, then `filas events replay {event}`"
    found = await person.finding("flow-failing", "hello", "has no node strat")
    assert "filas events replay-all" in found["remedy"]
    await person.stored("webhooks/two", {"flowId": "hello", "conversation": TALK})
    assert (await person.replayed(event))["status"] == "succeeded"


async def wrong_field(person: Newcomer) -> None:
    """`body.form` instead of `body.from`. No event is known when the webhook is stored."""
    wrong = {"flowId": "hello", "conversation": {**TALK, "contact": "{{ body.form }}"}}
    await person.stored("webhooks/three", wrong)
    event = await person.sent("three")
    execution = await person.execution(event)
    cause = "the template of the webhook's conversation.contact, `{{ body.form }}`, is empty for the event"
    for answer in (await person.why(event=event), await person.why(execution=execution)):
        assert cause in answer["sentence"]
        assert answer["remedy"] == f"correct the webhook, then `filas events replay {event}`"
    await person.finding("flow-failing", "hello", cause)
    refused = await person.refused("webhooks/three", wrong)
    assert refused == [("conversation.contact", "`body.form`: did you mean `body.from`?")]
    await person.stored("webhooks/three", {"flowId": "hello", "conversation": TALK})
    assert (await person.replayed(event))["status"] == "succeeded"


async def missing_channel(person: Newcomer) -> None:
    """A channel that is not stored."""
    wrong = {"flowId": "hello", "conversation": {**TALK, "channel": "sales"}}
    refused = await person.refused("webhooks/four", wrong)
    assert refused == [("conversation.channel", "no channel 'sales' is stored: store it first")]
    await person.stored("webhooks/four?force=true", wrong)
    event = await person.sent("four")
    execution = await person.execution(event)
    await person.finding("messages-undelivered", "sales", "there is no channel 'sales'")
    for answer in (await person.why(event=event), await person.why(execution=execution)):
        assert "but 1 message was not delivered: channel: there is no channel 'sales'" in answer["sentence"]


async def failing_api(person: Newcomer, url: str) -> None:
    """An API that answers 500."""
    await person.stored("flows/crm", chain(node("ask", "api", url=f"{url}/people", retry={"maxAttempts": 1})))
    await person.stored("webhooks/five", {"flowId": "crm", "conversation": TALK})
    event = await person.sent("five")
    execution = await person.execution(event)
    for answer in (await person.why(event=event), await person.why(execution=execution)):
        assert "it failed at the node ask: " in answer["sentence"]
        assert "500" in answer["sentence"]
        assert answer["remedy"] == f"correct the cause, then `filas executions replay {execution}`"
    await person.finding("flow-failing", "crm", "500")
