"""The clinic at work: what its patients and customers did, with what failed, what waits and what was refused."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from filas.repository.postgres.database import Database
from tests.browser import clinic_flows, clinic_hour
from tests.browser.clinic_flows import BEARER
from tests.e2e.pipeline import Pipeline, Receiver, receiver
from tests.ingest.test_meta_bodies import whatsapp
from tests.ingest.verify.test_signatures import meta_signature
from tests.notifier.rows import opened
from tests.waiting import eventually

PEOPLE = {
    "5511987654321": "Maria Aparecida da Silva",
    "5521998877665": "João Batista Nogueira",
    "5531991234567": "Ana Lúcia Ferreira",
    "5541988112233": "Pedro Henrique Álvares",
    "5551997766554": "Conceição Gonçalves de Araújo e Albuquerque",
    "5561996543210": "Luís Otávio Brandão",
    "5571993332211": "Thaís Müller",
    "5581994445566": "Íris do Nascimento",
}
PHONES = tuple(PEOPLE)
NOT_ON_WHATSAPP = {"558599990000", "558599990001"}
BOUND_S = 120
"""How long the services may take for the work of the clinic on a loaded machine."""

in_utf8 = partial(web.json_response, dumps=partial(json.dumps, ensure_ascii=False))
"""An answer as people read it: without escapes."""


class Outside(Receiver):
    """The provider, the accounts, the laboratory and the calendar of the clinic."""

    def __init__(self) -> None:
        super().__init__()
        self._messages = itertools.count(1)
        self.accounts_are_down = False

    async def handle(self, request: web.Request) -> web.Response:
        """Notes the request and answers as the service at its path does."""
        body = await request.read()
        self.note(request, body)
        if request.path.endswith("/messages"):
            if json.loads(body)["to"] in NOT_ON_WHATSAPP:
                error = {"error": {"code": 131026, "message": "Message undeliverable"}}
                return in_utf8(error, status=400)
            return in_utf8({"messages": [{"id": f"wamid.{next(self._messages)}"}]})
        if request.path == "/sms":
            return in_utf8({"erro": "limite do plano"}, status=429, headers={"Retry-After": "86400"})
        if request.path == "/equipe":
            return in_utf8({"erro": "destinatário desconhecido"}, status=400)
        if request.path.startswith("/financeiro") and self.accounts_are_down:
            return in_utf8({"erro": "manutenção"}, status=503)
        return in_utf8({"ok": True, "livres": ["terça às 9h30", "quinta às 14h"]})


class Clinic:
    """A running pipeline with the clinic's definitions, and what the tests do with it."""

    def __init__(self, pipeline: Pipeline, outside: Outside, database: Database) -> None:
        self.pipeline = pipeline
        self.outside = outside
        self.database = database
        self.orders = itertools.count(4711)

    @property
    def url(self) -> str:
        """The address of the private listener with the API and the dashboard."""
        return f"http://127.0.0.1:{self.pipeline.admin_ports['ingest-admin']}"

    async def define(self) -> None:
        """Stores the definitions."""
        for name, channel in clinic_flows.channels(self.outside.url).items():
            await self.pipeline.api("PUT", f"/api/channels/{name}", channel)
        for name, drawn in (*clinic_flows.EARLIER.items(), *clinic_flows.FLOWS.items()):
            await self.pipeline.api("PUT", f"/api/flows/{name}", drawn(self.outside.url))
        for name, webhook in clinic_flows.webhooks().items():
            await self.pipeline.api("PUT", f"/api/webhooks/{name}", webhook)
        schedule = {"flowId": "recepcao", "cron": "0 8 * * 1-5", "timezone": "America/Sao_Paulo"}
        await self.pipeline.api("PUT", "/api/schedules/abertura", schedule | {"enabled": False})

    async def post(self, webhook: str, body: object) -> str:
        """Posts an event, and returns its id."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        status, answer = await self.pipeline.webhook(webhook, raw, BEARER)
        assert status == 200, answer
        event_id: str = answer["eventId"]
        return event_id

    async def say(self, phone: str, text: str) -> str:
        """A message of a patient; returns the id of its event."""
        return await self.post("marcar-consulta", {"telefone": phone, "nome": PEOPLE.get(phone, ""), "texto": text})

    async def talk(self, phone: str, *texts: str) -> str:
        """A conversation: each text after the question before it. Returns the id of the execution."""
        event_id = await self.say(phone, texts[0])
        execution_id = await self.execution(event_id)
        for count, text in enumerate(texts[1:], 1):
            await self.until_asked(execution_id, count)
            await self.say(phone, text)
        return execution_id

    async def until_asked(self, execution_id: str, count: int) -> None:
        """Waits until the execution has asked `count` questions and waits for the reply."""
        query = """
        select status = 'waiting-input' and (select count(*) from notifications where execution_id = e.id) >= $2
        from executions e where id = $1::uuid"""
        await self.until(query, execution_id, count)

    async def pay(self, phone: str, value: object, order: int | None = None) -> str:
        """A payment, as the shop's provider reports it; returns the id of its event."""
        body = {"telefone": phone, "nome": PEOPLE.get(phone, ""), "pedido": order or next(self.orders), "valor": value}
        return await self.post("pagamento", body)

    async def execution(self, event_id: str, status: str | None = None) -> str:
        """The id of the execution of an event, once it exists and has that status."""
        query = "select id::text from executions where event_id = $1::uuid and ($2::text is null or status = $2)"

        async def found() -> str | None:
            execution_id: str | None = await self.database.fetchval(query, event_id, status)
            return execution_id

        return await eventually(found, BOUND_S, message=f"no execution of {event_id} is {status}")

    async def dead_letter(self) -> str:
        """A new dead letter: a message that the team's channel refuses. Returns its id."""
        event_id = await self.post("recepcao", {"telefone": PHONES[7], "nome": PEOPLE[PHONES[7]]})
        message_id = await self.until(
            "select id::text from notifications where execution_id = $1::uuid", await self.execution(event_id)
        )
        letter_id: str = await self.until("select id::text from dead_letters where job_id like '%' || $1", message_id)
        return letter_id

    async def until(self, query: str, *arguments: object) -> Any:
        """The value of a query, once it is true."""

        async def found() -> Any:
            return await self.database.fetchval(query, *arguments)

        return await eventually(found, BOUND_S, message=query)

    async def work(self) -> None:
        """A morning: conversations, reminders, payments (some of which fail), parcels, examinations, and mistakes."""
        await clinic_hour.fill(self.database)
        await self._converse()
        for phone in PHONES[:3]:
            body = {"telefone": phone, "nome": PEOPLE[phone], "quando": "quinta-feira, 14h"}
            await self.execution(await self.post("lembrete", body), "waiting-timer")
        for number, phone in enumerate(PHONES):
            await self.execution(await self.pay(phone, 89.9 + 130 * number), "succeeded")
        await self.pay(PHONES[0], 89.9, order=4711)  # a duplicate
        self.outside.accounts_are_down = True
        for phone in PHONES[:5]:
            await self.execution(await self.pay(phone, 249.9), "failed")
        self.outside.accounts_are_down = False
        for phone in PHONES[2:6]:
            await self.post("pedido-enviado", {"telefone": phone, "pedido": next(self.orders)})
        for phone in PHONES[4:6]:
            await self.execution(await self.post("exame", {"telefone": phone}), "waiting-callback")
        for phone in PHONES[6:]:
            await self.post("recepcao", {"telefone": phone, "nome": PEOPLE[phone]})
        for phone in sorted(NOT_ON_WHATSAPP):
            await self.execution(await self.pay(phone, 59.9), "succeeded")
        await self._receipts()
        await self._mistakes()
        await self.until("select count(*) = 5 from dead_letters")
        replay = {"kind": "executions", "flowId": "pagamento", "limit": 1, "rate": 5}
        await self.pipeline.api("POST", "/api/replays", replay)

    async def _converse(self) -> None:
        await self.talk(PHONES[0], "Oi, bom dia!", "Cardiologia", "terça às 9h30")
        await self.talk(PHONES[1], "Quero marcar uma consulta", "2", "quinta às 14h")
        await self.talk(PHONES[2], "Olá 👋", "pediatria")
        await self.talk(PHONES[3], "boa tarde")
        await self.talk(PHONES[4], "oi", "não sei", "qualquer uma")

    async def _receipts(self) -> None:
        """The provider reports what the phones have received and read."""
        sent = await self.until("select count(*) >= 10 from notifications where provider_id is not null")
        assert sent
        statuses = [
            {"id": f"wamid.{number}", "status": status, "timestamp": "1790000000", "recipient_id": PHONES[0]}
            for number, status in ((1, "delivered"), (1, "read"), (2, "delivered"), (3, "delivered"), (4, "read"))
        ]
        raw = json.dumps(whatsapp(statuses=statuses)).encode()
        signed = meta_signature(raw, clinic_flows.PROVIDER_SECRET.encode())
        assert (await self.pipeline.webhook("meta", raw, signed))[0] == 200
        await self.until("select count(*) > 0 from notifications where status in ('delivered', 'read')")

    async def _mistakes(self) -> None:
        """Requests that are refused, each for another reason."""
        body = json.dumps({"telefone": PHONES[0]}).encode()
        for webhook, raw, headers in (
            ("pagamento", body, {"Authorization": "Bearer errado"}),
            ("pagamento", body, {}),
            ("pagamentos", body, BEARER),
            ("pagamento", b'{"telefone": ', BEARER),
            ("lembrete", b"x" * 2_000_000, BEARER),
        ):
            assert (await self.pipeline.webhook(webhook, raw, headers))[0] >= 400
        await self.until("select count(*) >= 4 from refusals")


@asynccontextmanager
async def opened_clinic(redis_url: str, postgres_dsn: str, logs: Path) -> AsyncIterator[Clinic]:
    """The clinic with its definitions, before its first event."""
    pipeline = Pipeline(redis_url, postgres_dsn, logs)
    # The page of building blocks is shown only in a local run.
    pipeline.own_environment["ingest-admin"] = {"FILAS_LOCAL_RUN": "1"}
    async with receiver(Outside()) as outside, pipeline, opened(postgres_dsn) as database:
        assert isinstance(outside, Outside)
        clinic = Clinic(pipeline, outside, database)
        await clinic.define()
        yield clinic
