"""The channel `telegram`: the Bot API.

Its limits: about 30 messages per second in total, 1 per second to a chat, 20 per minute to a group. A refusal is
`{"ok":false,"error_code":…,"description":…,"parameters":{"retry_after":…,"migrate_to_chat_id":…}}`.
"""

import re
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from filas.channels.invalid_content import InvalidContent
from filas.contract.channel_circuits import ChannelLimits
from filas.contract.storable_text import json_bytes
from filas.outbound.outbound_response import OutboundResponse
from filas.outbound.retry_after import LONGEST_S
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
    buttons_of,
    kind_of,
    media_of,
    sendable,
    text_of,
    thread_of,
)
from notifier.channels.provider_call import Caller, after_s, by_status, json_object, malformed

SECRET_FIELDS = ("botToken",)
RATES = ChannelLimits(per_second=30.0, per_recipient=1.0)

PARSE_MODES = frozenset({"HTML", "MarkdownV2", "Markdown"})
_METHODS = {
    "image": ("sendPhoto", "photo"),
    "video": ("sendVideo", "video"),
    "audio": ("sendAudio", "audio"),
    "document": ("sendDocument", "document"),
    "sticker": ("sendSticker", "sticker"),
}
_CREDENTIALS = frozenset({401, 404})
_NO_SUCH_CHAT = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "was deactivated",
    "not enough rights",
    "no rights to send",
    "chat_write_forbidden",
)
"""Parts of the description of a 400 after which every message to this chat would fail."""

_TOKEN = re.compile(r"[A-Za-z0-9._~:-]+")
"""A token that a URL contains unchanged, so that it can be found and hidden in every error that quotes the URL."""


class TelegramConfig(msgspec.Struct, frozen=True, rename="camel"):
    """`base_url` may be the user's own Bot API server."""

    bot_token: str
    base_url: str = "https://api.telegram.org"


class TelegramChannel:
    """Sends text, media and inline buttons. Telegram has no templates. An accepted message counts as delivered, because
    there are no delivery receipts."""

    def __init__(self, config: TelegramConfig, outbound: Outbound) -> None:
        if not _TOKEN.fullmatch(config.bot_token):
            raise InvalidConfiguration("`botToken` is not the token of a bot")
        self._base = f"{config.base_url.rstrip('/')}/bot{config.bot_token}"
        self._caller = Caller(outbound, [config.bot_token])

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        try:
            method, document = _call(message)
        except InvalidContent as error:
            return PermanentFailure(reason=str(error), kind=error.kind)
        document |= _place(message.content)
        begun = time.monotonic()
        result, moved_to = await self._send(method, {"chat_id": message.to, **document})
        if moved_to is not None:
            # The group became a supergroup. The refusal contains the new id, and nothing was sent.
            taken_s = time.monotonic() - begun
            result, _ = await self._send(method, {"chat_id": moved_to, **document}, taken_s)
        return result

    async def _send(self, method: str, document: dict[str, Any], taken_s: float = 0.0) -> tuple[Result, int | None]:
        """Returns the result, and the new id of the chat if the refusal contains one."""
        headers = {"Content-Type": "application/json"}
        answer = await self._caller.post(f"{self._base}/{method}", headers, json_bytes(document), taken_s=taken_s)
        if isinstance(answer, TemporaryFailure | PermanentFailure):
            return answer, None
        decoded = json_object(answer)
        if answer.status == 200 and (decoded is None or decoded.get("ok") is not True):
            return malformed(answer, "Telegram"), None
        if decoded is None or decoded.get("ok") is None:
            return by_status(answer, self._caller.answered(answer, "Telegram")), None
        if answer.status == 200:
            sent = decoded.get("result")
            number = sent.get("message_id") if isinstance(sent, dict) else None
            provider_id = None if number is None else f"{document['chat_id']}:{number}"
            return Delivered(provider_id=provider_id, status_code=200), None
        return self._refused(answer, decoded, str(document["chat_id"]))

    def _refused(self, answer: OutboundResponse, decoded: dict[str, Any], chat: str) -> tuple[Result, int | None]:
        parameters = decoded.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        reason = self._caller.explained(f"Telegram answered {answer.status}", decoded.get("description"))
        status = answer.status
        if status == 429:
            wait = parameters.get("retry_after")
            seconds = min(max(float(wait), 0.0), LONGEST_S) if isinstance(wait, int | float) else after_s(answer)
            # Group ids are negative. A group has its own limit, so other chats need not wait.
            wait_for: Literal["recipient", "channel"] = "recipient" if chat.startswith("-") else "channel"
            busy = TemporaryFailure(reason=reason, kind="busy", after_s=seconds, wait_for=wait_for, status_code=status)
            return busy, None
        moved_to = parameters.get("migrate_to_chat_id")
        if status >= 500:
            return by_status(answer, reason, "provider"), None
        kind = "credentials" if status in _CREDENTIALS else "recipient" if status == 403 else "rejected"
        if status == 400 and any(words in reason.lower() for words in _NO_SUCH_CHAT):
            kind = "recipient"
        failure = PermanentFailure(reason=reason, kind=kind, status_code=status)
        return failure, moved_to if isinstance(moved_to, int) and str(moved_to) != chat else None


def build(config: dict[str, Any], tools: Tools) -> TelegramChannel:
    """Returns the channel for `config`, whose secrets are decrypted. Raises InvalidConfiguration."""
    return TelegramChannel(configuration(config, TelegramConfig), tools.outbound)


def _place(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters for the topic and the business account of the message that is answered."""
    place: dict[str, Any] = {**thread_of(content, {"businessConnectionId": "business_connection_id"})}
    topics = thread_of(
        content, {"messageThreadId": "message_thread_id", "directMessagesTopicId": "direct_messages_topic_id"}
    )
    return place | {name: int(value) for name, value in topics.items() if value.isascii() and value.isdigit()}


def _call(message: OutgoingMessage) -> tuple[str, dict[str, Any]]:
    """Returns the API method and its parameters. Raises InvalidContent."""
    content = sendable(message.content, "telegram")
    kind = kind_of(content)
    parse_mode = content.get("parseMode")
    markup = {"parse_mode": parse_mode} if isinstance(parse_mode, str) and parse_mode in PARSE_MODES else {}
    if kind == "text":
        return "sendMessage", {"text": text_of(content), **markup}
    if kind == "buttons":
        rows = [
            [{"text": button.title, **({"url": button.url} if button.url else {"callback_data": button.id})}]
            for button in buttons_of(content)
        ]
        return "sendMessage", {"text": text_of(content), **markup, "reply_markup": {"inline_keyboard": rows}}
    if kind == "media":
        media = media_of(content)
        method, field = _METHODS[media.kind]
        parameters = {field: media.url}
        if media.caption and media.kind != "sticker":
            parameters |= {"caption": media.caption, **markup}
        return method, parameters
    raise InvalidContent(f"Telegram cannot send the type {kind!r}")
