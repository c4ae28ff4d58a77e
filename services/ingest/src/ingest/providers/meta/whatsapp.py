"""WhatsApp's notices: messages, delivery receipts and changes of preferences.

Source: developers.facebook.com, WhatsApp Cloud API, "Webhooks", "messages" and the pages of the other fields.
"""

from collections.abc import Callable
from typing import Any, Final

from filas.models.event_kinds import EventKind
from filas.models.notifications import DeliveryState
from ingest.providers.document_fields import identity_of, json_of, milliseconds, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Media, clean_contact
from ingest.providers.meta.items import Item

_MEDIA: Final[dict[str, EventKind]] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "voice": "audio",
    "document": "document",
    "sticker": "sticker",
}
_NOT_CONTENT: Final[dict[str, EventKind]] = {
    "reaction": "reaction",
    "edit": "edit",
    "edited": "edit",
    "revoke": "delete",
    "revoked": "delete",
    "system": "system",
    "request_welcome": "system",
    "unsupported": "unsupported",
    "unknown": "unsupported",
    "ephemeral": "unsupported",
    "errors": "unsupported",
}
_STATES: Final[dict[str, DeliveryState]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}


def key_of(item: Item) -> str | None:
    """The id of a message, or the id and state of a receipt. None for other notices."""
    identity = text_of(item.content.get("id"))
    if identity is None or item.list_name == "messages":
        return identity
    if item.list_name == "statuses":
        return f"{identity}:{item.content.get('status')}"
    return f"{identity}:{item.list_name}" if item.list_name in ("message_echoes", "calls") else None


def contact_of(message: dict[str, Any]) -> str | None:
    """The sender of a message: the number, or the user id of a person with a user name."""
    return clean_contact(message.get("from")) or clean_contact(message.get("from_user_id"))


def is_payment(status: dict[str, Any]) -> bool:
    """Whether an element of `statuses` reports a payment, which starts something, and not a delivery."""
    return status.get("type") == "payment" and status.get("status") == "captured"


def message_of(item: Item) -> IncomingMessage:
    """The event in an element of one of WhatsApp's lists."""
    content: dict[str, Any] = item.content
    account = _account(item)
    if item.list_name == "messages":
        return _message(item, content, account)
    kind: EventKind = "other"
    data: dict[str, Any] | None = None
    contact = None
    aliases: tuple[str, ...] = ()
    if item.list_name == "statuses":
        kind = "status"
        aliases = _addresses(item, [content.get("recipient_id"), content.get("recipient_user_id")])
        contact = clean_contact(content.get("recipient_id")) or clean_contact(content.get("recipient_user_id"))
        if is_payment(content):
            kind, data = "payment", object_of(content.get("payment"))
    elif item.list_name == "message_echoes":
        kind = "echo"
    elif item.list_name == "user_preferences":
        kind, contact = "optout", clean_contact(content.get("wa_id")) or clean_contact(content.get("user_id"))
        data = {"category": content.get("category"), "value": content.get("value")}
    return IncomingMessage(
        id=text_of(content.get("id")),
        kind=kind,
        data=data,
        sent_at=milliseconds(content.get("timestamp"), 1000),
        contact=contact,
        aliases=tuple(one for one in aliases if one != contact),
        account=account,
        raw_path=item.path,
    )


def _account(item: Item) -> str | None:
    """The id of our own number."""
    return text_of(object_of(item.value.get("metadata")).get("phone_number_id"))


def receipt_of(item: Item) -> IncomingReceipt | None:
    """The delivery receipt in an element of `statuses`, None if it has no id or no known state."""
    content: dict[str, Any] = item.content
    identity, state = text_of(content.get("id")), _STATES.get(text_of(content.get("status")) or "")
    if identity is None or state is None or content.get("type") == "payment":
        return None
    error = None
    for failure in objects(content.get("errors"))[:1]:
        parts = (failure.get("code"), failure.get("title"), object_of(failure.get("error_data")).get("details"))
        error = " ".join(text for part in parts if (text := identity_of(part)) is not None) or None
    at, key = milliseconds(content.get("timestamp"), 1000), text_of(content.get("biz_opaque_callback_data"))
    return IncomingReceipt(id=identity, state=state, key=key, error=error, at=at, account=_account(item))


def _message(item: Item, content: dict[str, Any], account: str | None) -> IncomingMessage:
    kind, text, data, media = _content(content)
    contact = contact_of(content)
    return IncomingMessage(
        id=text_of(content.get("id")),
        kind=kind,
        text=text,
        data=data,
        media=media,
        reply_to=text_of(object_of(content.get("context")).get("id")),
        sent_at=milliseconds(content.get("timestamp"), 1000),
        contact=contact,
        aliases=_aliases(item, content, contact),
        moved_to=_moved_to(content),
        account=account,
        raw_path=item.path,
    )


def _aliases(item: Item, content: dict[str, Any], contact: str | None) -> tuple[str, ...]:
    """The other addresses of the sender: its user id, its number, and its new number after a change."""
    values = [content.get("from"), content.get("from_user_id")]
    if content.get("type") == "system":
        change = object_of(content.get("system"))
        values += [change.get("wa_id"), change.get("new_wa_id"), change.get("user_id")]
    return tuple(one for one in _addresses(item, values) if one != contact)


def _addresses(item: Item, values: list[Any]) -> tuple[str, ...]:
    """The addresses in `values` and in the profile of the notice's contact."""
    for profile in item.profiles():
        values += [profile.get("wa_id"), profile.get("user_id")]
    cleaned = [clean_contact(value) for value in values]
    return tuple(dict.fromkeys(one for one in cleaned if one is not None))


