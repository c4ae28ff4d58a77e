"""Meta's bodies: `entry[].changes[].value.messages[]` and `.statuses[]` (WhatsApp), `entry[].messaging[]`
(Messenger, Instagram). One body can carry up to a thousand of them, of many contacts.
"""

from dataclasses import dataclass
from typing import Any

from ingest.providers.message import IncomingMessage, clean_contact

_MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})
_LISTS = ("messages", "statuses")
_CHANNELS = {"page": "messenger", "instagram": "instagram"}


@dataclass(slots=True)
class _Item:
    """One message or status and where it stands: under `list_name` of the change's value, or of the entry."""

    entry: dict[str, Any]
    change: dict[str, Any] | None
    list_name: str
    content: dict[str, Any]


class Meta:
    """Reads the bodies that Meta posts."""

    def split(self, document: Any) -> list[Any]:
        """One document a message or status, in their order, each with its own contact's profile alone."""
        items = _items(document)
        if len(items) < 2:
            return [document]
        return [_alone(document, item) for item in items]

    def messages(self, document: Any) -> list[IncomingMessage]:
        """Every message with an id and a sender."""
        found: list[IncomingMessage] = []
        for item in _items(document):
            message = _of_whatsapp(item) if item.list_name == "messages" else _of_messenger(item)
            if message is not None:
                found.append(message)
        return found

    def channel(self, document: Any) -> str:
        """`whatsapp`, `messenger` or `instagram`, as the document's `object` says."""
        kind = _dict(document).get("object")
        return _CHANNELS.get(kind, "whatsapp") if isinstance(kind, str) else "whatsapp"


def duplicate_key(document: Any) -> str | None:
    """A message's id, or a status's id and state. None for a document of none, or of several."""
    items = _items(document)
    if len(items) != 1:
        return None
    item = items[0]
    content = item.content
    if item.list_name == "messaging":
        content = _dict(content.get("message")) or _dict(content.get("postback"))
        return _text(content.get("mid"))
    identity = _text(content.get("id"))
    if identity is None or item.list_name == "messages":
        return identity
    return f"{identity}:{content.get('status')}"


def _items(document: Any) -> list[_Item]:
    """Every message and status in their order. Asked several times a request, so plainly written."""
    found: list[_Item] = []
    for entry in _dicts(document.get("entry") if isinstance(document, dict) else None):
        for change in _dicts(entry.get("changes")):
            value = change.get("value")
            if isinstance(value, dict):
                for name in _LISTS:
                    if name in value:
                        found += [_Item(entry, change, name, content) for content in _dicts(value[name])]
        if "messaging" in entry:
            found += [_Item(entry, None, "messaging", content) for content in _dicts(entry["messaging"])]
    return found


def _alone(document: dict[str, Any], item: _Item) -> dict[str, Any]:
    entry = {name: value for name, value in item.entry.items() if name not in ("changes", "messaging")}
    if item.change is None:
        entry["messaging"] = [item.content]
    else:
        whole = _dict(item.change.get("value"))
        value = {name: part for name, part in whole.items() if name not in ("messages", "statuses", "contacts")}
        contact = item.content.get("from", item.content.get("recipient_id"))
        profiles = [profile for profile in _dicts(whole.get("contacts")) if profile.get("wa_id") == contact]
        if profiles:
            value["contacts"] = profiles
        value[item.list_name] = [item.content]
        entry["changes"] = [{**item.change, "value": value}]
    return {**document, "entry": [entry]}


def _of_whatsapp(item: _Item) -> IncomingMessage | None:
    content = item.content
    identity, contact = _text(content.get("id")), clean_contact(content.get("from"))
    if identity is None or contact is None:
        return None
    kind = _text(content.get("type")) or "unknown"
    details: dict[str, Any] = {}
    medium = _text(_dict(content.get(kind)).get("id")) if kind in _MEDIA else None
    if medium is not None:
        details["media_id"] = medium
    sent_at = _milliseconds(content.get("timestamp"), 1000)
    if sent_at is not None:
        details["sent_at"] = sent_at
    return IncomingMessage(id=identity, kind=kind, text=_written(kind, content), contact=contact, **details)


def _written(kind: str, content: dict[str, Any]) -> str | None:
    """What the contact wrote or chose."""
    part = _dict(content.get(kind))
    match kind:
        case "text":
            return _text(part.get("body"))
        case "button":
            return _text(part.get("text"))
        case "reaction":
            return _text(part.get("emoji"))
        case "interactive":
            reply = _dict(part.get("button_reply")) or _dict(part.get("list_reply"))
            return _text(reply.get("title"))
        case _:
            return _text(part.get("caption"))


def _of_messenger(item: _Item) -> IncomingMessage | None:
    content = item.content
    message, postback = _dict(content.get("message")), _dict(content.get("postback"))
    contact = clean_contact(_dict(content.get("sender")).get("id"))
    identity = _text(message.get("mid")) or _text(postback.get("mid"))
    if identity is None or contact is None or message.get("is_echo"):
        return None
    details: dict[str, Any] = {}
    sent_at = _milliseconds(content.get("timestamp"), 1)
    if sent_at is not None:
        details["sent_at"] = sent_at
    text, kind = _text(message.get("text")) or _text(postback.get("title")), "text"
    for attachment in _dicts(message.get("attachments"))[:1]:
        kind = _text(attachment.get("type")) or "unknown"
        address = _text(_dict(attachment.get("payload")).get("url"))
        if address is not None:
            details["media_url"] = address
    return IncomingMessage(id=identity, kind=kind, text=text, contact=contact, **details)


def _milliseconds(value: Any, factor: int) -> int | None:
    """A time that is a number or its digits, in units of `factor` milliseconds."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**16:
        return None
    return value * factor


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
