"""The channel `whatsapp`: Meta's Cloud API, `POST /<version>/<phone number id>/messages`.

The table lists Meta's error codes (source: Meta, "Cloud API, error codes"). Every other code is final, unless the
response has `is_transient`:

| codes                                       | meaning                                     | effect                  |
|---------------------------------------------|---------------------------------------------|-------------------------|
| 4, 80007, 130429                            | the app, account or number is too fast      | pauses the channel      |
| 131048                                      | too much of the number is marked as spam    | pauses the channel      |
| 131056                                      | too many messages to this recipient         | waits for the recipient |
| 2, 131016, 131057, 133004                   | overloaded, in maintenance                  | pauses the channel      |
| 1, 131000                                   | something went wrong                        | tried again             |
| 0, 3, 10, 190, 200-299, 131005              | token or permission                         | `credentials`           |
| 33, 131045, 133010                          | the sender's number is not registered       | `credentials`           |
| 131021, 131026, 131030, 131050, 130472      | not reachable, or has opted out             | `recipient`             |
| 131047                                      | 24 h since the recipient's last message     | `window-closed`         |
| 132000-132099                               | the template                                | `template`              |
| 131049, 368, 130497, 131031, 131037, 131042 | the account is restricted or blocked        | `policy`                |
| 131052, 131053                              | the media                                   | `media`                 |
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.channels.content_checks import shown_as_list
from filas.channels.content_limits import LIMITS
from filas.channels.invalid_content import InvalidContent
from filas.channels.template_parameters import is_components
from filas.contract.channel_circuits import ChannelLimits
from filas.contract.storable_text import json_bytes
from filas.outbound.outbound_response import OutboundResponse
from notifier.channels.channel import (
    Delivered,
    Outbound,
    OutgoingMessage,
    PermanentFailure,
    Result,
    TemporaryFailure,
    Tools,
    configuration,
)
from notifier.channels.message_content import (
    Section,
    buttons_of,
    kind_of,
    media_of,
    sections_of,
    sendable,
    template_of,
    text_of,
)
from notifier.channels.provider_call import Caller, after_s, busy, by_status, json_object, malformed

SECRET_FIELDS = ("accessToken",)
RATES = ChannelLimits(per_second=80.0)

LIMITS_OF_CONTENT = LIMITS["whatsapp"]
MAX_LABEL = 20
MAX_CALLBACK_DATA = 512
MAX_ADDRESS = 256

_BUSY = frozenset({4, 80007, 130429, 131048, 2, 131016, 131057, 133004})
_RECEIVER_BUSY = frozenset({131056})
_AGAIN = frozenset({1, 131000})
_CAPTIONED = frozenset({"image", "video", "document"})
_KINDS: tuple[tuple[frozenset[int], str], ...] = (
    (frozenset({0, 3, 10, 190, 131005, *range(200, 300), 33, 131045, 133010}), "credentials"),
    (frozenset({131021, 131026, 131030, 131050, 130472}), "recipient"),
    (frozenset({131047}), "window-closed"),
    (frozenset(range(132000, 132100)), "template"),
    (frozenset({131049, 368, 130497, 131031, 131037, 131042}), "policy"),
    (frozenset({131052, 131053}), "media"),
)


def kind_of_code(code: object) -> str | None:
    """The kind of a final failure with this code, None if the code is not known."""
    return next((word for codes, word in _KINDS if code in codes), None)


class WhatsAppConfig(msgspec.Struct, frozen=True, rename="camel"):
    """`phone_number_id` is the sender's. `list_label` is the text of the button that opens a list of choices."""

    phone_number_id: str
    access_token: str
    base_url: str = "https://graph.facebook.com"
    api_version: str = "v23.0"
    list_label: str = "Options"


