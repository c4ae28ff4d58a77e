"""Slack's bodies: events (JSON with an `event`), slash commands and interactions (forms).

The contact is the Slack channel, because answers go there.

Sources, on docs.slack.dev: "Events API", "Slash commands", "Handling user interaction".
"""

from typing import Any, Final

from filas.models.event_kinds import EventKind
from ingest.providers.document_fields import digest, json_of, object_of, objects, text_of
from ingest.providers.message import (
    EMPTY_ANSWER,
    IncomingMessage,
    IncomingReceipt,
    Media,
    Part,
    ProviderAnswer,
    clean_contact,
    single_part,
)
from ingest.providers.slack_text import plain_text, without_leading_mention

_CONTENT_SUBTYPES: Final = frozenset(
    {None, "file_share", "thread_broadcast", "me_message", "bot_add", "reply_broadcast"}
)
_SUBTYPES: Final[dict[str, EventKind]] = {
    "message_changed": "edit",
    "message_deleted": "delete",
    "bot_message": "echo",
    "message_replied": "other",
    "assistant_app_thread": "system",
    "ekm_access_denied": "unsupported",
}
"""The kinds of the subtypes of `message`. Every other subtype is `system`: joins, topics, pins and similar changes."""

_EVENT_TYPES: Final[dict[str, EventKind]] = {
    "reaction_added": "reaction",
    "reaction_removed": "reaction",
    "app_home_opened": "interaction",
    "assistant_thread_started": "system",
    "assistant_thread_context_changed": "system",
    "app_uninstalled": "system",
    "tokens_revoked": "system",
    "team_join": "system",
    "pin_added": "system",
    "pin_removed": "system",
}
_SYSTEM_PREFIXES: Final = ("channel_", "group_", "im_", "member_", "mpim_", "team_", "user_", "subteam_")

_MEDIA: Final[dict[str, EventKind]] = {"image": "image", "video": "video", "audio": "audio"}


class Slack:
    """The reader of Slack's bodies."""

    def parts(self, document: Any) -> list[Part]:
        """One part, because a body carries one event. Slack reports a message that mentions the app twice, as `message`
        and as `app_mention`: both have the same key, because they have the same channel and time."""
        event = object_of(object_of(document).get("event"))
        said = [event.get(name) for name in ("channel", "ts", "user", "text")] if _message_key(event) else None
        return single_part(document, _duplicate_key, self.messages, said)

    def messages(self, document: Any) -> list[IncomingMessage]:
        """The event of the body."""
        body = object_of(document)
        if "command" in body:
            return [_command(body)]
        interaction, path = _interaction(body)
        if interaction:
            return [_of_interaction(interaction, path)]
        return [_of_event(body, object_of(body.get("event")))]

    def receipts(self, _document: Any) -> list[IncomingReceipt]:
        """None, because Slack reports no deliveries."""
        return []

    def answer(self, document: Any) -> ProviderAnswer | None:
        """Empty for a command or an interaction: any other answer is shown to the person, or keeps the modal open."""
        body = object_of(document)
        return EMPTY_ANSWER if "command" in body or _interaction(body)[0] else None

    def channel(self, _document: Any) -> str:
        """`slack`."""
        return "slack"


def _duplicate_key(document: Any) -> str:
    body = object_of(document)
    event = object_of(body.get("event"))
    return (
        _message_key(event)
        or text_of(body.get("event_id"))
        or text_of(body.get("trigger_id"))
        or text_of(_interaction(body)[0].get("trigger_id"))
        or digest(document)
    )


def _message_key(event: dict[str, Any]) -> str | None:
    """The channel and the time of a message of a person, which identify it. None for other events."""
    if event.get("type") not in ("message", "app_mention") or not _is_content(event.get("subtype")):
        return None
    channel, ts = text_of(event.get("channel")), text_of(event.get("ts"))
    return f"{channel}:{ts}" if channel is not None and ts is not None else None


def _is_content(subtype: Any) -> bool:
    return subtype is None or (isinstance(subtype, str) and subtype in _CONTENT_SUBTYPES)


def _command(body: dict[str, Any]) -> IncomingMessage:
    command, text = text_of(body.get("command")) or "", text_of(body.get("text")) or ""
    return IncomingMessage(
        id=text_of(body.get("trigger_id")),
        kind="text",
        text=plain_text(f"{command} {text}"),
        data={"command": command, "text": plain_text(text)},
        contact=clean_contact(body.get("channel_id")),
        account=text_of(body.get("team_id")),
    )


def _of_event(body: dict[str, Any], event: dict[str, Any]) -> IncomingMessage:
    kind = _event_kind(event)
    inner = object_of(event.get("message")) if kind == "edit" else event
    written, mentioned = _without_mention(body, event, text_of(inner.get("text")) or "")
    data: dict[str, Any] = {"user": text_of(inner.get("user")), "mentioned": mentioned}
    media = None
    if kind == "text":
        kind, media = _file_of(event)
    elif kind == "reaction":
        data |= {"emoji": text_of(event.get("reaction")), "messageId": object_of(event.get("item")).get("ts")}
    elif kind in ("edit", "delete"):
        data["messageId"] = text_of(inner.get("ts")) or text_of(event.get("deleted_ts"))
    channel = event.get("channel")
    place = object_of(event.get("item")) if kind == "reaction" else event
    return IncomingMessage(
        id=_message_key(event) or text_of(body.get("event_id")) or text_of(event.get("ts")),
        kind=kind,
        text=plain_text(written) or None,
        data=data,
        media=media,
        sent_at=_time(event.get("ts")) or _time(event.get("event_ts")),
        thread=_thread(inner),
        contact=clean_contact(place.get("channel") if kind == "reaction" else channel),
        account=text_of(body.get("team_id")),
        raw_path=("event",) if event else (),
    )


