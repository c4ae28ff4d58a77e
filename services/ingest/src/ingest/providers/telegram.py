"""Telegram's bodies: one update each, with one message, edit, post or press of a button.

Source: core.telegram.org/bots/api, "Update".
"""

from typing import Any

from ingest.providers.document_fields import identity_of, milliseconds, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, clean_contact, single_part

_KINDS = ("message", "edited_message", "channel_post", "edited_channel_post", "business_message")
_MEDIA = ("video", "animation", "audio", "voice", "document", "sticker", "video_note")
_OTHERS = ("location", "contact", "poll", "venue", "dice")


class Telegram:
    """The reader of Telegram's updates. The contact is the chat, because answers go there."""

    def parts(self, document: Any) -> list[Part]:
        """One part, because an update carries one message."""
        return single_part(document, _duplicate_key, self.messages)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The message, or the press of an inline button with its `callback_data` as text."""
        update = object_of(document)
        identity = identity_of(update.get("update_id"))
        if identity is None:
            return []
        message = next((update[kind] for kind in _KINDS if isinstance(update.get(kind), dict)), None)
        pressed = object_of(update.get("callback_query"))
        if message is None and pressed:
            message = {**object_of(pressed.get("message")), "date": None, "text": None}
            # A button below a message of an inline query has no chat: the private chat of the person is answered.
            chat = object_of(message.get("chat")) or object_of(pressed.get("from"))
            return _message(identity, "callback", text_of(pressed.get("data")), chat, {})
        if message is None:
            return []
        kind, details = _content(message)
        sent_at = milliseconds(message.get("edit_date", message.get("date")), 1000)
        if sent_at is not None:
            details["sent_at"] = sent_at
        text = text_of(message.get("text")) or text_of(message.get("caption"))
        return _message(identity, kind, text, object_of(message.get("chat")), details)

    def receipts(self, _document: Any) -> list[IncomingReceipt]:
        """None, because Telegram reports no deliveries."""
        return []

    def channel(self, _document: Any) -> str:
        """`telegram`."""
        return "telegram"


def _duplicate_key(document: Any) -> str | None:
    """`update_id`."""
    return identity_of(object_of(document).get("update_id"))


def _message(
    identity: str, kind: str, text: str | None, chat: dict[str, Any], details: dict[str, Any]
) -> list[IncomingMessage]:
    contact = clean_contact(chat.get("id"))
    if contact is None:
        return []
    return [IncomingMessage(id=identity, kind=kind, text=text, contact=contact, **details)]


def _content(message: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind, and the `file_id` of the medium: for a photo, that of the largest size."""
    if "text" in message:
        return "text", {}
    sizes = objects(message.get("photo"))
    for kind, medium in [
        ("photo", sizes[-1] if sizes else {}),
        *((kind, object_of(message.get(kind))) for kind in _MEDIA),
    ]:
        file_id = text_of(medium.get("file_id"))
        if file_id is not None:
            return kind, {"media_id": file_id}
    return next((kind for kind in _OTHERS if kind in message), "unknown"), {}
