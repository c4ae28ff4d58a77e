"""Telegram: every documented update and every field of a message.

Source: core.telegram.org/bots/api, "Update" and "Message".
"""

from typing import Any

from ingest.providers.message import Media
from tests.ingest.provider_cases.case import Case

CHAT = {"id": 7, "type": "private", "first_name": "Ana"}
GROUP = {"id": -1001, "type": "supergroup", "title": "Filas"}
ANA = {"id": 7, "is_bot": False, "first_name": "Ana"}
OWNER = {"id": 99, "is_bot": False, "first_name": "Dono"}
BOT = {"id": 1, "is_bot": True, "first_name": "Bot"}
FILE = {"file_id": "F", "file_unique_id": "U", "file_size": 10}
MEDIUM = Media(id="F", size=10)
KEY = {"messageId": "5"}


def update(name: str = "message", /, **fields: Any) -> dict[str, Any]:
    """An update with one message."""
    message = {"message_id": 5, "date": 1749416383, "chat": CHAT, "from": ANA, **fields}
    return {"update_id": 1, name: message}


def other(name: str, content: Any) -> dict[str, Any]:
    """An update that is no message."""
    return {"update_id": 1, name: content}


SERVICE = [
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
    "giveaway_created",
    "giveaway",
    "giveaway_winners",
    "giveaway_completed",
    "paid_message_price_changed",
    "suggested_post_approved",
    "suggested_post_declined",
    "suggested_post_paid",
    "suggested_post_refunded",
    "video_chat_scheduled",
    "video_chat_started",
    "video_chat_ended",
    "video_chat_participants_invited",
]
PLACE = {"latitude": 1.5, "longitude": 2.5}
CARD = {"name": "Ana Lima", "phones": [{"phone": "+5511", "waId": None}], "emails": [], "organization": None}
BUTTONS = {"inline_keyboard": [[{"text": "Sim", "callback_data": "yes"}]]}

