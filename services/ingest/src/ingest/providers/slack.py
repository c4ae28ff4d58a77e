"""Slack's bodies: events (JSON with an `event`), slash commands and interactions (forms).

The contact is the Slack channel, because answers go there. Messages of bots, including our own, are ignored: otherwise
a flow would answer itself.

Sources, on api.slack.com: "Events API", "Slash commands", "Handling user interaction".
"""

from typing import Any

import msgspec

from ingest.providers.document_fields import identity_of, object_of, objects, text_of
from ingest.providers.message import IncomingMessage, IncomingReceipt, Part, clean_contact, single_part

_MESSAGE_SUBTYPES = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""The subtypes of `message` that a person has written. The others are edits, joins and similar events."""


class Slack:
    """The reader of Slack's bodies."""

    def parts(self, document: Any) -> list[Part]:
        """One part, because a body carries one event."""
        return single_part(document, _duplicate_key, self.messages)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """A message to the app or its channels, a command with its text, or the value of the clicked element."""
        body = object_of(document)
        if "command" in body:
            return _message(
                body.get("trigger_id"), "command", f"{body['command']} {body.get('text') or ''}", body.get("channel_id")
            )
        interaction = _interaction(body)
        if interaction:
            channel = object_of(interaction.get("channel")).get("id") or object_of(interaction.get("user")).get("id")
            return _message(interaction.get("trigger_id"), "interactive", _clicked(interaction), channel)
        return _event_message(body)

    def receipts(self, _document: Any) -> list[IncomingReceipt]:
        """None, because Slack reports no deliveries."""
        return []

    def channel(self, _document: Any) -> str:
        """`slack`."""
        return "slack"


def _duplicate_key(document: Any) -> str | None:
    """`event_id`, or the `trigger_id` of a command or an interaction."""
    body = object_of(document)
    return text_of(body.get("event_id")) or text_of(body.get("trigger_id") or _interaction(body).get("trigger_id"))


def _event_message(body: dict[str, Any]) -> list[IncomingMessage]:
    event = object_of(body.get("event"))
    if event.get("type") not in ("message", "app_mention") or event.get("bot_id") is not None:
        return []
    subtype = event.get("subtype")
    if not (subtype is None or (isinstance(subtype, str) and subtype in _MESSAGE_SUBTYPES)):
        return []
    files = objects(event.get("files"))
    details: dict[str, Any] = {}
    kind = "text"
    if files:
        kind = (text_of(files[0].get("mimetype")) or "file").partition("/")[0]
        address = text_of(files[0].get("url_private"))
        if address is not None:
            details["media_url"] = address
    sent_at = _time(event.get("ts"))
    if sent_at is not None:
        details["sent_at"] = sent_at
    identity = text_of(body.get("event_id")) or text_of(event.get("ts"))
    return _message(identity, kind, text_of(event.get("text")), event.get("channel"), **details)


def _message(identity: Any, kind: str, text: str | None, channel: Any, **details: Any) -> list[IncomingMessage]:
    found, contact = identity_of(identity), clean_contact(channel)
    if found is None or contact is None:
        return []
    return [IncomingMessage(id=found, kind=kind, text=text.strip() if text else text, contact=contact, **details)]


def _interaction(body: dict[str, Any]) -> dict[str, Any]:
    """The object that a form carries as JSON text in its field `payload`."""
    written = body.get("payload")
    if not isinstance(written, str):
        return {}
    try:
        return object_of(msgspec.json.decode(written))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _clicked(interaction: dict[str, Any]) -> str | None:
    for action in objects(interaction.get("actions"))[:1]:
        option = object_of(action.get("selected_option"))
        return text_of(action.get("value")) or text_of(option.get("value")) or text_of(action.get("action_id"))
    return text_of(interaction.get("callback_id"))


def _time(written: Any) -> int | None:
    """Slack's `ts` in milliseconds: seconds, a point and a number that makes the time unique."""
    seconds, _, fraction = written.partition(".") if isinstance(written, str) else ("", "", "")
    digits = seconds + (fraction + "000")[:3]
    return int(digits) if seconds and digits.isascii() and digits.isdigit() and len(digits) < 16 else None
