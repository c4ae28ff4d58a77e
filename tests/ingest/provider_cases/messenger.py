"""Messenger and Instagram: every documented webhook event.

Sources, on developers.facebook.com: Messenger Platform, "Webhook events"; Instagram Platform, "Webhooks".
"""

from typing import Any

from ingest.providers.message import Media
from tests.ingest.provider_cases.case import Case


def notice(instagram: bool = False, /, **fields: Any) -> dict[str, Any]:
    """A body with one event in `messaging`."""
    event = {"sender": {"id": "77"}, "recipient": {"id": "88"}, "timestamp": 5, **fields}
    return {"object": "instagram" if instagram else "page", "entry": [{"id": "88", "time": 1, "messaging": [event]}]}


def attached(kind: str, payload: Any, **fields: Any) -> dict[str, Any]:
    """A body with a message that has one attachment."""
    return notice(message={"mid": "m1", "attachments": [{"type": kind, "payload": payload, **fields}]})


def changed(field: str, value: Any) -> dict[str, Any]:
    """A body of Instagram with one element of `changes`."""
    return {"object": "instagram", "entry": [{"id": "88", "time": 1, "changes": [{"field": field, "value": value}]}]}


FILE = {"url": "https://cdn.example/1"}
MEDIUM = Media(url="https://cdn.example/1")
PARTIES = {"sender": {"id": "77"}, "recipient": {"id": "88"}, "timestamp": "5"}

CASES = [
    Case("text", notice(message={"mid": "m1", "text": "oi"}), "text", "oi", None, contact="77"),
    Case(
        "quick reply",
        notice(message={"mid": "m1", "text": "Sim", "quick_reply": {"payload": "yes"}}),
        "button",
        "Sim",
        {"id": "yes", "title": "Sim"},
    ),
    *(
        Case(f"attachment {written}", attached(written, FILE), kind, None, None, MEDIUM)
        for written, kind in (
            ("image", "image"),
            ("video", "video"),
            ("audio", "audio"),
            ("file", "document"),
            ("reel", "video"),
            ("ig_reel", "video"),
            ("story_mention", "image"),
            ("share", "image"),
            ("a_type_of_a_later_version", "other"),
        )
    ),
    Case("sticker", attached("image", {**FILE, "sticker_id": 1}), "sticker", None, None, MEDIUM),
    Case(
        "location",
        attached("location", {"coordinates": {"lat": 1.5, "long": 2.5}}, title="Ana's place"),
        "location",
        None,
        {"latitude": 1.5, "longitude": 2.5, "name": "Ana's place", "address": None},
    ),
    Case(
        "shared link",
        notice(
            message={
                "mid": "m1",
                "text": "look",
                "attachments": [{"type": "fallback", "title": "T", "url": "https://example.com"}],
            }
        ),
        "text",
        "look",
        {"title": "T", "url": "https://example.com"},
    ),
    Case("echo", notice(message={"mid": "m1", "text": "oi", "is_echo": True, "app_id": 1}), "echo", "oi", contact=None),
    Case(
        "deleted",
        notice(True, message={"mid": "m1", "is_deleted": True}),
        "delete",
        None,
        {"messageId": "m1"},
    ),
    Case("unsupported", notice(True, message={"mid": "m1", "is_unsupported": True}), "unsupported"),
    Case(
        "message_edit",
        notice(message_edit={"mid": "m1", "text": "new", "num_edit": 1}),
        "edit",
        "new",
        {"messageId": "m1"},
    ),
    Case(
        "reaction",
        notice(reaction={"mid": "m1", "action": "react", "emoji": "❤️", "reaction": "love"}),
        "reaction",
        "❤️",
        {"messageId": "m1", "emoji": "❤️"},
    ),
    Case(
        "removed reaction",
        notice(reaction={"mid": "m1", "action": "unreact"}),
        "reaction",
        None,
        {"messageId": "m1", "emoji": None},
    ),
    Case(
        "postback",
        notice(postback={"mid": "m1", "title": "Start", "payload": "start"}),
        "button",
        "Start",
        {"id": "start", "title": "Start"},
    ),
    Case("postback without mid", notice(postback={"title": "Start", "payload": "start"}), "button", "Start"),
    Case("referral", notice(referral={"ref": "r", "source": "SHORTLINK", "type": "OPEN_THREAD"}), "other"),
    Case("optin", notice(optin={"type": "notification_messages", "payload": "p"}), "optout"),
    Case("delivery", notice(delivery={"mids": ["m0"], "watermark": 1}), "status"),
    Case("read", notice(read={"watermark": 1}), "status"),
    Case("feedback", notice(messaging_feedback={"feedback_screens": []}), "form"),
    *(
        Case(name, notice(False, **{name: {"x": 1}}), "other")
        for name in (
            "account_linking",
            "game_play",
            "pass_thread_control",
            "take_thread_control",
            "request_thread_control",
            "app_roles",
            "policy_enforcement",
            "a_notice_of_a_later_version",
        )
    ),
    Case(
        "standby",
        {"object": "page", "entry": [{"standby": [{"sender": {"id": "7"}, "message": {"mid": "m", "text": "oi"}}]}]},
        "other",
        "oi",
    ),
    Case("changes: messages", changed("messages", {**PARTIES, "message": {"mid": "m1", "text": "oi"}}), "text", "oi"),
    Case(
        "changes: messaging_postbacks",
        changed("messaging_postbacks", {**PARTIES, "postback": {"mid": "m1", "title": "Start", "payload": "s"}}),
        "button",
        "Start",
    ),
    Case(
        "changes: message_reactions",
        changed("message_reactions", {**PARTIES, "reaction": {"mid": "m1", "action": "react", "emoji": "👍"}}),
        "reaction",
        "👍",
    ),
    Case("changes: messaging_seen", changed("messaging_seen", {**PARTIES, "read": {"mid": "m1"}}), "status"),
    *(
        Case(f"changes: {name}", changed(name, {"id": "1", "text": "oi", "from": {"id": "77"}}), "other")
        for name in ("comments", "live_comments", "mentions", "story_insights")
    ),
]
