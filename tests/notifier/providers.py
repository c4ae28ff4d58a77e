"""Channels to local replacements of the providers, and messages for them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from aiohttp import web

from filas.outbound.client import OutboundClient
from filas.settings.value_types import Networks
from notifier.channels.channel import Channel, OutgoingMessage, Result, Tools
from notifier.channels.channel_types import CHANNEL_TYPES
from tests.notifier.receiver import Behaviour, Received, Receiver, receiver

HOME = Networks((ip_network("127.0.0.1/32"),))

TEXT = {"type": "text", "text": "Olá Maria! 🎉"}
BUTTONS = {"type": "buttons", "text": "E agora?", "buttons": [{"id": "y", "title": "Sim"}, {"id": "n", "title": "Não"}]}
IMAGE = {"type": "media", "kind": "image", "url": "https://example.com/a.png", "caption": "A"}
TEMPLATE = {"type": "template", "name": "welcome", "language": "pt_BR", "parameters": ["Maria", 3]}

CONFIGS: dict[str, dict[str, Any]] = {
    "http": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "whatsapp": {"phoneNumberId": "1063", "accessToken": "planted-token"},
    "telegram": {"botToken": "11020:planted-token"},
    "slack": {"botToken": "xoxb-planted-token"},
    "twilio": {"accountSid": "AC1", "authToken": "planted-token", "from": "+15005550006"},
}

TAKEN: dict[str, dict[str, Any]] = {
    "whatsapp": {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "5511", "wa_id": "5511"}],
        "messages": [{"id": "wamid.HBg"}],
    },
    "telegram": {"ok": True, "result": {"message_id": 42, "chat": {"id": 5511}, "date": 1790000000, "text": "x"}},
    "slack": {"ok": True, "channel": "C1", "ts": "1503435956.000247", "message": {"text": "x"}},
    "twilio": {"sid": "SM1", "status": "queued", "error_code": None, "error_message": None},
}
"""What each provider answers to a message that it takes."""


def responds(status: int, document: object, headers: dict[str, str] | None = None) -> Behaviour:
    """Answers every request so; a `str` is the body as it is."""

    async def behave(_request: web.Request) -> web.StreamResponse:
        if isinstance(document, str):
            return web.Response(status=status, text=document, headers=headers)
        return web.json_response(document, status=status, headers=headers)

    return behave


def message(content: dict[str, Any] | None = None, to: str = "5511") -> OutgoingMessage:
    return OutgoingMessage(
        id=uuid4(), to=to, content=content or TEXT, idempotency_key="execution:5", execution_id=uuid4()
    )


def channel(outbound: OutboundClient, type_: str, url: str, **config: object) -> Channel:
    """A channel of the type, its provider at `url`."""
    whole = {**CONFIGS.get(type_, {}), "url" if type_ == "http" else "baseUrl": url, **config}
    return CHANNEL_TYPES[type_].build(
        {name: value for name, value in whole.items() if value is not None},
        Tools(outbound, print, outbound.open_socket),
    )


@asynccontextmanager
async def imitated_provider(behaviour: Behaviour) -> AsyncIterator[tuple[Receiver, OutboundClient]]:
    """A provider that behaves so, and a client that may call it."""
    async with receiver(behaviour) as outside, OutboundClient(HOME) as outbound:
        yield outside, outbound


async def deliver(
    type_: str, behaviour: Behaviour, content: dict[str, Any] | None = None, *, to: str = "5511", **config: object
) -> tuple[Result, list[Received]]:
    """Sends one message over a channel to a provider with this behaviour. Returns the result and the requests."""
    async with imitated_provider(behaviour) as (outside, outbound):
        result = await channel(outbound, type_, outside.url, **config).deliver(message(content, to))
        return result, outside.received


def form(received: Received) -> dict[str, str]:
    """The fields of a form."""
    return {name: values[0] for name, values in parse_qs(received.body.decode()).items()}


def document(received: Received) -> Any:
    """The JSON of a request."""
    return json.loads(received.body)
