"""Messages to each channel and the providers' answers: one result, without a secret, whatever either of them is.

Input: the type of the channel and the status, a JSON document with the `content` of the message, `to` and the `answer`.
"""

from collections.abc import Coroutine, Mapping
from typing import Any
from uuid import UUID

import msgspec

from filas.channels.content_checks import problems
from filas.channels.content_parts import MAX_PARTS, parts_of
from filas.channels.invalid_content import InvalidContent
from filas.channels.open_markup import can_cut
from filas.channels.split_text import split_text
from filas.channels.text_escapes import escape_of
from filas.contract import bounded_json
from filas.contract.storable_text import json_bytes
from filas.decoding.json_body import decode_json
from filas.outbound.outbound_response import OutboundResponse
from notifier.channels import http, slack, telegram, twilio, whatsapp
from notifier.channels.channel import (
    Channel,
    Delivered,
    OutgoingMessage,
    PermanentFailure,
    Result,
    TemporaryFailure,
    Tools,
)
from tests.fuzz.target import chosen, first_line

DOCUMENTS = True
WORDS = (
    "content", "to", "answer", "type", "text", "buttons", "list", "media", "template", "url", "caption", "filename",
    "kind", "image", "document", "audio", "sections", "rows", "title", "id", "description", "footer", "header", "name",
    "language", "parameters", "components", "parseMode", "HTML", "MarkdownV2", "messages", "contacts", "wa_id", "input",
    "error", "code", "error_data", "details", "message", "ok", "result", "message_id", "error_code", "parameters",
    "retry_after", "migrate_to_chat_id", "description", "channel", "ts", "response_metadata", "sid", "status", "queued",
    "more_info", "thread", "messageThreadId", "replyTo", "whatsapp", "telegram", "slack", "twilio", "http",
    "<b>", "</b>", "&amp;", "*a*", "131047", "ratelimited", "is_transient",
)  # fmt: skip
SECRET = "hunter2-hunter2"
MAX_SENT = 1024 * 1024


class _Outbound:
    """Answers each call with the same response."""

    def __init__(self) -> None:
        self.response = OutboundResponse(status=200, headers={}, body=b"", url="https://a.example/")

    async def request(self, method: str, url: str, *, body: bytes, **options: object) -> OutboundResponse:
        assert len(body) <= MAX_SENT
        return self.response


async def _no_socket(host: str, port: int, *, timeout_s: float) -> Any:
    raise OSError


def _ignored(_line: str) -> None:
    pass


_OUTBOUND = _Outbound()
_TOOLS = Tools(_OUTBOUND, _ignored, _no_socket)
CHANNELS: dict[str, Channel] = {
    "http": http.build({"url": "https://a.example/", "secret": "whsec_c2VjcmV0"}, _TOOLS),
    "slack": slack.build({"botToken": SECRET}, _TOOLS),
    "slack-webhook": slack.build({"webhookUrl": f"https://hooks.slack.example/services/{SECRET}"}, _TOOLS),
    "telegram": telegram.build({"botToken": f"1:{SECRET}"}, _TOOLS),
    "twilio": twilio.build({"accountSid": "AC1", "authToken": SECRET, "from": "+15550100"}, _TOOLS),
    "whatsapp": whatsapp.build({"phoneNumberId": "1", "accessToken": SECRET}, _TOOLS),
}


def fuzz(data: bytes) -> None:
    """Sends the message once."""
    line, body = first_line(data)
    name, _, status = line.partition(" ")
    try:
        document, _ = decode_json(body)
    except bounded_json.InvalidJson:
        return
    if not isinstance(document, dict) or not isinstance(document.get("content"), dict):
        return
    content: dict[str, Any] = document["content"]
    code = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 200
    answer = document.get("answer")
    written = answer.encode("utf-8", "replace") if isinstance(answer, str) else json_bytes(answer)
    _OUTBOUND.response = OutboundResponse(status=code, headers={"retry-after": "5"}, body=written, url="https://a/")
    message = OutgoingMessage(
        id=UUID(int=1), to=str(document.get("to"))[:256], content=content, idempotency_key="k", execution_id=None
    )
    result = _result(chosen(CHANNELS, name).deliver(message))
    assert isinstance(result, Delivered | TemporaryFailure | PermanentFailure)
    assert SECRET not in msgspec.json.encode(result).decode()
    _check_content(content, name.partition("-")[0])


def _result(sending: Coroutine[Any, Any, Result]) -> Result:
    """Runs a delivery that waits for nothing."""
    try:
        sending.send(None)
    except StopIteration as ended:
        found: Result = ended.value
        return found
    raise AssertionError("the delivery waits for something")


def _check_content(content: Mapping[str, Any], channel: str) -> None:
    """A text is divided into parts that have all of its words."""
    list(problems(content, channel))
    text = content.get("text")
    if not isinstance(text, str):
        return
    escape = escape_of(channel, None, None)
    if escape is not None:
        escape(text)
    for limit, cuts in ((10, None), (50, can_cut(text, content.get("parseMode")))):
        try:
            parts = split_text(text, limit, cuts)
        except ValueError:
            continue
        assert "".join("".join(parts).split()) == "".join(text.split())
    if content.get("type") == "text":
        try:
            assert 1 <= len(parts_of(dict(content), channel)) <= MAX_PARTS
        except InvalidContent:
            pass
