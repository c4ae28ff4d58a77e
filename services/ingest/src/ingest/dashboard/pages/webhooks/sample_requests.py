"""Requests as senders send them, for tests of a webhook. Each has ids that no other request has."""

from collections.abc import Callable
from typing import Any, Final

NUMBER: Final = "$number"
"""In a sample, the place of a number that is different in every request."""


def _meta(number: str) -> dict[str, Any]:
    message = {"id": f"wamid.test-{number}", "from": "5511999990000", "timestamp": "1790000000"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": "106540352242922"},
        "contacts": [{"wa_id": "5511999990000", "profile": {"name": "Test"}}],
        "messages": [message | {"type": "text", "text": {"body": "oi"}}],
    }
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _instagram(number: str) -> dict[str, Any]:
    message = {"mid": f"mid.test-{number}", "text": "oi"}
    parties = {"sender": {"id": "2222222222"}, "recipient": {"id": "1111111111"}}
    return {
        "object": "instagram",
        "entry": [{"id": "1111111111", "time": 1790000000, "messaging": [{**parties, "message": message}]}],
    }


def _telegram(number: str) -> dict[str, Any]:
    person = {"id": 1111111, "first_name": "Test"}
    chat = {"id": 1111111, "type": "private"}
    message = {"message_id": 1, "date": 1790000000, "chat": chat, "from": person, "text": "oi"}
    return {"update_id": int(number) if number.isdigit() else number, "message": message}


def _slack(number: str) -> dict[str, Any]:
    event = {"type": "message", "channel": "C024BE91L", "user": "U2147483697", "text": "oi", "ts": f"{number}.000100"}
    return {"type": "event_callback", "event_id": f"Ev{number}", "event": event}


def _stripe(number: str) -> dict[str, Any]:
    payment = {"amount": 4990, "currency": "brl", "metadata": {"phone": "+5511999990000"}}
    return {"id": f"evt_{number}", "type": "payment_intent.succeeded", "data": {"object": payment}}


def _evolution(number: str) -> dict[str, Any]:
    key = {"id": f"TEST{number}", "remoteJid": "5511999990000@s.whatsapp.net", "fromMe": False}
    data = {"key": key, "pushName": "Test", "message": {"conversation": "oi"}}
    return {"event": "messages.upsert", "instance": "main", "data": data}


def _github(number: str) -> dict[str, Any]:
    request = {"number": 1, "title": f"Test {number}", "html_url": "https://github.example/pull/1", "body": "oi"}
    return {"action": "opened", "pull_request": request, "repository": {"full_name": "example/shop"}}


def _mercadopago(number: str) -> dict[str, Any]:
    return {"id": int(number) if number.isdigit() else number, "type": "payment", "data": {"id": "123456"}}


def _twilio(number: str) -> dict[str, Any]:
    return {"Body": "oi", "From": "+5511999990000", "MessageSid": f"SM{number}", "To": "+15005550006"}


def _kiwify(number: str) -> dict[str, Any]:
    return {"order_id": f"test-{number}", "order_status": "paid", "webhook_event_type": "order_approved"}


def _plain(number: str) -> dict[str, Any]:
    return {"id": f"test-{number}", "from": "+5511999990000", "text": "oi"}


_BY_PROVIDER: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "whatsapp": _meta,
    "instagram": _instagram,
    "telegram": _telegram,
    "slack": _slack,
    "stripe": _stripe,
    "evolution": _evolution,
    "github": _github,
    "mercadopago": _mercadopago,
    "twilio": _twilio,
    "kiwify": _kiwify,
}


def sample(provider: str, number: str) -> dict[str, Any]:
    """Returns the body of a request of a provider. `number` makes its ids different from those of other requests."""
    return _BY_PROVIDER.get(provider, _plain)(number)