def _event_kind(event: dict[str, Any]) -> EventKind:
    kind = text_of(event.get("type")) or ""
    if kind not in ("message", "app_mention"):
        return _EVENT_TYPES.get(kind) or ("system" if kind.startswith(_SYSTEM_PREFIXES) else "other")
    subtype = event.get("subtype")
    if event.get("bot_id") is not None and _is_content(subtype):
        return "echo"
    if _is_content(subtype):
        return "other" if event.get("hidden") is True else "text"
    found = _SUBTYPES.get(subtype, "system") if isinstance(subtype, str) else "other"
    if found == "edit":
        new, old = object_of(event.get("message")), object_of(event.get("previous_message"))
        # Slack reports an edit when it adds the preview of a link, too.
        return "other" if new.get("text") == old.get("text") else "edit"
    return found


def _without_mention(body: dict[str, Any], event: dict[str, Any], written: str) -> tuple[str, bool]:
    own = frozenset(
        identity
        for one in objects(body.get("authorizations"))
        if one.get("is_bot") is not False and (identity := text_of(one.get("user_id"))) is not None
    )
    text, mentioned = without_leading_mention(written, None if event.get("type") == "app_mention" else own)
    return text, mentioned or event.get("type") == "app_mention"


def _file_of(event: dict[str, Any]) -> tuple[EventKind, Media | None]:
    for file in objects(event.get("files"))[:1]:
        mime_type = text_of(file.get("mimetype"))
        size = file.get("size")
        media = Media(
            id=text_of(file.get("id")),
            url=text_of(file.get("url_private")),
            mime_type=mime_type,
            filename=text_of(file.get("name")),
            caption=plain_text(text_of(event.get("text")) or "") or None,
            size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        )
        return _MEDIA.get((mime_type or "").partition("/")[0], "document"), media
    return "text", None


def _thread(message: dict[str, Any]) -> dict[str, Any] | None:
    ts = text_of(message.get("thread_ts"))
    return None if ts is None else {"threadTs": ts}


def _interaction(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The interaction in a body and its path: the document itself, or the JSON text in the form field `payload`."""
    if "event" not in body and ("trigger_id" in body or "actions" in body or "view" in body) and "user" in body:
        return body, ()
    written = body.get("payload")
    if isinstance(written, dict):
        return written, ("payload",)
    if not isinstance(written, str):
        return {}, ()
    found = json_of(written)
    return (found, ("payload",)) if isinstance(found, dict) else ({}, ())


def _of_interaction(interaction: dict[str, Any], path: tuple[str, ...]) -> IncomingMessage:
    channel = object_of(interaction.get("channel")).get("id")
    message = object_of(interaction.get("message"))
    kind: EventKind = "interaction"
    value = title = None
    data: dict[str, Any] = {"type": text_of(interaction.get("type"))}
    # A use of a modal or of the app's home has no channel: no one waits for an answer.
    if channel is not None and interaction.get("type") in ("block_actions", "interactive_message"):
        kind, value, title = _clicked(interaction)
        data = {"id": value, "title": title, "messageId": text_of(message.get("ts"))}
    elif isinstance(interaction.get("view"), dict):
        view = object_of(interaction.get("view"))
        values = object_of(view.get("state")).get("values")
        data |= {"callbackId": text_of(view.get("callback_id")), "values": values}
    elif text_of(interaction.get("callback_id")) is not None:
        data["callbackId"] = interaction["callback_id"]
    container = object_of(interaction.get("container"))
    return IncomingMessage(
        id=text_of(interaction.get("trigger_id")),
        kind=kind,
        text=value,
        data=data,
        thread=_thread(message) or _thread(container),
        contact=clean_contact(channel) or clean_contact(object_of(interaction.get("user")).get("id")),
        account=text_of(object_of(interaction.get("team")).get("id")),
        raw_path=path,
    )


def _clicked(interaction: dict[str, Any]) -> tuple[EventKind, str | None, str | None]:
    """The kind, value and title of the element that was used."""
    for action in objects(interaction.get("actions"))[:1]:
        option = object_of(action.get("selected_option")) or next(iter(objects(action.get("selected_options"))), {})
        if option:
            title = text_of(object_of(option.get("text")).get("text")) or text_of(option.get("value"))
            return "list", text_of(option.get("value")), title
        written = action.get("text")
        title = text_of(written) or text_of(object_of(written).get("text"))
        value = text_of(action.get("value")) or text_of(action.get("action_id")) or text_of(action.get("name"))
        return "button", value, title or value
    return "interaction", None, None


def _time(written: Any) -> int | None:
    """Slack's `ts` in milliseconds: seconds, a point and a number that makes the time unique."""
    seconds, _, fraction = written.partition(".") if isinstance(written, str) else ("", "", "")
    digits = seconds + (fraction + "000")[:3]
    return int(digits) if seconds and digits.isascii() and digits.isdigit() and len(digits) < 16 else None
