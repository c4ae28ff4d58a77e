"""Meta's bodies (WhatsApp, Messenger, Instagram).

WhatsApp's messages are in `entry[].changes[].value.messages[]` and its delivery receipts in `.statuses[]`. The messages
of Messenger and Instagram are in `entry[].messaging[]`. One body can carry up to a thousand of them, of many contacts.

Sources, on developers.facebook.com: WhatsApp Cloud API, "Webhooks", "Payload examples"; Messenger Platform, "Webhooks".
"""

from dataclasses import dataclass
from typing import Any

from filas.models.notifications import DeliveryState
from ingest.providers.document_fields import milliseconds, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, clean_contact

_MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})
_LISTS = ("messages", "statuses")
_CHANNELS = {"page": "messenger", "instagram": "instagram"}
_STATES: dict[str, DeliveryState] = {"sent": "sent", "delivered": "delivered", "read": "read", "failed": "failed"}


@dataclass(slots=True)
class _Item:
    """One message or receipt and its place: in the list `list_name` of the change's value, or of the entry."""

    entry: dict[str, Any]
    change: dict[str, Any] | None
    list_name: str
    content: dict[str, Any]


class Meta:
    """The reader of Meta's bodies."""

    def parts(self, document: Any) -> list[Part]:
        """One part for each message or receipt, in order. Each has only the profile of its own contact."""
        only = _only_message(document)
        if only is not None:
            return [Part(document, text_of(only.get("id")), _writer_of(only), only)]
        items = _items(document)
        if not items:
            return [Part(document, None, None)]
        if len(items) == 1:
            return [Part(document, _key_of(items[0]), _contact_of(items[0]), items[0].content)]
        return [Part(_as_body(document, item), _key_of(item), _contact_of(item), item.content) for item in items]

    def messages(self, document: Any) -> list[IncomingMessage]:
        """Every message with an id and a sender."""
        found: list[IncomingMessage] = []
        for item in _items(document):
            identity, contact = _key_of(item), _contact_of(item)
            if identity is not None and contact is not None:
                of_item = _of_whatsapp if item.list_name == "messages" else _of_messenger
                found.append(of_item(identity, contact, item.content))
        return found

    def receipts(self, document: Any) -> list[IncomingReceipt]:
        """WhatsApp's receipts. Those of Messenger are ignored, because they do not identify the message reliably."""
        found: list[IncomingReceipt] = []
        for item in _items(document):
            receipt = _receipt_of(item.content) if item.list_name == "statuses" else None
            if receipt is not None:
                found.append(receipt)
        return found

    def channel(self, document: Any) -> str:
        """`whatsapp`, `messenger` or `instagram`, by the document's `object`."""
        kind = object_of(document).get("object")
        return _CHANNELS.get(kind, "whatsapp") if isinstance(kind, str) else "whatsapp"


def _only_message(document: Any) -> dict[str, Any] | None:
    """The message of a WhatsApp body that contains nothing else. Nearly every body does, so this is the fast path."""
    try:
        (entry,) = document["entry"]
        (change,) = entry["changes"]
        value = change["value"]
        (message,) = value["messages"]
        is_alone = "statuses" not in value and "messaging" not in entry
    except (KeyError, TypeError, ValueError):
        return None
    return message if is_alone and isinstance(message, dict) else None


def _items(document: Any) -> list[_Item]:
    """Every message and receipt, in order."""
    found: list[_Item] = []
    entries = document.get("entry") if isinstance(document, dict) else None
    if isinstance(entries, list):
        for entry in entries:
            if isinstance(entry, dict):
                if "changes" in entry:
                    _add_changes(entry, entry["changes"], found)
                if "messaging" in entry:
                    found += [_Item(entry, None, "messaging", content) for content in objects(entry["messaging"])]
    return found


def _add_changes(entry: dict[str, Any], changes: Any, found: list[_Item]) -> None:
    if not isinstance(changes, list):
        return
    for change in changes:
        value = change.get("value") if isinstance(change, dict) else None
        if isinstance(value, dict):
            for name in _LISTS:
                contents = value.get(name)
                if isinstance(contents, list):
                    found += [_Item(entry, change, name, content) for content in contents if isinstance(content, dict)]


