"""`POST /api/flows/{id}/test` through the API, the queue and a flow-runner's process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.flow_runner.harness import chain, node
from tests.flow_runner.processes import receiving, running
from tests.ingest.api.serving import SECRET_KEY, Api, fields_of, serving
from tests.waiting import eventually

HI = node("hi", "message", text="Olá {{ vars.nome }}, {{ conversation.text }}!")
NAME = [{"name": "nome", "default": "ninguém"}, {"name": "idade", "type": "number"}]
WAIT = node("wait", "delay", ms=3_600_000)


def _call(url: str = "https://crm.example/x") -> dict[str, Any]:
    return node("call", "api", method="POST", url=url, responseMapping=[{"variable": "nome", "path": "body.name"}])


@asynccontextmanager
async def installed(postgres_dsn: str, redis_url: str) -> AsyncIterator[Api]:
    """The API and a flow-runner."""
    async with serving(redis_url, postgres_dsn) as api, running(postgres_dsn, redis_url, FILAS_SECRET_KEY=SECRET_KEY):
        yield api


async def test_a_test_run_shows_everything_and_leaves_nothing(postgres_dsn: str, redis_url: str) -> None:
    """A stored flow with a call, an hour's wait and a message: the trace is complete, no call was made, and no row of
    an execution, a conversation or a notification is there afterwards."""
    async with receiving() as receiver, installed(postgres_dsn, redis_url) as api:
        definition = chain(_call(receiver.url), WAIT, HI, variables=NAME)
        assert (await api.put("/flows/welcome", definition)).status == 200
        given = {
            "conversation": {"contact": "5511", "channel": "zap", "text": "oi"},
            "answers": {"call": {"body": {"name": "Ana"}}},
        }
        reply = await api.post("/flows/welcome/test", given)
        assert reply.status == 200, reply.text
        data = reply.data
        assert (data["status"], data["version"], data["vars"]["nome"]) == ("succeeded", 1, "Ana")
        assert [step["nodeId"] for step in data["steps"]] == ["start", "call", "wait", "hi"]
        assert [(one["nodeId"], one["url"], one["to"]) for one in data["calls"]] == [
            ("call", receiver.url, None),
            ("hi", None, "5511"),
        ]
        assert data["calls"][1]["payload"]["text"] == "Olá Ana, oi!"
        assert (await api.get(f"/flows/welcome/test/{data['id']}")).data == data
        assert (await api.get(f"/flows/other/test/{data['id']}")).status == 404
        assert receiver.calls == []
        for table in ("executions", "steps", "conversations", "notifications", "events", "dead_letters"):
            assert await api.database.fetchval(f"select count(*) from {table}") == 0, table


async def test_an_unsaved_flow_is_checked_and_run_from_any_node(postgres_dsn: str, redis_url: str) -> None:
    """The definition comes with the request; nothing is stored under its id."""
    async with installed(postgres_dsn, redis_url) as api:
        definition = chain(_call(), HI, variables=NAME)
        given = {"definition": definition, "nodeId": "hi", "vars": {"nome": "Eva", "idade": "41"}}
        data = (await api.post("/flows/draft/test", given)).data
        assert (data["status"], data["version"], data["vars"]) == ("succeeded", None, {"nome": "Eva", "idade": 41})
        assert (await api.get("/flows/draft")).status == 404
        bad = {**definition, "nodes": [*definition["nodes"], node("lost", "message")]}
        assert {error["nodeId"] for error in (await api.post("/flows/d/test", {"definition": bad})).json["errors"]} == {
            "lost"
        }
        webhook = {"flowId": "draft", "conversation": {"channel": "zap", "contact": "{{ body.from }}"}}
        await api.put("/flows/draft", definition)
        assert (await api.put("/webhooks/crm?force=true", webhook | {"auth": {"type": "none"}})).status == 200
        read = {"webhookId": "crm", "webhook": {"body": {"from": "+55 11"}}, "nodeId": "hi"}
        data = (await api.post("/flows/draft/test", read)).data
        assert (data["calls"][0]["channel"], data["calls"][0]["to"]) == ("zap", "+55 11")


async def test_a_run_that_takes_longer_is_asked_for_later(postgres_dsn: str, redis_url: str) -> None:
    """Without a flow-runner the answer is 202; once one runs, the result is there."""
    async with serving(redis_url, postgres_dsn) as api:
        given = {"definition": chain(HI, variables=NAME), "timeoutMs": 50}
        first = await api.post("/flows/draft/test", given)
        assert (first.status, first.data["status"], first.data["steps"]) == (202, "running", [])
        address = f"/flows/draft/test/{first.data['id']}"
        assert (await api.get(address)).status == 202

        async def ended() -> bool:
            return (await api.get(address)).status == 200

        async with running(postgres_dsn, redis_url, FILAS_SECRET_KEY=SECRET_KEY):
            await eventually(ended, 60)
        assert (await api.get(address)).data["status"] == "succeeded"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"nodeId": "unknown"}, "nodeId"),
        ({"outputs": {"unknown": 1}}, "outputs.unknown"),
        ({"answers": {"unknown": {}}}, "answers.unknown"),
        ({"answers": {"hi": []}}, "answers.hi"),
        ({"answers": {"hi": {"status": 7}}}, "answers[...].status"),
        ({"vars": {"unknown": 1}}, "vars.unknown"),
        ({"vars": {"idade": "old"}}, "vars.idade"),
        ({"webhookId": "unknown"}, "webhookId"),
        ({"conversation": {"contact": "{{ body.from }}"}}, "conversation.contact"),
        ({"conversation": {"channel": "{% if x %}a{% endif %}"}}, "conversation.channel"),
        ({"replies": "sim"}, "replies"),
        ({"version": 1}, "version"),
        ({"definition": {}}, "nodes"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_what_cannot_be_run_is_refused(postgres_dsn: str, redis_url: str, given: Any, field: str) -> None:
    """422 with the field, before any job is enqueued."""
    async with serving(redis_url, postgres_dsn) as api:
        reply = await api.post("/flows/draft/test", {"definition": chain(HI, variables=NAME), **given})
        assert field in fields_of(reply), reply.text


async def test_a_webhook_whose_contact_is_empty_for_the_event_is_reported(postgres_dsn: str, redis_url: str) -> None:
    """With the template, which is most likely misspelt."""
    async with serving(redis_url, postgres_dsn) as api:
        await api.put("/flows/draft", chain(HI, variables=NAME))
        rule = {"channel": "zap", "contact": "{{ body.form }}", "text": "{{ body.text }}"}
        await api.put("/webhooks/draft?force=true", {"flowId": "draft", "conversation": rule})
        given = {"webhookId": "draft", "webhook": {"body": {"from": "55119", "text": "oi"}}}
        reply = await api.post("/flows/draft/test", given)
        assert fields_of(reply) == ["webhook"], reply.text
        assert "conversation.contact, `{{ body.form }}`, is empty" in reply.json["errors"][0]["message"]


async def test_null_replies_are_accepted(postgres_dsn: str, redis_url: str) -> None:
    """As the whole list, and in it."""
    async with serving(redis_url, postgres_dsn) as api:
        for replies in (None, [], [None], ["sim", None, "sim"]):
            given = {"definition": chain(HI, variables=NAME), "replies": replies, "timeoutMs": 0}
            reply = await api.post("/flows/draft/test", given)
            assert reply.status == 202, reply.text


async def test_a_flow_that_is_not_there_is_not_found(postgres_dsn: str, redis_url: str) -> None:
    async with serving(redis_url, postgres_dsn) as api:
        assert (await api.post("/flows/nothing/test", {})).status == 404
        assert (await api.get("/flows/nothing/test/no-id")).status == 404
        assert (await api.get("/flows/nothing/test/0190aaaa-0000-7000-8000-000000000000")).status == 404


async def test_a_run_whose_job_failed_or_was_cancelled_has_failed(postgres_dsn: str, redis_url: str) -> None:
    """A job that ended as a dead letter is a failed run; one that is cancelled before it runs is one when a worker has
    seen that."""
    async with serving(redis_url, postgres_dsn) as api:
        given = {"definition": chain(HI, variables=NAME), "timeoutMs": 0}
        first, second = [(await api.post("/flows/draft/test", given)).data["id"] for _ in range(2)]
        result = b'{"s":false,"r":{"$error":{"type":"RuntimeError","message":"x"}}}'
        await api.redis.command("SET", "arq:result:{flow-processing}:test:" + first, result)
        failed = (await api.get(f"/flows/draft/test/{first}")).data
        assert (failed["status"], failed["error"]["kind"]) == ("failed", "job")
        job = f"{{flow-processing}}:test:{second}"
        assert (await api.get(f"/jobs/{job}")).data["name"] == "test_flow"
        assert (await api.post(f"/jobs/{job}/cancel")).status == 200

        async def ended() -> bool:
            return (await api.get(f"/flows/draft/test/{second}")).status != 202

        async with running(postgres_dsn, redis_url, FILAS_SECRET_KEY=SECRET_KEY):
            await eventually(ended, 60)
        assert (await api.get(f"/flows/draft/test/{second}")).data["status"] == "failed"
