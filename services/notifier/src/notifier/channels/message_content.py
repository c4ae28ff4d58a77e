"""The channel-neutral content of a message, read for a channel: checked against what that one can carry.

| type       | fields                                            |
|------------|---------------------------------------------------|
| `text`     | `text`; a notification's `subject` and `html`     |
| `media`    | `kind`, `url`, `caption`                          |
| `buttons`  | `text`, `buttons` [{`id`, `title`}]               |
| `template` | `name`, `language`, `parameters`                  |
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.contract.storable_text import lossless_bytes
from filas.errors import PermanentError

MEDIA_KINDS = ("image", "video", "audio", "document", "sticker")


class Unsendable(PermanentError):
    """The channel can't carry this content. `kind` is a stable word."""

    def __init__(self, reason: str, kind: str = "unsupported") -> None:
        super().__init__(reason)
        self.kind = kind


class Button(msgspec.Struct, frozen=True):
    """A button; `id` is what comes back when it is pressed."""

    id: str
    title: str


class Media(msgspec.Struct, frozen=True):
    """A file that the provider fetches from `url`; `kind` is one of MEDIA_KINDS."""

    kind: str
    url: str
    caption: str


class Template(msgspec.Struct, frozen=True):
    """A template that the provider knows. `parameters` are in their order, or by name."""

    name: str
    language: str
    parameters: list[Any] | dict[str, Any]


def kind_of(content: Mapping[str, Any]) -> str:
    """The content's type; what has none is a text."""
    return str(content.get("type") or "text")


def text_of(content: Mapping[str, Any], limit: int, unit: str = "characters") -> str:
    """The text, under its subject if it has one. Raises Unsendable for none, and for more than `limit`."""
    text, subject = str(content.get("text") or ""), str(content.get("subject") or "")
    whole = f"{subject}\n{text}" if subject and text else subject or text
    if not whole.strip():
        raise Unsendable("the message has no text", "invalid")
    return within(whole, limit, "the text", unit)


def within(text: str, limit: int, what: str, unit: str = "characters") -> str:
    """`text` if it is not longer than `limit`; a limit in `bytes` counts those of its UTF-8. Raises Unsendable."""
    length = len(lossless_bytes(text)) if unit == "bytes" else len(text)
    if length > limit:
        raise Unsendable(f"{what} has {length} {unit}; this channel takes {limit}", "too-long")
    return text


def media_of(content: Mapping[str, Any]) -> Media:
    """The file. Raises Unsendable for an unknown kind and a missing address."""
    kind, url = str(content.get("kind")), content.get("url")
    if kind not in MEDIA_KINDS or not isinstance(url, str) or not url:
        raise Unsendable("the media have no known kind, or no address", "invalid")
    return Media(kind, url, str(content.get("caption") or ""))


def template_of(content: Mapping[str, Any]) -> Template:
    """The template. Raises Unsendable for one without a name, and for parameters that are neither list nor object."""
    given = {name: content[name] for name in ("name", "language", "parameters") if content.get(name)}
    try:
        template = msgspec.convert({"language": "en", "parameters": [], **given}, Template)
    except msgspec.ValidationError as error:
        raise Unsendable(f"the template is none: {error}", "invalid") from None
    return template


def buttons_of(content: Mapping[str, Any]) -> list[Button]:
    """The buttons. Raises Unsendable for none or wrong ones."""
    try:
        buttons = msgspec.convert(content.get("buttons"), list[Button])
    except msgspec.ValidationError as error:
        raise Unsendable(f"the buttons are none: {error}", "invalid") from None
    if not buttons:
        raise Unsendable("the message has no buttons", "invalid")
    return buttons


def numbered(content: Mapping[str, Any], limit: int) -> str:
    """Text and buttons for a channel without buttons: a numbered list of their titles under the text."""
    lines = [text_of(content, limit)]
    lines += [f"{number}. {button.title}" for number, button in enumerate(buttons_of(content), 1)]
    return within("\n".join(lines), limit, "the text with its choices")
