"""A PUT of a definition is answered with every error at once."""

from typing import Any

import pytest

from tests.ingest.api.serving import Api, fields_of


@pytest.mark.parametrize(
    ("path", "document", "fields"),
    [
        ("/webhooks/w", {"flowId": "no", "methods": ["GOT"], "rateLimit": {"max": "x", "windowMs": []}, "enabled": 1,
                         "unknwon": 1, "auth": {"type": "x"},
                         "conversation": {"channel": "no", "contact": "{{ bdy.x }}"}},
         ["unknwon", "methods[0]", "rateLimit.max", "rateLimit.windowMs", "enabled", "auth.type", "flowId",
          "conversation.channel", "conversation.contact"]),
        ("/webhooks/w", {"enabled": "yes", "conversation": {"channel": "no", "contact": 5}},
         ["flowId", "conversation.contact", "enabled"]),
        ("/channels/c", {"type": "whatsapp", "rate": "x", "phoneNumberId": 5},
         ["rate", "phoneNumberId", "accessToken"]),
        ("/channels/c", {"type": "http", "url": "x", "secret": "y"}, ["url", "secret"]),
        ("/channels/c", {"type": "twilio", "accountSid": "a", "authToken": "b", "baseUrl": "x", "statusCallback": "y"},
         ["baseUrl", "statusCallback", "from"]),
        ("/channels/c", {"type": "email", "host": "h", "from": "x", "username": "u"}, ["from", "password"]),
        ("/alerts/a", {"metric": "no", "threshold": 0, "to": [{"channel": 1}, {"to": "b"}]},
         ["metric", "threshold", "to[0].channel", "to[0].to", "to[1].channel"]),
        ("/secrets/s", {"valeu": "x"}, ["valeu", "value"]),
        ("/schedules/s", {"flowId": 5, "cron": "x", "timezone": "no"}, ["flowId", "timezone", "cron"]),
    ],
)  # fmt: skip
async def test_every_error_is_listed(api: Api, path: str, document: dict[str, Any], fields: list[str]) -> None:
    """Errors of types and of references together. Nothing is stored."""
    assert sorted(fields_of(await api.put(path, document))) == sorted(fields)


async def test_the_number_of_errors_is_bounded(api: Api) -> None:
    reply = await api.put("/webhooks/w", {"flowId": "f", "methods": [5] * 10_000})
    assert 1 <= len(fields_of(reply)) <= 110
