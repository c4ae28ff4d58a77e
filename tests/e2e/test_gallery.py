"""The flows of deploy/examples, each through the whole pipeline, with the outside played by a local server."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from filas.crypto import standard_webhooks
from tests.e2e.pipeline import ADMIN_TOKEN, Pipeline, Receiver, receiver, until_all_final
from tests.shared.cli.running import filas
from tests.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
NAMES = sorted(path.stem for path in (EXAMPLES / "flows").glob("*.json"))
BEARER = {"Authorization": "Bearer let-me-in"}
SIGNING_SECRET = "whsec_" + "c2lnbmluZy1zZWNyZXQtb2YtdGhlLWNybQ=="
ADDRESSES = ("shop", "clinic", "crm")
"""The variables of the flows that contain an address or a recipient outside."""


def example(kind: str, name: str) -> dict[str, Any]:
    """A file of the gallery."""
    found: dict[str, Any] = json.loads((EXAMPLES / kind / f"{name}.json").read_text())
    return found


class Outside(Receiver):
    """A shop, a clinic, a CRM, Slack, and the contact's phone. `answer` maps an address to its answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Callable[[str, int], web.Response] = lambda _path, _times: web.json_response({"ok": True})

    async def handle(self, request: web.Request) -> web.Response:
        self.note(request, await request.read())
        if request.path == "/messages":
            return web.json_response({})
        if request.path == "/api/chat.postMessage":
            ts = f"{len(self.at(request.path))}.2"
            return web.json_response({"ok": True, "channel": "C1", "ts": ts})
        return self.answer(request.path, len(self.at(request.path)))

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Who was received what over the channel `console`."""
        found = [json.loads(body) for _, body in self.at("/messages")]
        return [(one["to"], one["text"]) for one in found]

    async def received(self, count: int) -> list[tuple[str, str]]:
        """The messages, once there are `count`."""
        return await eventually(lambda: self.messages if len(self.messages) >= count else None)


@asynccontextmanager
async def installed(name: str, stores: tuple[str, str], logs: Path) -> AsyncIterator[tuple[Pipeline, Outside]]:
    """The pipeline with one example as in its files, except the addresses outside."""
    async with receiver(Outside()) as outside:
        pipeline = Pipeline(*stores, logs)
        pipeline.environment["SECRET_SLACK_BOT_TOKEN"] = "xoxb-the-token"
        async with pipeline:
            assert isinstance(outside, Outside)
            console = {"type": "http", "url": f"{outside.url}/messages", "secret": SIGNING_SECRET}
            await pipeline.api("PUT", "/api/channels/console", console)
            await pipeline.api("PUT", "/api/channels/slack", example("channels", "slack") | {"baseUrl": outside.url})
            await pipeline.api("PUT", "/api/secrets/shop", {"value": "the-shops-key"})
            await pipeline.api("PUT", "/api/secrets/crm_signing", {"value": SIGNING_SECRET})
            flow = example("flows", name)
            for variable in flow.get("variables", []):
                if variable["name"] in ADDRESSES:
                    variable["default"] = outside.url
            await pipeline.api("PUT", f"/api/flows/{name}", flow)
            await pipeline.api("PUT", f"/api/webhooks/{name}", example("webhooks", name))
            yield pipeline, outside


async def post(pipeline: Pipeline, name: str, event: dict[str, Any], headers: dict[str, str]) -> None:
    status, answer = await pipeline.webhook(name, json.dumps(event).encode(), headers)
    assert status == 200, answer


async def end_of(pipeline: Pipeline, count: int = 1) -> list[tuple[str, list[str]]]:
    """The status and the visited nodes of every execution, the oldest first, once all have ended."""
    ended = await until_all_final(pipeline, count)
    found = [await pipeline.api("GET", f"/api/executions/{one['id']}") for one in ended]
    found.sort(key=lambda one: one["startedAt"] or "")
    return [(one["status"], [step["nodeId"] for step in one["steps"]]) for one in found]


@pytest.mark.starts_processes
async def test_every_example_is_valid() -> None:
    """By `filas flows check`; and each has its webhook and its event."""
    run = await filas("flow", "check", *(str(EXAMPLES / "flows" / f"{name}.json") for name in NAMES))
    assert run.code == 0, run.out
    for name in NAMES:
        assert example("webhooks", name)["flowId"] == name
        assert example("events", name)


async def test_support_menu(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A choice is answered, what is none is asked again once, and then a person is called."""
    async with installed("support-menu", (redis_url, postgres_dsn), tmp_path) as (pipeline, outside):
        contact = example("events", "support-menu")["from"]

        async def waiting() -> bool:
            return len(await pipeline.executions(status="waiting-input")) == 1

        for count, text in ((1, "oi"), (3, "1"), (4, "banana")):
            await post(pipeline, "support-menu", {"from": contact, "text": text}, BEARER)
            assert len(await outside.received(count)) == count
            await eventually(waiting)
        await post(pipeline, "support-menu", {"from": contact, "text": "abacate"}, BEARER)
        received = await outside.received(6)
        assert [text[:9] for to, text in received if to == contact] == [
            "Olá! Como",
            "Atendemos",
            "Mais algu",
            "Não enten",
            "Certo, al",
        ]
        assert dict(received)["support"] == f"{contact} asks for a person; the last message was: abacate"
        menu = json.loads(outside.at("/messages")[0][1])
        assert [button["title"] for button in menu["buttons"]] == ["Horário", "Segunda via", "Falar com alguém"]
        [(status, visited)] = await end_of(pipeline)
        assert (status, visited[-2:]) == ("succeeded", ["notify-team", "person"])


