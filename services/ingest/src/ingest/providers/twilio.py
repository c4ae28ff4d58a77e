"""Twilio's forms: an incoming message (SMS, MMS, WhatsApp), or the status of a message that was sent.

Source: twilio.com/docs/messaging/guides, "Webhook request" and "Track the message status".
"""

import re
from typing import Any

from filas.models.event_kinds import EventKind
from filas.models.notifications import DeliveryState
from ingest.providers.document_fields import digest, object_of, text_of
from ingest.providers.message import (
    IncomingMessage,
    IncomingReceipt,
    Media,
    Part,
    ProviderAnswer,
    clean_contact,
    single_part,
)

_STATES: dict[str, DeliveryState] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
}
_INCOMING = frozenset({"", "received", "receiving"})

_NO_INSTRUCTIONS = ProviderAnswer(200, "text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response/>')
_NO_CONTENT = ProviderAnswer(204, "", b"")

_MEDIA: dict[str, EventKind] = {"image": "image", "video": "video", "audio": "audio"}
_CARDS = ("text/vcard", "text/x-vcard", "text/directory")

# `MessageType` of WhatsApp, where it is more precise than the other fields.
_TYPES: dict[str, EventKind] = {
    "sticker": "sticker",
    "reaction": "reaction",
    "order": "order",
    "system": "system",
    "unsupported": "unsupported",
    "unknown": "unsupported",
    "deleted": "delete",
    "edited": "edit",
}


class Twilio:
    """The reader of Twilio's forms."""

    def parts(self, document: Any) -> list[Part]:
        """One part, because a form is about one message."""
        return single_part(document, _duplicate_key, self.messages)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The event of a form: an incoming message, a delivery receipt, or another notice, such as a call."""
        form = object_of(document)
        identity = _message_id(form)
        kind, text, data, media = _content(form)
        if _state(form) not in _INCOMING:
            kind = "status"
        elif identity is None or text_of(form.get("From")) is None:
            kind = "other"
        incoming = kind not in ("status", "other")
        return [
            IncomingMessage(
                id=identity,
                kind=kind,
                text=text,
                data=data,
                media=media,
                reply_to=text_of(form.get("OriginalRepliedMessageSid")),
                contact=clean_contact(form.get("From" if incoming else "To")),
                account=clean_contact(form.get("To" if incoming else "From")),
            )
        ]

    def receipts(self, document: Any) -> list[IncomingReceipt]:
        """The delivery receipt of a message that has left Twilio."""
        form = object_of(document)
        identity, state = _message_id(form), _STATES.get(_state(form))
        if identity is None or state is None:
            return []
        parts = (text_of(form.get("ErrorCode")), text_of(form.get("ErrorMessage")))
        error = " ".join(part for part in parts if part is not None) if state == "failed" else ""
        account = clean_contact(form.get("From"))
        return [IncomingReceipt(id=identity, state=state, error=error or None, account=account)]

    def answer(self, document: Any) -> ProviderAnswer | None:
        """An empty list of instructions (TwiML) for a message or a call, and no content for a status. Twilio reports
        any other answer as an error."""
        return _NO_CONTENT if _state(object_of(document)) not in _INCOMING else _NO_INSTRUCTIONS

    def channel(self, _document: Any) -> str:
        """`twilio`."""
        return "twilio"


def _duplicate_key(document: Any) -> str:
    """The id and status of the message or call. The status of an incoming message is `received`."""
    form = object_of(document)
    identity = _message_id(form) or text_of(form.get("CallSid"))
    if identity is None:
        return digest(document)
    state = _state(form) or text_of(form.get("CallStatus")) or "received"
    sequence = text_of(form.get("SequenceNumber"))
    return f"{identity}:{state}" if sequence is None else f"{identity}:{state}:{sequence}"


_Content = tuple[EventKind, str | None, dict[str, Any] | None, Media | None]


def _content(form: dict[str, Any]) -> _Content:
    """The kind, text, data and first medium of an incoming message."""
    body = text_of(form.get("Body"))
    optout = text_of(form.get("OptOutType"))
    if optout is not None:
        return "optout", body, {"type": optout}, None
    written = text_of(form.get("MessageType")) or ""
    if written in _TYPES and written != "sticker":
        return _TYPES[written], body, None, None
    chosen = text_of(form.get("ListId"))
    if chosen is not None:
        title = text_of(form.get("ListTitle")) or body
        return "list", title, {"id": chosen, "title": title}, None
    pressed = text_of(form.get("ButtonPayload")) or text_of(form.get("ButtonText"))
    if pressed is not None:
        title = text_of(form.get("ButtonText")) or body
        return "button", title, {"id": pressed, "title": title}, None
    if text_of(form.get("Latitude")) is not None:
        place: dict[str, Any] = {
            "latitude": _number(form.get("Latitude")),
            "longitude": _number(form.get("Longitude")),
            "name": text_of(form.get("Label")),
            "address": text_of(form.get("Address")),
        }
        return "location", body or place["name"] or place["address"], place, None
    return _medium(form, body, written)


def _medium(form: dict[str, Any], body: str | None, written: str) -> _Content:
    address = text_of(form.get("MediaUrl0"))
    if address is None:
        return "text", body, None, None
    mime_type = text_of(form.get("MediaContentType0"))
    media = Media(url=address, mime_type=mime_type, caption=body)
    if mime_type in _CARDS:
        return "contacts", body, {"contacts": []}, media
    kind = _TYPES["sticker"] if written == "sticker" else _MEDIA.get((mime_type or "").partition("/")[0], "document")
    return kind, body, None, media


def _number(written: Any) -> float | None:
    """A coordinate, None if it is not a plain decimal number."""
    text = text_of(written) or ""
    return float(text) if re.fullmatch(r"[+-]?[0-9]{1,3}(\.[0-9]{1,15})?", text, re.ASCII) else None


def _message_id(form: dict[str, Any]) -> str | None:
    return text_of(form.get("MessageSid")) or text_of(form.get("SmsSid"))


def _state(form: dict[str, Any]) -> str:
    return text_of(form.get("MessageStatus")) or text_of(form.get("SmsStatus")) or ""
