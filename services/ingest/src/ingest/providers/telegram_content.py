"""The content of a Telegram message: its kind, the fields of the kind, and its medium.

Source: core.telegram.org/bots/api, "Message".
"""

from collections.abc import Callable
from typing import Any, Final

from filas.models.event_kinds import EventKind
from ingest.providers.document_fields import identity_of, json_of, object_of, objects, text_of
from ingest.providers.message import Media

_MEDIA: Final[dict[str, EventKind]] = {
    # An animation is also sent as a document, so it comes first.
    "animation": "video",
    "video": "video",
    "video_note": "video",
    "audio": "audio",
    "voice": "audio",
    "document": "document",
    "sticker": "sticker",
}

# Service messages: what happens to a chat. They are in no particular order.
_SERVICE: Final = frozenset(
    {
        "new_chat_members",
        "left_chat_member",
        "new_chat_title",
        "new_chat_photo",
        "delete_chat_photo",
        "group_chat_created",
        "supergroup_chat_created",
        "channel_chat_created",
        "message_auto_delete_timer_changed",
        "migrate_to_chat_id",
        "migrate_from_chat_id",
        "pinned_message",
        "invoice",
        "refunded_payment",
        "connected_website",
        "write_access_allowed",
        "proximity_alert_triggered",
        "boost_added",
        "chat_background_set",
        "checklist_tasks_done",
        "checklist_tasks_added",
        "direct_message_price_changed",
        "forum_topic_created",
        "forum_topic_edited",
        "forum_topic_closed",
        "forum_topic_reopened",
        "general_forum_topic_hidden",
        "general_forum_topic_unhidden",
        "gift",
        "unique_gift",
        "gift_upgrade_sent",
        "giveaway_created",
        "giveaway",
        "giveaway_winners",
        "giveaway_completed",
        "paid_message_price_changed",
        "suggested_post_approved",
        "suggested_post_approval_failed",
        "suggested_post_declined",
        "suggested_post_paid",
        "suggested_post_refunded",
        "video_chat_scheduled",
        "video_chat_started",
        "video_chat_ended",
        "video_chat_participants_invited",
        "chat_owner_left",
        "chat_owner_changed",
    }
)

_Content = tuple[EventKind, dict[str, Any], Media | None]


def content_of(message: dict[str, Any]) -> _Content:
    """The kind of a message, the fields of its kind, and its medium."""
    if isinstance(message.get("text"), str):
        return "text", {}, None
    medium = _medium(message)
    if medium is not None:
        return medium
    for name, read in _READERS.items():
        part = message.get(name)
        if isinstance(part, dict):
            return read(part)
    if any(name in message for name in _SERVICE):
        return "system", {"type": next(name for name in message if name in _SERVICE)}, None
    # A message without content is one that bots cannot see, such as a story.
    return ("other" if "poll" in message or "game" in message else "unsupported"), {}, None


def _medium(message: dict[str, Any]) -> _Content | None:
    caption = text_of(message.get("caption"))
    sizes = objects(message.get("photo"))
    if sizes:
        return "image", {}, _media(sizes[-1], caption)  # the largest size is the last
    for name, kind in _MEDIA.items():
        part = object_of(message.get(name))
        if text_of(part.get("file_id")) is not None:
            emoji = text_of(part.get("emoji")) if name == "sticker" else None
            data = {"voice": True} if name == "voice" else {"emoji": emoji} if emoji else {}
            return kind, data, _media(part, caption)
    paid = objects(object_of(message.get("paid_media")).get("paid_media"))
    for one in paid[:1]:
        sizes = objects(one.get("photo"))
        part = sizes[-1] if sizes else object_of(one.get("video"))
        return ("video" if "video" in one else "image"), {}, _media(part, caption)
    return None


def _media(part: dict[str, Any], caption: str | None) -> Media:
    size = part.get("file_size")
    return Media(
        id=text_of(part.get("file_id")),
        mime_type=text_of(part.get("mime_type")),
        filename=text_of(part.get("file_name")),
        caption=caption,
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
    )


def _place(part: dict[str, Any]) -> _Content:
    """A location, or a venue, which contains one."""
    place = object_of(part.get("location")) or part
    data = {"latitude": place.get("latitude"), "longitude": place.get("longitude")}
    return "location", {**data, "name": text_of(part.get("title")), "address": text_of(part.get("address"))}, None


def _card(part: dict[str, Any]) -> _Content:
    name = " ".join(one for one in (text_of(part.get("first_name")), text_of(part.get("last_name"))) if one)
    phone = text_of(part.get("phone_number"))
    card = {
        "name": name or None,
        "phones": [] if phone is None else [{"phone": phone, "waId": None}],
        "emails": [],
        "organization": None,
        "userId": identity_of(part.get("user_id")),
    }
    return "contacts", {"contacts": [card]}, None


def _shared(part: dict[str, Any]) -> _Content:
    """The users or the chat that the contact chose with a button."""
    users = objects(part.get("users")) or [part]
    cards: list[dict[str, Any]] = []
    for user in users:
        name = text_of(user.get("title")) or " ".join(
            one for one in (text_of(user.get("first_name")), text_of(user.get("last_name"))) if one
        )
        identity = identity_of(user.get("user_id")) or identity_of(user.get("chat_id"))
        cards.append({"name": name or None, "phones": [], "emails": [], "organization": None, "userId": identity})
    return "contacts", {"requestId": part.get("request_id"), "contacts": cards}, None


def _web_app(part: dict[str, Any]) -> _Content:
    """The data of a web app: the object in its text, or the text as the field `text`."""
    written = text_of(part.get("data")) or ""
    found = json_of(written)
    return "form", found if isinstance(found, dict) else {"text": written}, None


_READERS: Final[dict[str, Callable[[dict[str, Any]], _Content]]] = {
    "venue": _place,
    "location": _place,
    "contact": _card,
    "users_shared": _shared,
    "chat_shared": _shared,
    "web_app_data": _web_app,
    "passport_data": lambda part: ("form", dict.fromkeys(part), None),
    "successful_payment": lambda part: ("payment", part, None),
    "dice": lambda part: ("sticker", {"emoji": text_of(part.get("emoji")), "value": part.get("value")}, None),
    "checklist": lambda part: ("text", {"title": text_of(part.get("title"))}, None),
}
"""The readers of the other contents, the more specific ones first."""
