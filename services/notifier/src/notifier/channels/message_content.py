"""Reads the content of a message, which has the same form for all channels.

| type       | fields                                                                                             |
|------------|----------------------------------------------------------------------------------------------------|
| `text`     | `text`, `parseMode`; a notification's `subject` and `html`                                         |
| `media`    | `kind`, `url`, `caption`, `parseMode`                                                              |
| `buttons`  | `text`, `buttons` [{`id` or `url`, `title`, `description`}], `header`, `footer`, `parseMode`       |
| `list`     | `text`, `sections` [{`title`, `rows` [{`id`, `title`, `description`}]}], `label`, and as `buttons` |
| `template` | `name`, `language`, `parameters`                                                                   |

Any type may have a `thread`, an object of texts: what the provider needs to place the message in the thread, topic or
business account of the message that it answers.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from filas.channels import choice_lines, content_checks, template_parameters
from filas.channels.adapted_content import adapted
from filas.channels.content_limits import LIMITS
from filas.channels.invalid_content import InvalidContent
from filas.flows.library_errors import describe_msgspec

MEDIA_KINDS = ("image", "video", "audio", "document", "sticker")


class Button(msgspec.Struct, frozen=True):
    """A button or a row of a list. The reply contains `id` when it is pressed; a button with `url` opens the address
    instead."""

    title: str
    id: str = ""
    url: str = ""
    description: str = ""


class Section(msgspec.Struct, frozen=True):
    """A section of a list."""

    rows: list[Button]
    title: str = ""


Items = TypeVar("Items", list[Button], list[Section])


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


def sendable(content: Mapping[str, Any], channel_type: str) -> dict[str, Any]:
    """Returns the content as the channel can show it. Raises InvalidContent beyond the limits of the channel."""
    content_checks.refuse_beyond_limits(content, channel_type)
    return adapted(content, LIMITS[channel_type])


def text_of(content: Mapping[str, Any]) -> str:
    """Returns the text, with the subject as its first line. Raises InvalidContent if it is empty."""
    text, subject = str(content.get("text") or ""), str(content.get("subject") or "")
    whole = f"{subject}\n{text}" if subject and text else subject or text
    if not whole.strip():
        raise InvalidContent("the message has no text", "invalid")
    return whole


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
        raise invalid_part("template", error) from None
    return msgspec.structs.replace(template, parameters=template_parameters.written(template.parameters))


def buttons_of(content: Mapping[str, Any]) -> list[Button]:
    """Returns the buttons. Raises InvalidContent if there are none or they are invalid."""
    return _choices(content.get("buttons"), list[Button], "buttons")


def sections_of(content: Mapping[str, Any]) -> list[Section]:
    """Returns the sections of a list, or the buttons as one section. Raises InvalidContent as `buttons_of` does."""
    if kind_of(content) == "buttons":
        return [Section(buttons_of(content))]
    sections = _choices(content.get("sections"), list[Section], "sections")
    if not all(section.rows for section in sections):
        raise InvalidContent("a section of the list has no rows", "invalid")
    return sections


def invalid_part(what: str, error: msgspec.ValidationError) -> InvalidContent:
    """The error of a part of a content that has a wrong type, in the words of a flow's author."""
    message, _, path = str(error).partition(" - at `$")
    return InvalidContent(f"{what}{path.rstrip('`')}: {describe_msgspec(message)}", "invalid")


def numbered(content: Mapping[str, Any]) -> str:
    """Returns text and choices for a channel without buttons: the titles as numbered lines under the text."""
    if kind_of(content) == "buttons":
        buttons_of(content)
    else:
        sections_of(content)
    text_of(content)
    return choice_lines.with_lines(content)


def _choices(given: Any, form: type[Items], what: str) -> Items:
    try:
        items = msgspec.convert(_without_nulls(given), form)
    except msgspec.ValidationError as error:
        raise invalid_part(what, error) from None
    if not items:
        raise InvalidContent(f"the message has no {what}", "invalid")
    return items


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