class WhatsAppChannel:
    """Sends text, media, up to three buttons or a list of up to ten, and templates.

    WhatsApp accepts a message and reports its delivery later in a receipt.
    """

    def __init__(self, config: WhatsAppConfig, outbound: Outbound) -> None:
        self._config = config
        self._url = f"{config.base_url.rstrip('/')}/{config.api_version}/{config.phone_number_id}/messages"
        self._caller = Caller(outbound, [config.access_token])

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        try:
            document = self._document(message)
        except InvalidContent as error:
            return PermanentFailure(reason=str(error), kind=error.kind)
        headers = {"Authorization": f"Bearer {self._config.access_token}", "Content-Type": "application/json"}
        answer = await self._caller.post(self._url, headers, json_bytes(document))
        if isinstance(answer, TemporaryFailure | PermanentFailure):
            return answer
        return self._accepted(answer, message.to) if answer.status == 200 else self._refused(answer)

    def _accepted(self, answer: OutboundResponse, to: str) -> Result:
        document = json_object(answer) or {}
        messages = document.get("messages")
        first = messages[0] if isinstance(messages, list) and messages else None
        if not isinstance(first, dict) or not isinstance(first.get("id"), str):
            return malformed(answer, "WhatsApp")
        number, addresses = _recipient_of(document.get("contacts"), to)
        return Delivered(
            provider_id=first["id"],
            confirmed=False,
            status_code=answer.status,
            addresses=addresses,
            sends_to=number,
        )

    def _refused(self, answer: OutboundResponse) -> Result:
        error = (json_object(answer) or {}).get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(error, dict) or not isinstance(code, int):
            return by_status(answer, self._caller.answered(answer, "WhatsApp"))
        data = error.get("error_data")
        details = data.get("details") if isinstance(data, dict) else None
        texts = (error.get(name) for name in ("message", "error_user_title", "error_user_msg"))
        reason = self._caller.explained(f"WhatsApp answered {code}", details, *texts)
        status = answer.status
        if code in _BUSY:
            return busy(answer, reason)
        if code in _RECEIVER_BUSY:
            # Meta allows one message every six seconds to one recipient.
            return TemporaryFailure(reason=reason, kind="busy", after_s=6.0, wait_for="recipient", status_code=status)
        kind = kind_of_code(code) or "rejected"
        if code in _AGAIN or (kind == "rejected" and error.get("is_transient") is True):
            return TemporaryFailure(reason=reason, kind="provider", after_s=after_s(answer), status_code=status)
        if kind == "rejected" and (status >= 500 or status == 429):
            return by_status(answer, reason, "provider")
        return PermanentFailure(reason=reason, kind=kind, status_code=status)

    def _document(self, message: OutgoingMessage) -> dict[str, Any]:
        content = sendable(message.content, "whatsapp")
        kind = kind_of(content)
        parts: dict[str, Any]
        if kind == "text":
            parts = {"type": "text", "text": {"body": text_of(content), "preview_url": False}}
        elif kind == "media":
            parts = _media(content)
        elif kind in ("buttons", "list"):
            parts = {"type": "interactive", "interactive": self._interactive(content)}
        elif kind == "template":
            parts = {"type": "template", "template": _template(content)}
        else:
            raise InvalidContent(f"WhatsApp cannot send the type {kind!r}")
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to,
            **parts,
            # Every receipt contains this value. It identifies a message whose API response was lost.
            "biz_opaque_callback_data": message.idempotency_key[:MAX_CALLBACK_DATA],
        }

    def _interactive(self, content: Mapping[str, Any]) -> dict[str, Any]:
        interactive: dict[str, Any] = {"body": {"text": text_of(content)}}
        if content.get("header"):
            interactive["header"] = {"type": "text", "text": str(content["header"])}
        if content.get("footer"):
            interactive["footer"] = {"text": str(content["footer"])}
        if shown_as_list(content, LIMITS_OF_CONTENT):
            label = str(content.get("label") or self._config.list_label[:MAX_LABEL])
            sections = [_section(section) for section in sections_of(content)]
            return {"type": "list", **interactive, "action": {"button": label, "sections": sections}}
        buttons = buttons_of(content)
        if buttons[0].url:
            parameters = {"display_text": buttons[0].title, "url": buttons[0].url}
            return {"type": "cta_url", **interactive, "action": {"name": "cta_url", "parameters": parameters}}
        replies = [{"type": "reply", "reply": {"id": button.id, "title": button.title}} for button in buttons]
        return {"type": "button", **interactive, "action": {"buttons": replies}}


def _recipient_of(contacts: Any, to: str) -> tuple[str | None, tuple[str, ...]]:
    """The number of the recipient in the answer (`contacts[0].wa_id`), and its number and user id, if they differ from
    the address `to`. Meta may know the number without Brazil's ninth digit, for example."""
    first = contacts[0] if isinstance(contacts, list) and contacts else None
    if not isinstance(first, dict):
        return None, ()
    number, user = _address(first.get("wa_id"), to), _address(first.get("user_id"), to)
    return number, tuple(one for one in (number, user) if one is not None)


def _address(value: Any, to: str) -> str | None:
    usable = isinstance(value, str) and 0 < len(value) <= MAX_ADDRESS and value.isascii() and value.isprintable()
    return value if usable and value != to else None


def build(config: dict[str, Any], tools: Tools) -> WhatsAppChannel:
    """Returns the channel for `config`, whose secrets are decrypted. Raises InvalidConfiguration."""
    return WhatsAppChannel(configuration(config, WhatsAppConfig), tools.outbound)


def _section(section: Section) -> dict[str, Any]:
    rows = [
        {"id": row.id, "title": row.title, **({"description": row.description} if row.description else {})}
        for row in section.rows
    ]
    return {"title": section.title, "rows": rows} if section.title else {"rows": rows}


def _media(content: Mapping[str, Any]) -> dict[str, Any]:
    media = media_of(content)
    part = {"link": media.url}
    if media.caption and media.kind in _CAPTIONED:
        part["caption"] = media.caption
    return {"type": media.kind, media.kind: part}


def _template(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the template. Its parameters are a list of values, an object of named values, or API components."""
    asked = template_of(content)
    given = asked.parameters
    template: dict[str, Any] = {"name": asked.name, "language": {"code": asked.language}}
    if not given:
        return template
    if isinstance(given, dict):
        values = [{"parameter_name": name, **_parameter(value)} for name, value in given.items()]
    elif is_components(given):
        return template | {"components": given}
    else:
        values = [_parameter(value) for value in given]
    return template | {"components": [{"type": "body", "parameters": values}]}


def _parameter(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"type": "text", "text": value}
