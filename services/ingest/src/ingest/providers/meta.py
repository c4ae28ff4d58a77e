"""Meta's bodies: `entry[].changes[].value.messages[]` and `.statuses[]` (WhatsApp), `entry[].messaging[]`
(Messenger, Instagram). One body can carry up to a thousand of them, of many contacts.
"""

from dataclasses import dataclass
from typing import Any

from filas.models.notifications import DeliveryState
from ingest.providers.document_fields import milliseconds, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, IncomingStatus, Part, clean_contact

_MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})
_LISTS = ("messages", "statuses")
_CHANNELS = {"page": "messenger", "instagram": "instagram"}
_STATES: dict[str, DeliveryState] = {"sent": "sent", "delivered": "delivered", "read": "read", "failed": "failed"}


@dataclass(slots=True)
class _Item:
    """One message or status and where it stands: under `list_name` of the change's value, or of the entry."""

    entry: dict[str, Any]
    change: dict[str, Any] | None
    list_name: str
    content: dict[str, Any]


class Meta:
    """Reads the bodies that Meta posts."""

    def parts(self, document: Any) -> list[Part]:
        """One a message or status, in their order, each with its own contact's profile alone."""
        usual = _only_message(document)
        if usual is not None:
            return [Part(document, text_of(usual.get("id")), _writer_of(usual))]
        items = _items(document)
        if not items:
            return [Part(document, None, None)]
        if len(items) == 1:
            return [Part(document, _key_of(items[0]), _contact_of(items[0]))]
        return [Part(_alone(document, item), _key_of(item), _contact_of(item)) for item in items]

    def messages(self, document: Any) -> list[IncomingMessage]:
        """Every message with an id and a sender."""
        found: list[IncomingMessage] = []
        for item in _items(document):
            identity, contact = _key_of(item), _contact_of(item)
            if identity is not None and contact is not None:
                of_item = _of_whatsapp if item.list_name == "messages" else _of_messenger
                found.append(of_item(identity, contact, item.content))
        return found

    def statuses(self, document: Any) -> list[IncomingStatus]:
        """WhatsApp's statuses; Messenger tells of deliveries without saying of which message it can be sure."""
        found: list[IncomingStatus] = []
        for item in _items(document):
            status = _status_of(item.content) if item.list_name == "statuses" else None
            if status is not None:
                found.append(status)
        return found

    def channel(self, document: Any) -> str:
        """`whatsapp`, `messenger` or `instagram`, as the document's `object` says."""
        kind = object_of(document).get("object")
        return _CHANNELS.get(kind, "whatsapp") if isinstance(kind, str) else "whatsapp"


def _only_message(document: Any) -> dict[str, Any] | None:
    """The message of a body of WhatsApp's with nothing beside it: nearly every body, so found without ado."""
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
    """Every message and status in their order."""
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
    """A message's id, or a status's id and state."""
    if item.list_name == "messaging":
        return _messenger_id(item.content)
    identity = text_of(item.content.get("id"))
    if identity is None or item.list_name == "messages":
        return identity
    return f"{identity}:{item.content.get('status')}"


def _contact_of(item: _Item) -> str | None:
    """Who has written the message; None for a status, an echo, and what has no id."""
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


def _alone(document: dict[str, Any], item: _Item) -> dict[str, Any]:
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
    return IncomingMessage(id=identity, kind=kind, text=_written(kind, content), contact=contact, **details)


def _written(kind: str, content: dict[str, Any]) -> str | None:
    """What the contact wrote or chose."""
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


def _status_of(content: dict[str, Any]) -> IncomingStatus | None:
    identity, state = text_of(content.get("id")), _STATES.get(text_of(content.get("status")) or "")
    if identity is None or state is None:
        return None
    error = None
    for failure in objects(content.get("errors"))[:1]:
        parts = (failure.get("code"), failure.get("title"), object_of(failure.get("error_data")).get("details"))
        error = " ".join(str(part) for part in parts if part is not None) or None
    at, key = milliseconds(content.get("timestamp"), 1000), text_of(content.get("biz_opaque_callback_data"))
    return IncomingStatus(id=identity, state=state, key=key, error=error, at=at)


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