def _key_of(item: _Item) -> str | None:
    """The id of a message, or the id and state of a receipt."""
    if item.list_name == "messaging":
        return _messenger_id(item.content)
    identity = text_of(item.content.get("id"))
    if identity is None or item.list_name == "messages":
        return identity
    return f"{identity}:{item.content.get('status')}"


def _contact_of(item: _Item) -> str | None:
    """The sender of the message. None for a receipt, an echo, and an item without an id."""
    if item.list_name == "statuses" or _key_of(item) is None:
        return None
    if item.list_name == "messages":
        return _writer_of(item.content)
    if object_of(item.content.get("message")).get("is_echo"):
        return None
    return clean_contact(object_of(item.content.get("sender")).get("id"))


def _writer_of(message: dict[str, Any]) -> str | None:
    return clean_contact(message.get("from")) if text_of(message.get("id")) is not None else None


def _messenger_id(content: dict[str, Any]) -> str | None:
    return text_of(object_of(content.get("message")).get("mid")) or text_of(
        object_of(content.get("postback")).get("mid")
    )


def _as_body(document: dict[str, Any], item: _Item) -> dict[str, Any]:
    entry = {name: value for name, value in item.entry.items() if name not in ("changes", "messaging")}
    if item.change is None:
        entry["messaging"] = [item.content]
    else:
        whole = object_of(item.change.get("value"))
        value = {name: part for name, part in whole.items() if name not in ("messages", "statuses", "contacts")}
        contact = item.content.get("from", item.content.get("recipient_id"))
        profiles = [profile for profile in objects(whole.get("contacts")) if profile.get("wa_id") == contact]
        if profiles:
            value["contacts"] = profiles
        value[item.list_name] = [item.content]
        entry["changes"] = [{**item.change, "value": value}]
    return {**document, "entry": [entry]}


def _of_whatsapp(identity: str, contact: str, content: dict[str, Any]) -> IncomingMessage:
    kind = text_of(content.get("type")) or "unknown"
    details: dict[str, Any] = {}
    medium = text_of(object_of(content.get(kind)).get("id")) if kind in _MEDIA else None
    if medium is not None:
        details["media_id"] = medium
    sent_at = milliseconds(content.get("timestamp"), 1000)
    if sent_at is not None:
        details["sent_at"] = sent_at
    return IncomingMessage(id=identity, kind=kind, text=_text(kind, content), contact=contact, **details)


def _text(kind: str, content: dict[str, Any]) -> str | None:
    """The text that the contact wrote or chose."""
    part = object_of(content.get(kind))
    match kind:
        case "text":
            return text_of(part.get("body"))
        case "button":
            return text_of(part.get("text"))
        case "reaction":
            return text_of(part.get("emoji"))
        case "interactive":
            reply = object_of(part.get("button_reply")) or object_of(part.get("list_reply"))
            return text_of(reply.get("title"))
        case _:
            return text_of(part.get("caption"))


def _receipt_of(content: dict[str, Any]) -> IncomingReceipt | None:
    identity, state = text_of(content.get("id")), _STATES.get(text_of(content.get("status")) or "")
    if identity is None or state is None:
        return None
    error = None
    for failure in objects(content.get("errors"))[:1]:
        parts = (failure.get("code"), failure.get("title"), object_of(failure.get("error_data")).get("details"))
        error = " ".join(str(part) for part in parts if part is not None) or None
    at, key = milliseconds(content.get("timestamp"), 1000), text_of(content.get("biz_opaque_callback_data"))
    return IncomingReceipt(id=identity, state=state, key=key, error=error, at=at)


def _of_messenger(identity: str, contact: str, content: dict[str, Any]) -> IncomingMessage:
    message, postback = object_of(content.get("message")), object_of(content.get("postback"))
    details: dict[str, Any] = {}
    sent_at = milliseconds(content.get("timestamp"), 1)
    if sent_at is not None:
        details["sent_at"] = sent_at
    text, kind = text_of(message.get("text")) or text_of(postback.get("title")), "text"
    for attachment in objects(message.get("attachments"))[:1]:
        kind = text_of(attachment.get("type")) or "unknown"
        address = text_of(object_of(attachment.get("payload")).get("url"))
        if address is not None:
            details["media_url"] = address
    return IncomingMessage(id=identity, kind=kind, text=text, contact=contact, **details)
