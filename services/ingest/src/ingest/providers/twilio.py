"""Twilio's forms: an incoming message (SMS, MMS, WhatsApp), or the status of a message that was sent.

Source: twilio.com/docs/messaging/guides, "Webhook request" and "Track the message status".
"""

from typing import Any

from filas.models.notifications import DeliveryState
from ingest.providers.document_fields import object_of, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, clean_contact, single_part

_STATES: dict[str, DeliveryState] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
}
_INCOMING = frozenset({"", "received", "receiving"})


class Twilio:
    """The reader of Twilio's forms."""

    def parts(self, document: Any) -> list[Part]:
        """One part, because a form is about one message."""
        return single_part(document, _duplicate_key, self.messages)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The incoming message of a form: its text or the text of the pressed button, and its first medium."""
        form = object_of(document)
        identity, contact = _message_id(form), clean_contact(form.get("From"))
        if identity is None or contact is None or _state(form) not in _INCOMING:
            return []
        kind = "text"
        details: dict[str, Any] = {}
        address = text_of(form.get("MediaUrl0"))
        if address is not None:
            kind = (text_of(form.get("MediaContentType0")) or "media").partition("/")[0]
            details["media_url"] = address
        elif text_of(form.get("ButtonText")) is not None:
            kind = "button"
        elif text_of(form.get("Latitude")) is not None:
            kind = "location"
        text = text_of(form.get("Body")) or text_of(form.get("ButtonText"))
        return [IncomingMessage(id=identity, kind=kind, text=text, contact=contact, **details)]

    def receipts(self, document: Any) -> list[IncomingReceipt]:
        """The delivery receipt of a message that has left Twilio."""
        form = object_of(document)
        identity, state = _message_id(form), _STATES.get(_state(form))
        if identity is None or state is None:
            return []
        parts = (text_of(form.get("ErrorCode")), text_of(form.get("ErrorMessage")))
        error = " ".join(part for part in parts if part is not None) if state == "failed" else ""
        return [IncomingReceipt(id=identity, state=state, error=error or None)]

    def channel(self, _document: Any) -> str:
        """`twilio`."""
        return "twilio"


def _duplicate_key(document: Any) -> str | None:
    """The id and status of the message or call. The status of an incoming message is `received`."""
    form = object_of(document)
    identity = _message_id(form) or text_of(form.get("CallSid"))
    if identity is None:
        return None
    state = _state(form) or text_of(form.get("CallStatus")) or "received"
    sequence = text_of(form.get("SequenceNumber"))
    return f"{identity}:{state}" if sequence is None else f"{identity}:{state}:{sequence}"


def _message_id(form: dict[str, Any]) -> str | None:
    return text_of(form.get("MessageSid")) or text_of(form.get("SmsSid"))


def _state(form: dict[str, Any]) -> str:
    return text_of(form.get("MessageStatus")) or text_of(form.get("SmsStatus")) or ""
