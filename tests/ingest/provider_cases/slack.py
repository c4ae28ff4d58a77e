"""Slack: the documented events, subtypes of `message`, commands and interactions.

Sources, on docs.slack.dev: "Events API" and its event types, "Slash commands", "Handling user interaction".
"""

import json
from typing import Any

from ingest.providers.message import Media
from tests.ingest.provider_cases.case import Case

AUTHORIZED = [{"team_id": "T1", "user_id": "U0BOT", "is_bot": True}]


def event(**fields: Any) -> dict[str, Any]:
    """A body of the Events API."""
    content = {"type": "message", "channel": "C1", "user": "U1", "ts": "1355517523.000005", **fields}
    return {
        "type": "event_callback",
        "team_id": "T1",
        "event_id": "Ev1",
        "authorizations": AUTHORIZED,
        "event": content,
    }


def interaction(**fields: Any) -> dict[str, Any]:
    """The form of an interaction."""
    return {"payload": json.dumps({"trigger_id": "t1", "user": {"id": "U1"}, "team": {"id": "T1"}, **fields})}


SAID = {"user": "U1", "mentioned": False}
FILE = {"id": "F1", "mimetype": "image/png", "url_private": "https://files.example/1", "name": "a.png", "size": 3}
BUTTON = {"action_id": "a", "type": "button", "value": "yes", "text": {"type": "plain_text", "text": "Sim"}}
OPTION = {"value": "b", "text": {"type": "plain_text", "text": "B"}}
CHANNEL = {"id": "C1", "name": "general"}