def _moved_to(content: dict[str, Any]) -> str | None:
    """The new number of a sender whose number has changed."""
    change = object_of(content.get("system")) if content.get("type") == "system" else {}
    number = clean_contact(change.get("new_wa_id")) or clean_contact(change.get("wa_id"))
    return number if number != clean_contact(content.get("from")) else None


_Content = tuple[EventKind, str | None, dict[str, Any] | None, Media | None]


def _content(content: dict[str, Any]) -> _Content:
    """The kind, text, data and medium of a message."""
    written = text_of(content.get("type")) or ""
    part = object_of(content.get(written))
    if written in _MEDIA:
        return _medium(_MEDIA[written], part)
    if written in _NOT_CONTENT:
        return _not_content(_NOT_CONTENT[written], part, content)
    if written == "text":
        return "text", text_of(part.get("body")), None, None
    if written == "contacts":
        return _cards(content)
    read = _READERS.get(written)
    return ("other", None, None, None) if read is None else read(part)


def _medium(kind: EventKind, part: dict[str, Any]) -> _Content:
    caption, size = text_of(part.get("caption")), part.get("file_size")
    media = Media(
        id=text_of(part.get("id")),
        url=text_of(part.get("url")) or text_of(part.get("link")),
        mime_type=text_of(part.get("mime_type")),
        filename=text_of(part.get("filename")),
        caption=caption,
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
    )
    flags = {name: part[name] for name in ("voice", "animated") if isinstance(part.get(name), bool)}
    return kind, caption, flags or None, media


def _not_content(kind: EventKind, part: dict[str, Any], content: dict[str, Any]) -> _Content:
    match kind:
        case "reaction":
            emoji = text_of(part.get("emoji"))
            return kind, emoji, {"messageId": text_of(part.get("message_id")), "emoji": emoji}, None
        case "edit":
            inner = object_of(part.get("message"))
            original = text_of(part.get("original_message_id")) or text_of(inner.get("id"))
            return kind, _content(inner)[1] if inner else None, {"messageId": original}, None
        case "delete":
            return kind, None, {"messageId": text_of(part.get("original_message_id"))}, None
        case "system":
            return kind, text_of(part.get("body")), {"type": text_of(part.get("type"))}, None
    reasons = [text_of(error.get("title")) for error in objects(content.get("errors"))]
    return kind, None, {"error": next((reason for reason in reasons if reason), None)}, None


def _button(part: dict[str, Any]) -> _Content:
    title = text_of(part.get("text"))
    return "button", title, {"id": text_of(part.get("payload")) or title, "title": title}, None


def _location(part: dict[str, Any]) -> _Content:
    data = {name: part.get(name) for name in ("latitude", "longitude", "name", "address")}
    return "location", text_of(part.get("name")) or text_of(part.get("address")), data, None


def _cards(content: dict[str, Any]) -> _Content:
    cards = [_card(card) for card in objects(content.get("contacts"))]
    names = [card["name"] for card in cards if card["name"]]
    return "contacts", ", ".join(names) or None, {"contacts": cards}, None


def _order(part: dict[str, Any]) -> _Content:
    items = [_product(product) for product in objects(part.get("product_items"))]
    return "order", text_of(part.get("text")), {"catalogId": text_of(part.get("catalog_id")), "items": items}, None


def _interactive(part: dict[str, Any]) -> _Content:
    for name, kind in (("button_reply", "button"), ("list_reply", "list")):
        reply = object_of(part.get(name))
        if reply:
            title = text_of(reply.get("title"))
            chosen: dict[str, Any] = {"id": text_of(reply.get("id")) or title, "title": title}
            if text_of(reply.get("description")):
                chosen["description"] = reply["description"]
            return ("button" if kind == "button" else "list"), title, chosen, None
    form = object_of(part.get("nfm_reply"))
    if form:
        return "form", text_of(form.get("body")), _form_fields(form.get("response_json")), None
    return "interaction", None, {"type": text_of(part.get("type"))}, None


def _form_fields(written: Any) -> dict[str, Any]:
    """The fields of a form: the JSON object in a text. A text that is no object is the field `text`."""
    if isinstance(written, dict):
        return written
    if not isinstance(written, str):
        return {}
    found = json_of(written)
    return found if isinstance(found, dict) else {"text": written}


def _card(card: dict[str, Any]) -> dict[str, Any]:
    name = object_of(card.get("name"))
    whole = " ".join(part for part in (text_of(name.get("first_name")), text_of(name.get("last_name"))) if part)
    return {
        "name": text_of(name.get("formatted_name")) or whole or None,
        "phones": [
            {"phone": text_of(phone.get("phone")), "waId": text_of(phone.get("wa_id"))}
            for phone in objects(card.get("phones"))
        ],
        "emails": [email for one in objects(card.get("emails")) if (email := text_of(one.get("email")))],
        "organization": text_of(object_of(card.get("org")).get("company")),
    }


def _product(product: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": text_of(product.get("product_retailer_id")),
        "quantity": product.get("quantity"),
        "price": product.get("item_price"),
        "currency": text_of(product.get("currency")),
    }


_READERS: Final[dict[str, Callable[[dict[str, Any]], _Content]]] = {
    "interactive": _interactive,
    "button": _button,
    "location": _location,
    "order": _order,
}
