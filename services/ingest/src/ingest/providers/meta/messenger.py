"""The notices of Messenger and Instagram, which have the same form.

Sources, on developers.facebook.com: Messenger Platform, "Webhook events"; Instagram Platform, "Webhooks", "Examples".
"""

from typing import Any, Final

from filas.models.event_kinds import EventKind
from ingest.providers.document_fields import identity_of, milliseconds, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, Media, clean_contact
from ingest.providers.meta.items import Item

_ATTACHMENTS: Final[dict[str, EventKind]] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "file": "document",
    "sticker": "sticker",
    "reel": "video",
    "ig_reel": "video",
    "story_mention": "image",
    "share": "image",
    "ig_post": "image",
    "post": "image",
    "ephemeral": "image",
}

# The first name that a notice has decides what it is.
_NOTICES: Final[tuple[tuple[str, EventKind], ...]] = (
    ("message", "text"),
    ("message_edit", "edit"),
    ("postback", "button"),
    ("reaction", "reaction"),
    ("optin", "optout"),
    ("delivery", "status"),
    ("read", "status"),
    ("messaging_feedback", "form"),
    ("payment", "payment"),
    ("order", "order"),
    ("referral", "other"),
)


def key_of(content: dict[str, Any]) -> str | None:
    """The id of the notice. A notice that is about a message adds what it states about it. None if it has no id."""
    for name, _ in _NOTICES:
        part = object_of(content.get(name))
        mid = text_of(part.get("mid"))
        if mid is None:
            continue
        if name in ("message", "postback"):
            return f"{mid}:delete" if part.get("is_deleted") is True else mid
        sender = object_of(content.get("sender")).get("id")
        what = [sender, part.get("action"), part.get("emoji"), part.get("num_edit"), content.get("timestamp")]
        return ":".join([mid, name, *(text for one in what if (text := identity_of(one)) is not None)])
    return None


def contact_of(content: dict[str, Any]) -> str | None:
    """The sender of the notice. None for an echo, whose sender is the owner of the account."""
    if object_of(content.get("message")).get("is_echo") is True:
        return None
    return clean_contact(object_of(content.get("sender")).get("id"))


def message_of(item: Item) -> IncomingMessage:
    """The event in a notice. One that another app handles (`standby`) is `other`."""
    content: dict[str, Any] = item.content
    kind, text, data, media, reply_to = _content(content)
    if item.list_name == "standby" and kind not in ("echo", "status"):
        kind = "other"
    return IncomingMessage(
        id=key_of(content),
        kind=kind,
        text=text,
        data=data,
        media=media,
        reply_to=reply_to,
        sent_at=milliseconds(content.get("timestamp"), 1),
        contact=contact_of(content),
        account=clean_contact(object_of(content.get("recipient")).get("id")),
        raw_path=item.path,
    )


_Content = tuple[EventKind, str | None, dict[str, Any] | None, Media | None, str | None]


def _content(content: dict[str, Any]) -> _Content:
    """The kind, text, data and medium, and the id of the message that it answers."""
    for name, kind in _NOTICES:
        part = content.get(name)
        if not isinstance(part, dict):
            continue
        match name:
            case "message":
                return _message(part)
            case "message_edit":
                return kind, text_of(part.get("text")), {"messageId": text_of(part.get("mid"))}, None, None
            case "postback":
                title = text_of(part.get("title"))
                return kind, title, {"id": text_of(part.get("payload")) or title, "title": title}, None, None
            case "reaction":
                emoji = text_of(part.get("emoji")) if part.get("action") != "unreact" else None
                return kind, emoji, {"messageId": text_of(part.get("mid")), "emoji": emoji}, None, None
            case _:
                return kind, None, part, None, None
    return "other", None, None, None, None


def _message(message: dict[str, Any]) -> _Content:
    if message.get("is_echo") is True:
        return "echo", text_of(message.get("text")), None, None, None
    if message.get("is_deleted") is True:
        return "delete", None, {"messageId": text_of(message.get("mid"))}, None, None
    if message.get("is_unsupported") is True:
        return "unsupported", None, None, None, None
    reply_to = text_of(object_of(message.get("reply_to")).get("mid"))
    text = text_of(message.get("text"))
    pressed = object_of(message.get("quick_reply"))
    if pressed:
        return "button", text, {"id": text_of(pressed.get("payload")) or text, "title": text}, None, reply_to
    for attachment in objects(message.get("attachments"))[:1]:
        kind, data, media = _attachment(attachment, text)
        return kind, text, data, media, reply_to
    return ("other" if text is None else "text"), text, None, None, reply_to


def _attachment(attachment: dict[str, Any], text: str | None) -> tuple[EventKind, dict[str, Any] | None, Media | None]:
    written, payload = text_of(attachment.get("type")) or "", object_of(attachment.get("payload"))
    if written == "location":
        place = object_of(payload.get("coordinates"))
        named = {"name": text_of(attachment.get("title")), "address": None}
        return "location", {"latitude": place.get("lat"), "longitude": place.get("long"), **named}, None
    if written in ("fallback", "template"):
        # A link that the contact shared. With a text beside it, the text is the message.
        shared = {"title": text_of(attachment.get("title")), "url": text_of(attachment.get("url"))}
        return "text" if text is not None else "other", shared, None
    kind = _ATTACHMENTS.get(written, "other")
    if kind == "image" and "sticker_id" in payload:
        kind = "sticker"
    return kind, None, Media(url=text_of(payload.get("url")), filename=text_of(payload.get("title")))
