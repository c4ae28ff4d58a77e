"""What a Portuguese-speaking clinic with a shop has defined: channels, flows and webhooks."""

from typing import Any

from tests.flow_runner.harness import flow, node

BEARER = {"Authorization": "Bearer segredo-da-clinica"}
PROVIDER_SECRET = "segredo do aplicativo"
CHANNEL_SECRET = "whsec_" + "c2lnbmluZy1zZWNyZXQtb2YtdGhlLWNybQ=="
SPECIALITIES = {"cardio": "Cardiologia", "dermato": "Dermatologia", "pediatria": "Pediatria"}


def channels(outside: str) -> dict[str, dict[str, Any]]:
    """WhatsApp works, the provider of text messages asks for a pause, and the team's channel refuses every message."""
    return {
        "whatsapp": {
            "type": "whatsapp",
            "phoneNumberId": "106540352242922",
            "accessToken": "token",
            "baseUrl": outside,
        },
        "sms": {"type": "http", "url": f"{outside}/sms", "secret": CHANNEL_SECRET},
        "equipe": {"type": "http", "url": f"{outside}/equipe", "secret": CHANNEL_SECRET},
    }


def booking(outside: str) -> dict[str, Any]:
    """A menu, a call for free times, a question, and a confirmation. Each speciality has a path of its own."""
    choices = [{"id": name, "title": title} for name, title in SPECIALITIES.items()]
    menu = node(
        "menu",
        "input",
        prompt="Olá! Sou a assistente da Clínica Aurora. Qual especialidade você procura?",
        kind="choice",
        choices=choices,
        variable="especialidade",
        maxRetries=1,
        timeoutMs=86_400_000,
    )
    times = node(
        "horarios", "api", method="GET", url=f"{outside}/agenda/{{{{ vars.especialidade }}}}", onError="branch"
    )
    ask = node(
        "escolha",
        "input",
        prompt="Tenho {{ nodes.horarios.output.body.livres | join: ' ou ' }}. Qual prefere?",
        variable="horario",
        timeoutMs=86_400_000,
    )
    book = node(
        "reserva",
        "api",
        method="POST",
        url=f"{outside}/agenda/reservas",
        body={"paciente": "{{ conversation.contact }}", "horario": "{{ vars.horario }}"},
    )
    done = node("confirmacao", "message", text="Pronto! Sua consulta de {{ vars.horario }} está marcada. Até lá!")
    sorry = node("desculpa", "message", text="A agenda está fora do ar. Ligamos para você ainda hoje.")
    human = node("recepcao", "notify", channel="equipe", to="recepcao", text="{{ conversation.contact }} quer ajuda.")
    edges = "start>menu menu.cardio>horarios menu.dermato>horarios menu.pediatria>horarios menu.invalid>recepcao "
    edges += "horarios.out>escolha horarios.error>desculpa escolha.out>reserva reserva.out>confirmacao"
    variables = [{"name": "especialidade", "type": "string"}, {"name": "horario", "type": "string"}]
    return flow(menu, times, ask, book, done, sorry, human, edges=edges, name="Marcar consulta", variables=variables)


def reminder(_outside: str) -> dict[str, Any]:
    """A message now, and one before the appointment unless the patient replies: it waits for a time."""
    hello = node("aviso", "message", text="Olá, {{ webhook.body.nome }}! Sua consulta é em {{ webhook.body.quando }}.")
    wait = node("espera", "delay", every={"days": 2}, endOnReply=True)
    replied = node(
        "respondeu",
        "condition",
        rules=[{"variable": "{{ nodes.espera.output.endedBy }}", "operator": "equals", "value": "reply"}],
    )
    thanks = node("obrigado", "message", text="Obrigada por confirmar!")
    remind = node("lembrete", "message", text="Sua consulta é amanhã. Responda SIM para confirmar.")
    edges = "start>aviso aviso>espera espera>respondeu respondeu.true>obrigado respondeu.false>lembrete"
    return flow(hello, wait, replied, thanks, remind, edges=edges, name="Lembrete de consulta")


