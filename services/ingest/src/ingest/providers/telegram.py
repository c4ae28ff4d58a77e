"""Telegram's bodies: one update each.

Source: core.telegram.org/bots/api, "Update" and "Message".
"""

from typing import Any, Final

from filas.models.event_kinds import EventKind
from ingest.providers.document_fields import digest, identity_of, milliseconds, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, ProviderAnswer, clean_contact, single_part
from ingest.providers.telegram_content import content_of

_MESSAGES: Final = ("message", "channel_post", "business_message")
_EDITS: Final = ("edited_message", "edited_channel_post", "edited_business_message")

# Updates that are no messages. The first name that an update has decides its kind.
_OTHER_UPDATES: Final[dict[str, EventKind]] = {
    "message_reaction": "reaction",
    "message_reaction_count": "reaction",
    "deleted_business_messages": "delete",
    "inline_query": "interaction",
    "chosen_inline_result": "interaction",
    "shipping_query": "interaction",
    "pre_checkout_query": "interaction",
    "purchased_paid_media": "payment",
    "poll": "other",
    "poll_answer": "list",
    "my_chat_member": "system",
    "chat_member": "system",
    "chat_join_request": "system",
    "chat_boost": "system",
    "removed_chat_boost": "system",
    "business_connection": "system",
}
_BLOCKED: Final = ("kicked", "left")
"""The states of a bot in a private chat after the person has blocked it."""


