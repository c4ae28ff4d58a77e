"""The senders for which the form of a webhook has presets. The catalogue has the steps of each.

| text | what it is |
|---|---|
| `webhook-presets.NAME` | what the sender is called |
| `webhook-steps.NAME-1`, `…-2` and so on | what to do, with the parameters `url` and `id` |
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ingest.dashboard.presentation.texts import Reader


@dataclass(frozen=True, slots=True)
class Preset:
    """A sender. `definition` is what the form shows at first. `invents`: the user chooses the secret, so that the page
    proposes one."""

    name: str
    definition: Mapping[str, Any]
    invents: bool = field(default=False, kw_only=True)

    @property
    def auth_type(self) -> str:
        """The authentication of the sender."""
        kind: str = self.definition["auth"]["type"]
        return kind

    def steps(self, reader: Reader, *, url: str, webhook_id: str) -> list[str]:
        """What the user does at the sender and here, in order."""
        found: list[str] = []
        while reader.has_text(text_id := f"webhook-steps.{self.name}-{len(found) + 1}"):
            found.append(reader.text(text_id, url=url, id=webhook_id))
        return found


def _preset(name: str, auth_type: str, *, invents: bool = False, auth: Mapping[str, Any] | None = None,
            **further: Any) -> Preset:  # fmt: skip
    return Preset(name, {"id": name, "auth": {"type": auth_type, **(auth or {})}, **further}, invents=invents)


_EVOLUTION: Final = {
    "conversation": {
        "channel": "whatsapp",
        "contact": "{{ body.data.key.remoteJid | split: '@' | first }}",
        "text": "{{ body.data.message.conversation | default: body.data.message.extendedTextMessage.text }}",
        "role": "message",
    },
    "dedupe": {"path": "data.key.id"},
    "filter": {"expression": 'body.event == "messages.upsert" && body.data.key.fromMe == false'},
}

PRESETS: Final[tuple[Preset, ...]] = (
    _preset("whatsapp", "meta", invents=True),
    _preset("instagram", "meta", invents=True),
    _preset("telegram", "telegram", invents=True),
    _preset("slack", "slack"),
    _preset("twilio", "twilio"),
    _preset("evolution", "bearer", invents=True, **_EVOLUTION),
    _preset("github", "github", invents=True),
    _preset("stripe", "stripe"),
    _preset("mercadopago", "mercadopago"),
    _preset("asaas", "asaas", invents=True),
    _preset("pagarme", "pagarme"),
    _preset("kiwify", "kiwify"),
    _preset("hotmart", "hotmart"),
    _preset("shopify", "shopify"),
    _preset("hubspot", "hubspot"),
    _preset("mailgun", "mailgun"),
    _preset("sendgrid", "sendgrid"),
    _preset("standard", "standard-webhooks"),
    _preset("signed", "hmac", invents=True, auth={"header": "X-Signature", "prefix": "sha256="}),
    _preset("token", "bearer", invents=True),
    _preset("key", "api-key", invents=True),
    _preset("password", "basic"),
    _preset("open", "none"),
)
BY_NAME: Final[Mapping[str, Preset]] = {one.name: one for one in PRESETS}


def preset_of(name: str | None, auth: Mapping[str, Any]) -> Preset:
    """Returns the preset with this name if it fits the authentication, else the one that a webhook most likely has."""
    kind = auth.get("type", "none")
    named = BY_NAME.get(name or "")
    if named is not None and named.auth_type == kind:
        return named
    fitting = [one for one in PRESETS if one.auth_type == kind]
    usual = {"bearer": "token"}
    return next((one for one in fitting if one.name == usual.get(kind, one.name)), BY_NAME["open"])


def invented_secret() -> str:
    """Returns a new random secret, of letters and digits that every provider accepts."""
    return secrets.token_hex(20)