def first_reminder(outside: str) -> dict[str, Any]:
    """The reminder before replies ended the wait: another text, another wait, and no thanks."""
    drawn = reminder(outside)
    nodes = [one for one in drawn["nodes"] if one["id"] not in ("respondeu", "obrigado")]
    for one in nodes:
        if one["id"] == "espera":
            one["data"] = {"every": {"days": 1}}
        elif one["id"] == "lembrete":
            one["data"] = {"text": "Sua consulta é amanhã."}
    edges = [edge for edge in drawn["edges"] if {edge["source"], edge["target"]} <= {one["id"] for one in nodes}]
    return drawn | {"nodes": nodes, "edges": [*edges, {"source": "espera", "target": "lembrete"}]}


def payment(outside: str) -> dict[str, Any]:
    """Registers a payment in the accounts, which do not always answer, and thanks the customer."""
    register = node(
        "registro",
        "api",
        method="POST",
        url=f"{outside}/financeiro/pagamentos",
        body={"pedido": "{{ webhook.body.pedido }}", "valor": "{{ webhook.body.valor }}"},
        retry={"maxAttempts": 2, "delayMs": 100, "jitter": "none"},
    )
    high = node(
        "valor",
        "condition",
        rules=[{"variable": "{{ webhook.body.valor }}", "operator": "greater-than", "value": 500}],
    )
    gift = node("brinde", "set-variable", assignments=[{"variable": "brinde", "value": "caneca"}])
    thanks = node("obrigado", "message", text="Recebemos {{ webhook.body.valor | money: 'BRL' }}. Obrigada!")
    edges = "start>registro registro.out>valor valor.true>brinde valor.false>obrigado brinde>obrigado"
    return flow(register, high, gift, thanks, edges=edges, name="Pagamento recebido", variables=[{"name": "brinde"}])


def delivery(_outside: str) -> dict[str, Any]:
    """Notifies the customer by text message that the parcel is on its way."""
    return flow(
        node("rastreio", "message", channel="sms", text="Seu pedido {{ webhook.body.pedido }} saiu para entrega."),
        edges="start>rastreio",
        name="Pedido enviado",
    )


def results(outside: str) -> dict[str, Any]:
    """Asks the laboratory for a result, and waits for its call."""
    order = node(
        "pedido",
        "api",
        method="POST",
        url=f"{outside}/laboratorio",
        body={"retorno": "{{ execution.resumeUrls.resultado }}"},
    )
    wait = node("resultado", "webhook", mode="wait")
    notice = node("aviso", "message", text="O resultado do seu exame está disponível no portal.")
    return flow(order, wait, notice, edges="start>pedido pedido.out>resultado resultado.out>aviso", name="Exame")


def escalation(_outside: str) -> dict[str, Any]:
    """Hands the contact over to the team, whose channel is misconfigured."""
    return flow(
        node("equipe", "notify", channel="equipe", to="recepcao", text="Ligar para {{ webhook.body.nome }}"),
        edges="start>equipe",
        name="Falar com a recepção",
    )


FLOWS = {
    "marcar-consulta": booking,
    "lembrete": reminder,
    "pagamento": payment,
    "pedido-enviado": delivery,
    "exame": results,
    "recepcao": escalation,
}

EARLIER = {"lembrete": first_reminder}
"""The first version of a flow."""


def webhooks() -> dict[str, dict[str, Any]]:
    """One webhook for each flow, and one for the provider's delivery receipts."""
    auth = {"type": "bearer", "secrets": [BEARER["Authorization"].removeprefix("Bearer ")]}
    contact = {"channel": "whatsapp", "contact": "{{ body.telefone }}"}
    found: dict[str, dict[str, Any]] = {
        name: {"flowId": name, "auth": auth, "conversation": contact, "rateLimit": {"max": 10_000, "windowMs": 60_000}}
        for name in FLOWS
    }
    found["marcar-consulta"]["conversation"] = contact | {"text": "{{ body.texto }}"}
    found["pagamento"]["dedupe"] = {"path": "pedido"}
    found["pedido-enviado"]["conversation"] = contact | {"channel": "sms"}
    found["meta"] = {"flowId": "marcar-consulta", "auth": {"type": "meta", "secrets": [PROVIDER_SECRET]}}
    return found