async def test_order_status(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The shop fails once. The call is repeated under the same key, and the contact receives the response."""
    async with installed("order-status", (redis_url, postgres_dsn), tmp_path) as (pipeline, outside):
        order = {"status": "shipped", "eta": "2026-12-01", "total": 1234.5}
        outside.answer = lambda _, times: web.json_response(order, status=503 if times == 1 else 200)
        event = example("events", "order-status")
        await post(pipeline, "order-status", event, BEARER)
        assert await outside.received(1) == [
            (event["from"], "Pedido 1234: a caminho. Total: R$ 1.234,50. Previsão: 01/12.")
        ]
        assert await end_of(pipeline) == [
            ("succeeded", ["start", "names-order", "number", "look-up", "is-unknown", "report"])
        ]
        calls = outside.at("/orders/1234")
        assert [headers["authorization"] for headers, _ in calls] == ["Bearer the-shops-key"] * 2
        assert set(outside.keys("/orders/1234").values()) == {2}
        outside.answer = lambda *_: web.json_response({}, status=404)
        await post(pipeline, "order-status", event | {"from": "+1", "text": "order 9"}, BEARER)
        await post(pipeline, "order-status", event | {"from": "+2", "text": "oi"}, BEARER)
        received = dict(await outside.received(3))
        assert "Não encontrei o pedido 9" in received["+1"]
        assert "pedido 1234" in received["+2"]


async def test_appointment_reminder(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A reply ends a delay of weeks: the first reply changes nothing, the second one cancels. A contact that does not
    reply is reminded in time."""
    async with installed("appointment-reminder", (redis_url, postgres_dsn), tmp_path) as (pipeline, outside):
        event = example("events", "appointment-reminder")
        far = {"remindAt": (datetime.now(UTC) + timedelta(days=20)).isoformat()}
        near = {"remindAt": (datetime.now(UTC) + timedelta(seconds=3)).isoformat()}
        await post(pipeline, "appointment-reminder", event | far, BEARER)
        await post(
            pipeline, "appointment-reminder", event | near | {"id": "a-78", "phone": "+2", "name": "Ana"}, BEARER
        )
        said = await outside.received(2)
        assert (event["phone"], _booked("Maria")) in said

        async def waiting() -> bool:
            return len(await pipeline.executions(status="waiting-timer")) >= 1

        for text, count in (("ok, obrigada", 4), ("quero cancelar", 5)):
            await eventually(waiting)
            await post(pipeline, "appointment-reminder", {"phone": event["phone"], "text": text}, BEARER)
            await outside.received(count)
        received = [text for to, text in outside.messages if to == event["phone"]]
        assert received[1:] == [
            "Certo! Para cancelar a consulta, responda CANCELAR.",
            "Pronto, a consulta foi cancelada.",
        ]
        assert [text for to, text in outside.messages if to == "+2"][1].startswith("Lembrete: Ana, sua consulta")
        assert len(outside.at("/appointments/a-77")) == 1
        paths = [path for _, path in await end_of(pipeline, 2)]
        reminded = ["start", "is-appointment", "booked", "wait", "replied", "remind"]
        # The two begin at the same time, so either may be the first in the list.
        paths.remove(reminded)
        assert paths[0][3:] == [
            "wait",
            "replied",
            "cancels",
            "noted",
            "wait",
            "replied",
            "cancels",
            "cancel",
            "cancelled",
        ]


def _booked(name: str) -> str:
    return (
        f"Olá, {name}! Sua consulta com Dra. Lúcia está marcada para 18/12 às 14:30. Para cancelar, responda CANCELAR."
    )


async def test_github_to_slack(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """A signed pull request is posted to Slack in Slack's format, with its description in the thread below it; a push
    starts no message."""
    async with installed("github-to-slack", (redis_url, postgres_dsn), tmp_path) as (pipeline, outside):
        example = (EXAMPLES / "events" / "github-to-slack.json").read_bytes()
        # Equal signed bodies would be one event.
        for number, (kind, raw) in enumerate((("pull_request", example), ("push", example + b"\n"))):
            signature = "sha256=" + hmac.new(b"let-me-in", raw, hashlib.sha256).hexdigest()
            headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": kind, "X-GitHub-Delivery": f"d-{number}"}
            status, answer = await pipeline.webhook("github-to-slack", raw, headers)
            assert status == 200, answer
        assert sorted(await end_of(pipeline, 2)) == [
            ("succeeded", ["start", "is-pull-request", "is-release"]),
            ("succeeded", ["start", "is-pull-request", "pull-request", "has-description", "description"]),
        ]
        [(headers, body), (_, below)] = await eventually(
            lambda: found if len(found := outside.at("/api/chat.postMessage")) > 1 else None
        )
        sent, description = json.loads(body), json.loads(below)
        assert headers["authorization"] == "Bearer xoxb-the-token"
        assert (description["channel"], description["thread_ts"]) == ("#dev", "1.2")
        assert description["text"].endswith("if that is &lt; 60 s.")
        assert sent["channel"] == "#dev"
        assert "*acme/shop*: maria asks for a review of <https://github.com/acme/shop/pull/42|#42" in sent["text"]


async def test_lead_form(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    """The CRM gets a signed webhook and the contact a message; the same submission again is a duplicate, and a form
    without an address fails with its reason."""
    async with installed("lead-form", (redis_url, postgres_dsn), tmp_path) as (pipeline, outside):
        outside.answer = lambda *_: web.json_response({"id": "lead-5"})
        event, key = example("events", "lead-form"), {"X-Form-Key": "let-me-in"}
        await post(pipeline, "lead-form", event, key)
        status, answer = await pipeline.webhook("lead-form", json.dumps(event).encode(), key)
        assert (status, answer["duplicate"]) == (200, True)
        assert await outside.received(1) == [
            (event["phone"], "Oi, Maria! Recebemos o seu contato e respondemos ainda hoje.")
        ]
        [(headers, body)] = outside.at("/leads")
        assert json.loads(body) == {
            "source": "site",
            "name": "maria silva",
            "email": "maria@example.com",
            "phone": event["phone"],
            "interests": ["chatbots", "webhooks"],
        }
        signed = standard_webhooks.signed_headers(
            [SIGNING_SECRET], headers["webhook-id"], int(headers["webhook-timestamp"]), body
        )
        assert signed["webhook-signature"] == headers["webhook-signature"]
        [execution] = await until_all_final(pipeline, 1)
        assert execution["output"] == {"lead": "lead-5"}
        await post(pipeline, "lead-form", event | {"submission": "f-2", "email": "nobody"}, key)
        failed = [one for one in await until_all_final(pipeline, 2) if one["status"] == "failed"]
        assert failed[0]["output"]["reason"] == "name or e-mail is missing"


async def test_the_examples_can_be_tried_without_consequences(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """By the test runs that the README of the examples shows: with answers that fail at first, and with replies."""
    async with installed("order-status", (redis_url, postgres_dsn), tmp_path) as (pipeline, outside):
        address = f"http://127.0.0.1:{pipeline.admin_ports['ingest-admin']}"
        environ = {"FILAS_URL": address, "FILAS_ADMIN_TOKEN": ADMIN_TOKEN}

        async def tried(name: str, *options: str) -> dict[str, Any]:
            file = str(EXAMPLES / "flows" / f"{name}.json")
            run = await filas("flow", "test", file, *options, "--json", environ=environ)
            assert run.code == 0, run.err
            result: dict[str, Any] = run.json
            return result

        answers = str(EXAMPLES / "answers" / "order-status.json")
        run = await tried("order-status", "--text", "pedido 1234", "--answers", answers)
        assert [call["attempt"] for call in run["calls"] if call["method"]] == [1, 2, 3]
        assert run["calls"][-1]["payload"]["text"] == "Pedido 1234: a caminho. Previsão: 01/12."
        event = example("events", "appointment-reminder")
        event["remindAt"] = (datetime.now(UTC) + timedelta(days=20)).isoformat()
        (tmp_path / "event.json").write_text(json.dumps(event))
        given = ("--event", str(tmp_path / "event.json"), "--reply", "ok", "--reply", "quero cancelar")
        run = await tried("appointment-reminder", *given)
        assert run["calls"][-1]["payload"]["text"] == "Pronto, a consulta foi cancelada."
        run = await tried("support-menu", "--text", "oi", "--reply", "2", "--no-reply")
        said = [call["payload"]["text"] for call in run["calls"]]
        assert said[1:] == [
            "A segunda via está em https://example.com/boleto.",
            "Mais alguma coisa?",
            "Encerramos por aqui. Quando precisar, é só mandar uma mensagem.",
        ]
        assert outside.requests == []
        assert await pipeline.executions() == []
