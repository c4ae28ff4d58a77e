"""The channel `twilio`: SMS (and the other channels of a Twilio number), `POST …/Accounts/<sid>/Messages.json`.

A refusal is `{"code":…,"message":…,"more_info":…,"status":…}`.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from filas.channels.invalid_content import InvalidContent
from filas.contract.storable_text import json_bytes
from filas.outbound.outbound_response import OutboundResponse
from notifier.channels.channel import (
    Delivered,
    InvalidConfiguration,
    Outbound,
    OutgoingMessage,
    PermanentFailure,
    Result,
    TemporaryFailure,
    Tools,
    configuration,
)
from notifier.channels.message_content import (
    kind_of,
    media_of,
    numbered,
    sendable,
    template_of,
    text_of,
)
from notifier.channels.provider_call import Caller, busy, by_status, json_object, malformed

SECRET_FIELDS = ("authToken",)

_BUSY = frozenset({20429, 14107, 21611, 30022, 60728, 63017, 63018, 63038})
"""Too many requests; too many messages per second, hour or day; the queue of the sender is full; the rate limit of the
number type or of its channel is exceeded."""

_CREDENTIALS = frozenset({10001, 20003, 20005, 20404, 21212, 21601, 21603, 21606, 21659, 21660, 21661, 21701, 21703})
"""Wrong token, closed or unknown account, and senders that are invalid or belong to another account."""

_RECIPIENT = frozenset({21211, 21214, 21217, 21265, 21266, 21408, 21604, 21608, 21610, 21612, 21614, 21635, 63003})
"""Not a number, an unreachable or forbidden number, and a recipient who opted out with STOP (21610)."""


def kind_of_code(code: object) -> str | None:
    """The kind of a final failure with this code, None if the code is not known."""
    return "recipient" if code in _RECIPIENT else "credentials" if code in _CREDENTIALS else None


class TwilioConfig(msgspec.Struct, frozen=True, rename="camel"):
    """Exactly one of `sender` (`from` in the configuration) and `messaging_service_sid` is set. Twilio sends delivery
    receipts to `status_callback`."""

    account_sid: str
    auth_token: str
    sender: str | None = msgspec.field(default=None, name="from")
    messaging_service_sid: str | None = None
    status_callback: str | None = None
    base_url: str = "https://api.twilio.com"


class TwilioChannel:
    """Sends text and media; buttons as a numbered list; a template by the SID of a Twilio content template. Twilio
    accepts a message and reports its delivery later in a receipt."""

    def __init__(self, config: TwilioConfig, outbound: Outbound) -> None:
        if (config.sender is None) == (config.messaging_service_sid is None):
            raise InvalidConfiguration("needs one of `from` and `messagingServiceSid`")
        self._config = config
        account = quote(config.account_sid, safe="")
        self._url = f"{config.base_url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        self._caller = Caller(outbound, [config.auth_token])
        credentials = b64encode(f"{config.account_sid}:{config.auth_token}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        try:
            fields = {"To": message.to, **self._sender(), **_fields(message.content)}
        except InvalidContent as error:
            return PermanentFailure(reason=str(error), kind=error.kind)
        body = urlencode(fields, errors="replace").encode()
        answer = await self._caller.post(self._url, self._headers, body)
        if isinstance(answer, TemporaryFailure | PermanentFailure):
            return answer
        decoded = json_object(answer)
        if answer.status not in (200, 201):
            return self._refused(answer, decoded or {})
        if decoded is None or not isinstance(decoded.get("sid"), str):
            return malformed(answer, "Twilio")
        return Delivered(provider_id=decoded["sid"], confirmed=False, status_code=answer.status)

    def _sender(self) -> dict[str, str]:
        config = self._config
        sender = {"From": config.sender or ""} if config.sender else {}
        if config.messaging_service_sid:
            sender = {"MessagingServiceSid": config.messaging_service_sid}
        return sender | ({"StatusCallback": config.status_callback} if config.status_callback else {})

    def _refused(self, answer: OutboundResponse, decoded: dict[str, Any]) -> Result:
        code = decoded.get("code")
        if not isinstance(code, int):
            return by_status(answer, self._caller.answered(answer, "Twilio"))
        reason = self._caller.explained(
            f"Twilio answered {code}", *(decoded.get(name) for name in ("message", "details", "more_info"))
        )
        status = answer.status
        if code in _BUSY:
            return busy(answer, reason)
        if status == 429 or status >= 500:
            return by_status(answer, reason, "provider")
        kind = kind_of_code(code) or ("credentials" if status in (401, 403) else "rejected")
        return PermanentFailure(reason=reason, kind=kind, status_code=status)


def build(config: dict[str, Any], tools: Tools) -> TwilioChannel:
    """Returns the channel for `config`, whose secrets are decrypted. Raises InvalidConfiguration."""
    return TwilioChannel(configuration(config, TwilioConfig), tools.outbound)


def _fields(content: Mapping[str, Any]) -> dict[str, str]:
    content = sendable(content, "twilio")
    kind = kind_of(content)
    if kind == "text":
        return {"Body": text_of(content)}
    if kind in ("buttons", "list"):
        return {"Body": numbered(content)}
    if kind == "media":
        media = media_of(content)
        caption = {"Body": media.caption} if media.caption else {}
        return caption | {"MediaUrl": media.url}
    if kind == "template":
        template = template_of(content)
        return {"ContentSid": template.name, **_variables(template.parameters)}
    raise InvalidContent(f"Twilio cannot send the type {kind!r}")


def _variables(given: list[Any] | dict[str, Any]) -> dict[str, str]:
    """Returns the variables of the template: by name, or numbered from 1."""
    if not given:
        return {}
    named = given.items() if isinstance(given, dict) else enumerate(given, 1)
    return {"ContentVariables": json_bytes({str(name): _text(value) for name, value in named}).decode()}


def _text(value: Any) -> Any:
    """The text of a variable, also of one that is a parameter object of WhatsApp's API."""
    return value.get("text", json_bytes(value).decode()) if isinstance(value, dict) else value