CASES = [
    Case("message", event(text="oi"), "text", "oi", SAID, contact="C1"),
    Case("address", event(text="<mailto:ana@example.com|ana@example.com>"), "text", "ana@example.com", SAID),
    Case("telephone", event(text="<tel:+5511|+5511>"), "text", "+5511", SAID),
    Case(
        "link", event(text="see <https://example.com/a?b=1&amp;c=2>"), "text", "see https://example.com/a?b=1&c=2", SAID
    ),
    Case("link that Slack made", event(text="<http://example.com|example.com>"), "text", "example.com", SAID),
    Case("labelled link", event(text="<https://example.com|our site>"), "text", "our site (https://example.com)", SAID),
    Case("entities", event(text="R&amp;D &lt;b&gt;"), "text", "R&D <b>", SAID),
    Case("mention of the app", event(text="<@U0BOT> oi"), "text", "oi", {**SAID, "mentioned": True}),
    Case("mention of a person", event(text="<@U2> oi"), "text", "@U2 oi", SAID),
    Case(
        "channel, group and date",
        event(text="<#C2|ideas> <!here> <!subteam^S1|@dev>"),
        "text",
        "#ideas @here @dev",
        SAID,
    ),
    Case("app_mention", event(type="app_mention", text="<@U0BOT>: oi"), "text", "oi", {**SAID, "mentioned": True}),
    Case("thread", event(text="oi", thread_ts="1.5"), "text", "oi", SAID, more={"thread": {"threadTs": "1.5"}}),
    Case(
        "file_share",
        event(subtype="file_share", text="look", files=[FILE]),
        "image",
        "look",
        SAID,
        Media(
            id="F1",
            url="https://files.example/1",
            mime_type="image/png",
            filename="a.png",
            caption="look",
            size=3,
        ),
    ),
    Case("thread_broadcast", event(subtype="thread_broadcast", text="oi"), "text", "oi", SAID),
    Case("me_message", event(subtype="me_message", text="oi"), "text", "oi", SAID),
    Case("bot_message", event(subtype="bot_message", bot_id="B1", text="oi"), "echo", "oi"),
    Case("message of a bot", event(bot_id="B1", text="oi"), "echo", "oi"),
    Case(
        "message_changed",
        event(
            subtype="message_changed",
            user=None,
            message={"user": "U1", "text": "new", "ts": "1.0"},
            previous_message={"user": "U1", "text": "old", "ts": "1.0"},
        ),
        "edit",
        "new",
        {**SAID, "messageId": "1.0"},
    ),
    Case(
        "message_changed by a preview",
        event(subtype="message_changed", message={"text": "same"}, previous_message={"text": "same"}),
        "other",
    ),
    Case("message_deleted", event(subtype="message_deleted", deleted_ts="1.0"), "delete"),
    Case("message_replied", event(subtype="message_replied"), "other"),
    *(
        Case(f"subtype {name}", event(subtype=name, text="x"), "system", "x")
        for name in (
            "channel_join",
            "channel_leave",
            "channel_topic",
            "channel_purpose",
            "channel_name",
            "channel_archive",
            "channel_unarchive",
            "channel_posting_permissions",
            "channel_convert_to_private",
            "group_join",
            "group_leave",
            "group_topic",
            "pinned_item",
            "unpinned_item",
            "reminder_add",
            "assistant_app_thread",
            "a_subtype_of_a_later_version",
        )
    ),
    Case(
        "reaction_added",
        event(type="reaction_added", reaction="thumbsup", item={"type": "message", "channel": "C1", "ts": "1.0"}),
        "reaction",
        None,
        {**SAID, "emoji": "thumbsup", "messageId": "1.0"},
        contact="C1",
    ),
    Case("reaction_removed", event(type="reaction_removed", reaction="x", item={"channel": "C1"}), "reaction"),
    Case("app_home_opened", event(type="app_home_opened", tab="home"), "interaction"),
    *(
        Case(name, event(type=name), "system")
        for name in (
            "member_joined_channel",
            "member_left_channel",
            "channel_created",
            "channel_archive",
            "channel_rename",
            "group_left",
            "im_created",
            "team_join",
            "user_change",
            "pin_added",
            "pin_removed",
            "assistant_thread_started",
            "assistant_thread_context_changed",
            "app_uninstalled",
            "tokens_revoked",
            "subteam_updated",
        )
    ),
    *(
        Case(name, event(type=name), "other")
        for name in ("link_shared", "file_shared", "emoji_changed", "dnd_updated", "an_event_of_a_later_version")
    ),
    Case("app_rate_limited", {"type": "app_rate_limited", "team_id": "T1"}, "other"),
    Case(
        "slash command",
        {"command": "/order", "text": "2 pizzas", "channel_id": "C1", "trigger_id": "t1", "user_id": "U1"},
        "text",
        "/order 2 pizzas",
        {"command": "/order", "text": "2 pizzas"},
        contact="C1",
    ),
    Case(
        "button",
        interaction(type="block_actions", channel=CHANNEL, message={"ts": "1.0"}, actions=[BUTTON]),
        "button",
        "yes",
        {"id": "yes", "title": "Sim", "messageId": "1.0"},
        contact="C1",
    ),
    Case(
        "select",
        interaction(
            type="block_actions",
            channel=CHANNEL,
            message={"ts": "1.0", "thread_ts": "0.5"},
            actions=[{"type": "static_select", "selected_option": OPTION}],
        ),
        "list",
        "b",
        {"id": "b", "title": "B", "messageId": "1.0"},
        more={"thread": {"threadTs": "0.5"}},
    ),
    Case(
        "button of an older message",
        interaction(type="interactive_message", channel=CHANNEL, actions=[{"name": "a", "value": "yes"}]),
        "button",
        "yes",
    ),
    Case(
        "button in a modal",
        interaction(type="block_actions", view={"callback_id": "c"}, actions=[BUTTON]),
        "interaction",
    ),
    Case(
        "view_submission",
        interaction(type="view_submission", view={"callback_id": "c", "state": {"values": {"b": {}}}}),
        "interaction",
        None,
        {"type": "view_submission", "callbackId": "c", "values": {"b": {}}},
    ),
    *(
        Case(name, interaction(type=name, callback_id="c"), "interaction")
        for name in ("view_closed", "shortcut", "message_action", "block_suggestion", "dialog_submission")
    ),
]
