"""Reads the content of a message, which has the same form for all channels, and checks it against a channel's limits.

| type       | fields                                            |
|------------|---------------------------------------------------|
| `text`     | `text`; a notification's `subject` and `html`     |
| `media`    | `kind`, `url`, `caption`                          |
| `buttons`  | `text`, `buttons` [{`id`, `title`}]               |
| `template` | `name`, `language`, `parameters`                  |

Any type may have a `thread`, an object of texts: what the provider needs to place the message in the thread, topic or
business account of the message that it answers.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from filas.channels import template_parameters
from filas.channels.invalid_content import InvalidContent
from filas.contract.storable_text import lossless_bytes

MEDIA_KINDS = ("image", "video", "audio", "document", "sticker")


class Button(msgspec.Struct, frozen=True):
    """A button. The reply contains `id` when the button is pressed."""

    id: str
    title: str


class Media(msgspec.Struct, frozen=True):
    """A file that the provider fetches from `url`; `kind` is one of MEDIA_KINDS."""

    kind: str
    url: str
    caption: str


class Template(msgspec.Struct, frozen=True):
    """A template that is stored at the provider. `parameters` are a list in order, or an object by name. Their values
    are texts, or objects of the provider's API."""

    name: str
    language: str
    parameters: list[Any] | dict[str, Any]


def kind_of(content: Mapping[str, Any]) -> str:
    """Returns the type of the content; `text` if it has none."""
    return str(content.get("type") or "text")


def thread_of(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields of the thread that `names` lists, each under the provider's name for it."""
    thread = content.get("thread")
    if not isinstance(thread, dict):
        return {}
    found = {theirs: thread.get(ours) for ours, theirs in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


def text_of(content: Mapping[str, Any], limit: int, unit: str = "characters") -> str:
    """Returns the text, with the subject as its first line. Raises InvalidContent if it is empty or too long."""
    text, subject = str(content.get("text") or ""), str(content.get("subject") or "")
    whole = f"{subject}\n{text}" if subject and text else subject or text
    if not whole.strip():
        raise InvalidContent("the message has no text", "invalid")
    return within(whole, limit, "the text", unit)


def within(text: str, limit: int, what: str, unit: str = "characters") -> str:
    """Returns `text` if it is within `limit`; the unit `bytes` counts UTF-8. Raises InvalidContent."""
    length = len(lossless_bytes(text)) if unit == "bytes" else len(text)
    if length > limit:
        raise InvalidContent(f"{what} has {length} {unit}; the limit of this channel is {limit}", "too-long")
    return text


def media_of(content: Mapping[str, Any]) -> Media:
    """Returns the media. Raises InvalidContent for an unknown kind or a missing address."""
    kind, url = str(content.get("kind")), content.get("url")
    if kind not in MEDIA_KINDS or not isinstance(url, str) or not url:
        raise InvalidContent("the media has an unknown kind or no address", "invalid")
    return Media(kind, url, str(content.get("caption") or ""))


def template_of(content: Mapping[str, Any]) -> Template:
    """Returns the template. Raises InvalidContent without a name, or if the parameters are not a list or object."""
    given = {name: content[name] for name in ("name", "language", "parameters") if content.get(name)}
    try:
        template = msgspec.convert({"language": "en", "parameters": [], **given}, Template)
    except msgspec.ValidationError as error:
        raise InvalidContent(f"invalid template: {error}", "invalid") from None
    return msgspec.structs.replace(template, parameters=template_parameters.written(template.parameters))


def buttons_of(content: Mapping[str, Any]) -> list[Button]:
    """Returns the buttons. Raises InvalidContent if there are none or they are invalid."""
    try:
        buttons = msgspec.convert(content.get("buttons"), list[Button])
    except msgspec.ValidationError as error:
        raise InvalidContent(f"invalid buttons: {error}", "invalid") from None
    if not buttons:
        raise InvalidContent("the message has no buttons", "invalid")
    return buttons


def numbered(content: Mapping[str, Any], limit: int) -> str:
    """Returns text and buttons for a channel without buttons: the titles as a numbered list under the text."""
    lines = [text_of(content, limit)]
    lines += [f"{number}. {button.title}" for number, button in enumerate(buttons_of(content), 1)]
    return within("\n".join(lines), limit, "the text with its choices")