CASES = [
    Case("text", update(text="oi"), "text", "oi", KEY, contact="7"),
    Case("command", update(text="/start ref"), "text", "/start ref", KEY),
    Case("channel_post", update("channel_post", text="oi", chat=GROUP), "text", "oi", contact="-1001"),
    Case(
        "photo",
        update(photo=[{"file_id": "S"}, FILE], caption="look"),
        "image",
        "look",
        KEY,
        Media(id="F", size=10, caption="look"),
    ),
    Case("animation", update(animation=FILE, document=FILE), "video", None, KEY, MEDIUM),
    Case(
        "video",
        update(video={**FILE, "mime_type": "video/mp4"}),
        "video",
        None,
        KEY,
        Media(id="F", size=10, mime_type="video/mp4"),
    ),
    Case("video_note", update(video_note=FILE), "video", None, KEY, MEDIUM),
    Case(
        "audio",
        update(audio={**FILE, "file_name": "a.mp3"}),
        "audio",
        None,
        KEY,
        Media(id="F", size=10, filename="a.mp3"),
    ),
    Case("voice", update(voice=FILE), "audio", None, {**KEY, "voice": True}, MEDIUM),
    Case(
        "document",
        update(document={**FILE, "file_name": "a.pdf"}),
        "document",
        None,
        KEY,
        Media(id="F", size=10, filename="a.pdf"),
    ),
    Case("sticker", update(sticker={**FILE, "emoji": "👍"}), "sticker", "👍", {**KEY, "emoji": "👍"}, MEDIUM),
    Case(
        "paid_media",
        update(paid_media={"star_count": 1, "paid_media": [{"type": "photo", "photo": [FILE]}]}),
        "image",
        None,
        KEY,
        MEDIUM,
    ),
    Case("location", update(location=PLACE), "location", None, {**KEY, **PLACE, "name": None, "address": None}),
    Case(
        "venue",
        update(venue={"location": PLACE, "title": "MASP", "address": "Av. Paulista"}, location=PLACE),
        "location",
        "MASP",
        {**KEY, **PLACE, "name": "MASP", "address": "Av. Paulista"},
    ),
    Case(
        "contact",
        update(contact={"phone_number": "+5511", "first_name": "Ana", "last_name": "Lima", "user_id": 8}),
        "contacts",
        "Ana Lima",
        {**KEY, "contacts": [{**CARD, "userId": "8"}]},
    ),
    Case(
        "users_shared",
        update(users_shared={"request_id": 1, "users": [{"user_id": 8, "first_name": "Ana", "last_name": "Lima"}]}),
        "contacts",
        "Ana Lima",
        {**KEY, "requestId": 1, "contacts": [{**CARD, "phones": [], "userId": "8"}]},
    ),
    Case("chat_shared", update(chat_shared={"request_id": 1, "chat_id": -5, "title": "Filas"}), "contacts", "Filas"),
    Case("dice", update(dice={"emoji": "🎲", "value": 3}), "sticker", "🎲", {**KEY, "emoji": "🎲", "value": 3}),
    Case(
        "web_app_data",
        update(web_app_data={"data": '{"size":"M"}', "button_text": "Order"}),
        "form",
        None,
        {**KEY, "size": "M"},
    ),
    Case("web_app_data that is not JSON", update(web_app_data={"data": "M"}), "form", None, {**KEY, "text": "M"}),
    Case("passport_data", update(passport_data={"data": [], "credentials": {}}), "form"),
    Case(
        "successful_payment",
        update(successful_payment={"currency": "BRL", "total_amount": 100}),
        "payment",
        None,
        {**KEY, "currency": "BRL", "total_amount": 100},
    ),
    Case("poll in a message", update(poll={"id": "p", "question": "?"}), "other"),
    Case("game", update(game={"title": "g"}), "other"),
    Case("story", update(story={"id": 1}), "unsupported"),
    Case("nothing that a bot can see", update(), "unsupported"),
    *(Case(name, update("message", **{name: True}), "system", contact="7") for name in SERVICE),
    Case("edited_message", update("edited_message", text="new", edit_date=1749416400), "edit", "new", KEY),
    Case("edited_channel_post", update("edited_channel_post", text="new", chat=GROUP), "edit", "new"),
    Case(
        "edited_business_message",
        update("edited_business_message", text="new", business_connection_id="B"),
        "edit",
        "new",
    ),
    Case("another bot", update("message", text="oi", **{"from": BOT}), "echo", "oi"),
    Case(
        "an anonymous administrator",
        update("message", text="oi", chat=GROUP, sender_chat=GROUP, **{"from": BOT}),
        "text",
        "oi",
    ),
    Case(
        "a post that Telegram copies to the group",
        update(text="oi", chat=GROUP, is_automatic_forward=True),
        "echo",
        "oi",
    ),
    Case(
        "business_message",
        update("business_message", text="oi", business_connection_id="B"),
        "text",
        "oi",
        contact="7",
        more={"thread": {"businessConnectionId": "B"}},
    ),
    Case(
        "business_message of the owner",
        update("business_message", text="oi", business_connection_id="B", **{"from": OWNER}),
        "echo",
        "oi",
    ),
    Case(
        "business_message of our bot",
        update("business_message", text="oi", business_connection_id="B", sender_business_bot=BOT, **{"from": OWNER}),
        "echo",
        "oi",
    ),
    Case(
        "topic",
        update(text="oi", chat=GROUP, message_thread_id=3, is_topic_message=True),
        "text",
        "oi",
        more={"thread": {"messageThreadId": "3"}},
    ),
    Case("reply", update(text="oi", reply_to_message={"message_id": 4}), "text", "oi", more={"reply_to": "4"}),
    Case(
        "callback_query",
        other(
            "callback_query",
            {
                "id": "c",
                "data": "yes",
                "from": ANA,
                "message": {"message_id": 5, "chat": CHAT, "reply_markup": BUTTONS},
            },
        ),
        "button",
        "yes",
        {"id": "yes", "title": "Sim", "messageId": "5"},
        contact="7",
    ),
    Case(
        "callback_query of an inline message",
        other("callback_query", {"id": "c", "data": "yes", "from": ANA}),
        "button",
        "yes",
        contact="7",
    ),
    Case(
        "message_reaction",
        other(
            "message_reaction",
            {"chat": CHAT, "message_id": 5, "user": ANA, "date": 1, "new_reaction": [{"type": "emoji", "emoji": "👍"}]},
        ),
        "reaction",
        "👍",
    ),
    Case(
        "message_reaction_count",
        other("message_reaction_count", {"chat": GROUP, "message_id": 5, "reactions": []}),
        "reaction",
    ),
    Case(
        "deleted_business_messages",
        other("deleted_business_messages", {"business_connection_id": "B", "chat": CHAT, "message_ids": [5]}),
        "delete",
    ),
    Case("business_connection", other("business_connection", {"id": "B", "user": OWNER, "is_enabled": True}), "system"),
    Case("inline_query", other("inline_query", {"id": "1", "from": ANA, "query": "q"}), "interaction"),
    Case(
        "chosen_inline_result",
        other("chosen_inline_result", {"result_id": "1", "from": ANA, "query": "q"}),
        "interaction",
    ),
    Case("shipping_query", other("shipping_query", {"id": "1", "from": ANA}), "interaction"),
    Case("pre_checkout_query", other("pre_checkout_query", {"id": "1", "from": ANA}), "interaction"),
    Case("purchased_paid_media", other("purchased_paid_media", {"from": ANA, "paid_media_payload": "p"}), "payment"),
    Case("poll", other("poll", {"id": "p", "question": "?", "options": []}), "other"),
    Case("poll_answer", other("poll_answer", {"poll_id": "p", "user": ANA, "option_ids": [0]}), "list", contact="7"),
    Case("withdrawn poll_answer", other("poll_answer", {"poll_id": "p", "user": ANA, "option_ids": []}), "other"),
    Case(
        "blocked bot",
        other("my_chat_member", {"chat": CHAT, "from": ANA, "new_chat_member": {"status": "kicked"}}),
        "optout",
    ),
    Case(
        "unblocked bot",
        other("my_chat_member", {"chat": CHAT, "from": ANA, "new_chat_member": {"status": "member"}}),
        "system",
    ),
    Case(
        "my_chat_member",
        other("my_chat_member", {"chat": GROUP, "from": ANA, "new_chat_member": {"status": "left"}}),
        "system",
    ),
    Case("chat_member", other("chat_member", {"chat": GROUP, "from": ANA}), "system"),
    Case("chat_join_request", other("chat_join_request", {"chat": GROUP, "from": ANA}), "system"),
    Case("chat_boost", other("chat_boost", {"chat": GROUP, "boost": {}}), "system"),
    Case("removed_chat_boost", other("removed_chat_boost", {"chat": GROUP}), "system"),
    Case("an update of a later version", other("hologram", {"chat": CHAT}), "other"),
]