class Telegram:
    """The reader of Telegram's updates. The contact is the chat, because answers go there."""

    def parts(self, document: Any) -> list[Part]:
        """One part, because an update carries one event. The key is `update_id`."""
        return single_part(document, _duplicate_key, self.messages)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The event of the update. Its id is `update_id`; `data.messageId` is the id of the message in its chat."""
        update = object_of(document)
        identity = identity_of(update.get("update_id"))
        for name in (*_MESSAGES, *_EDITS):
            message = update.get(name)
            if isinstance(message, dict):
                return [_message(identity, name, message)]
        pressed = update.get("callback_query")
        if isinstance(pressed, dict):
            return [_pressed(identity, pressed)]
        for name, kind in _OTHER_UPDATES.items():
            if isinstance(update.get(name), dict):
                return [_other(identity, name, kind, update[name])]
        return [IncomingMessage(id=identity, kind="other")]

    def receipts(self, _document: Any) -> list[IncomingReceipt]:
        """None, because Telegram reports no deliveries."""
        return []

    def answer(self, _document: Any) -> ProviderAnswer | None:
        """None: Telegram reads only the status, unless the answer names a method."""
        return None

    def channel(self, _document: Any) -> str:
        """`telegram`."""
        return "telegram"


def _duplicate_key(document: Any) -> str:
    return identity_of(object_of(document).get("update_id")) or digest(document)


def _message(identity: str | None, name: str, message: dict[str, Any]) -> IncomingMessage:
    chat = object_of(message.get("chat"))
    kind, data, media = content_of(message)
    if name in _EDITS:
        kind = "edit"
    elif _is_echo(name, message, chat):
        kind = "echo"
    return IncomingMessage(
        id=identity,
        kind=kind,
        text=text_of(message.get("text")) or text_of(message.get("caption")) or _text_of(kind, data),
        data={"messageId": identity_of(message.get("message_id")), **data},
        media=media,
        reply_to=identity_of(object_of(message.get("reply_to_message")).get("message_id")),
        sent_at=milliseconds(message.get("edit_date", message.get("date")), 1000),
        thread=_thread(message),
        contact=clean_contact(chat.get("id")),
        aliases=_other_ids(message),
        moved_to=clean_contact(message.get("migrate_to_chat_id")),
        raw_path=(name,),
    )


def _text_of(kind: EventKind, data: dict[str, Any]) -> str | None:
    """The text of a message that has no text of its own: the name of a place or of a contact, or an emoji."""
    if kind == "contacts":
        return ", ".join(card["name"] for card in data["contacts"] if card["name"]) or None
    return text_of(data.get("name")) or text_of(data.get("address")) or text_of(data.get("emoji"))


def _is_echo(name: str, message: dict[str, Any], chat: dict[str, Any]) -> bool:
    """Whether a bot or the owner of the account has sent the message."""
    sender = object_of(message.get("from"))
    if message.get("is_automatic_forward") is True or "sender_business_bot" in message:
        return True
    if name == "business_message" and chat.get("type") == "private":
        # The chat of a business account has the id of the customer. The owner has another id.
        return sender.get("id") != chat.get("id")
    # An administrator who writes as the group or a channel appears as one of Telegram's own bots.
    return sender.get("is_bot") is True and not isinstance(message.get("sender_chat"), dict)


def _other_ids(message: dict[str, Any]) -> tuple[str, ...]:
    """The other id of a group that has become a supergroup."""
    ids = (clean_contact(message.get(name)) for name in ("migrate_to_chat_id", "migrate_from_chat_id"))
    return tuple(one for one in ids if one is not None)


def _thread(message: dict[str, Any]) -> dict[str, Any] | None:
    """What an answer needs to be in the same topic and business account."""
    thread: dict[str, Any] = {}
    topic = identity_of(message.get("message_thread_id"))
    if topic is not None and message.get("is_topic_message") is True:
        thread["messageThreadId"] = topic
    direct = identity_of(object_of(message.get("direct_messages_topic")).get("topic_id"))
    if direct is not None:
        thread["directMessagesTopicId"] = direct
    account = text_of(message.get("business_connection_id"))
    if account is not None:
        thread["businessConnectionId"] = account
    return thread or None


def _pressed(identity: str | None, pressed: dict[str, Any]) -> IncomingMessage:
    """The press of an inline button, with its `callback_data` as text."""
    message = object_of(pressed.get("message"))
    # A button below a message of an inline query has no chat: the private chat of the person is answered.
    chat = object_of(message.get("chat")) or object_of(pressed.get("from"))
    value = text_of(pressed.get("data")) or text_of(pressed.get("game_short_name"))
    return IncomingMessage(
        id=identity,
        kind="button",
        text=value,
        data={"id": value, "title": _title(message, value), "messageId": identity_of(message.get("message_id"))},
        reply_to=identity_of(message.get("message_id")),
        thread=_thread(message),
        contact=clean_contact(chat.get("id")),
        raw_path=("callback_query",),
    )


def _title(message: dict[str, Any], value: str | None) -> str | None:
    rows = object_of(message.get("reply_markup")).get("inline_keyboard")
    for row in rows if isinstance(rows, list) else ():
        for button in objects(row):
            if button.get("callback_data") == value:
                return text_of(button.get("text"))
    return None


def _other(identity: str | None, name: str, kind: EventKind, content: dict[str, Any]) -> IncomingMessage:
    person = object_of(content.get("user")) or object_of(content.get("from"))
    chat = object_of(content.get("chat")) or person
    data: dict[str, Any] = {"type": name}
    text = None
    if name == "my_chat_member" and chat.get("type") == "private":
        data["status"] = object_of(content.get("new_chat_member")).get("status")
        kind = "optout" if data["status"] in _BLOCKED else "system"
    elif name == "message_reaction":
        emojis = [one.get("emoji") for one in objects(content.get("new_reaction")) if text_of(one.get("emoji"))]
        text = emojis[0] if emojis else None
        data |= {"messageId": identity_of(content.get("message_id")), "emoji": text}
    elif name == "poll_answer":
        chosen = content.get("option_ids")
        data |= {"id": text_of(content.get("poll_id")), "options": chosen}
        kind = "list" if chosen else "other"
    return IncomingMessage(
        id=identity,
        kind=kind,
        text=text,
        data=data,
        sent_at=milliseconds(content.get("date"), 1000),
        thread=_thread(content),
        contact=clean_contact(chat.get("id")),
        raw_path=(name,),
    )
