"""The chat of a test run: what the contact and the flow would have written, as the contact sees it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from filas.models.flow_tests import FlowTestCall, FlowTestChatLine

_TEXTS = ("text", "caption", "subject")


class Chat:
    """Collects the lines of the chat with `contact` (None: the run has no conversation)."""

    def __init__(self, contact: str | None) -> None:
        self._contact = contact
        self.lines: list[FlowTestChatLine] = []

    def add_first(self, at: datetime, message: Mapping[str, Any] | None) -> None:
        """Adds the message that starts the run, if it has a content."""
        if message is not None and _content(message):
            self.add_reply(at, message)

    def add_reply(self, at: datetime, reply: str | Mapping[str, Any] | None) -> None:
        """The contact writes a text or a message. None: the contact does not reply."""
        text = reply if reply is None or isinstance(reply, str) else _content(reply) or f"({reply.get('kind')})"
        if self._contact is not None:
            self.lines.append(FlowTestChatLine(at=at, sender="contact", text=text))

    def add_messages(self, calls: Sequence[FlowTestCall]) -> None:
        """Adds those of the calls that are messages to the contact."""
        for call in calls:
            if self._contact is None or call.payload is None or call.to != self._contact or call.type == "notify":
                continue
            text = shown(call.payload)
            if call.delivery == "failed":
                text += f"\n(not delivered: {call.delivery_error})"
            self.lines.append(FlowTestChatLine(at=call.at, sender="flow", node_id=call.node_id, text=text))


def shown(payload: Mapping[str, Any]) -> str:
    """The content of a message as a text: its words, its media, its template, and its buttons in
    brackets."""
    parts: list[str] = []
    if payload.get("type") == "template":
        parts.append(f"(template {payload.get('name')}: {_values(payload.get('parameters'))})")
    media = payload.get("media")
    for one in media if isinstance(media, list) else [payload]:
        if isinstance(one, dict) and one.get("url"):
            parts += [f"({one.get('kind', 'media')}: {one['url']})", *(_texts(one) if one is not payload else ())]
    parts += _texts(payload)
    titles = [f"[{title}]" for name in ("buttons", "sections") for title in _titles(payload.get(name))]
    return "\n".join([*parts, *([" ".join(titles)] if titles else [])])


def _content(message: Mapping[str, Any]) -> str:
    media = message.get("media")
    named = f"({message.get('kind')}: {media.get('url') or media.get('id')})" if isinstance(media, dict) else ""
    return "\n".join(part for part in (named, message.get("text")) if isinstance(part, str) and part)


def _texts(part: Mapping[str, Any]) -> list[str]:
    return [part[name] for name in _TEXTS if isinstance(part.get(name), str) and part[name]]


def _values(parameters: Any) -> str:
    values = parameters.values() if isinstance(parameters, dict) else parameters or []
    return ", ".join(str(value) for value in values)


def _titles(value: Any) -> list[str]:
    """The titles of buttons, or of the rows of sections, in their order."""
    found: list[str] = []
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            found += _titles(one["rows"]) if isinstance(one.get("rows"), list) else [str(one.get("title"))]
    return found
