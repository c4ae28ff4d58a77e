"""Divides a content whose text is too long for one message into several messages, in order."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from filas.channels import choice_lines
from filas.channels.adapted_content import adapted
from filas.channels.content_checks import shown_as_list
from filas.channels.content_limits import ContentLimits, limits_of
from filas.channels.invalid_content import InvalidContent
from filas.channels.open_markup import can_cut
from filas.channels.split_text import split_text

MAX_PARTS: Final = 50
"""The most messages into which one text is divided."""

_SHARED: Final = ("parseMode",)


def parts_of(content: dict[str, Any], channel_type: str | None) -> list[dict[str, Any]]:
    """The contents to be sent, one message each: the content itself if it fits.

    A text ends at the ends of sentences. Buttons and lists are under the last part. A caption continues in texts.
    Raises InvalidContent if a text cannot be divided, or into more than MAX_PARTS messages.
    """
    limits = limits_of(channel_type)
    kind = content.get("type")
    if limits is None or kind == "template":
        return [content]
    parts = _media(content, limits) if kind == "media" else _texts(adapted(content, limits), limits)
    if len(parts) == 1:
        return [content]
    if len(parts) > MAX_PARTS:
        text = f"the text needs {len(parts)} messages of {limits.text} characters (the limit of {limits.name}); "
        raise InvalidContent(f"{text}at most {MAX_PARTS} are sent", "too-long", "text")
    return parts


def _texts(content: dict[str, Any], limits: ContentLimits) -> list[dict[str, Any]]:
    shared = {name: content[name] for name in _SHARED if name in content}
    if _are_lines(content, limits):
        text = choice_lines.with_lines(content)
        if len(text) <= limits.text:
            return [content]
        return [{"type": "text", "text": part, **shared} for part in _split(text, limits.text, content, limits)]
    shown = limits.lists if limits.lists and shown_as_list(content, limits) else limits.buttons
    above = shown.text if shown else limits.text
    text = str(content.get("text") or "")
    if len(text) <= above:
        return [content]
    *first, last = _split(text, above, content, limits)
    return [*({"type": "text", "text": part, **shared} for part in first), {**content, "text": last}]


def _are_lines(content: Mapping[str, Any], limits: ContentLimits) -> bool:
    """Whether the whole content is a text on this channel: it has no choices, or the channel has no buttons."""
    return content.get("type") not in ("buttons", "list") or limits.buttons is None


def _media(content: dict[str, Any], limits: ContentLimits) -> list[dict[str, Any]]:
    caption = content.get("caption")
    if not isinstance(caption, str) or len(caption) <= limits.caption:
        return [content]
    first, *rest = _split(caption, limits.caption, content, limits)
    shared = {name: content[name] for name in _SHARED if name in content}
    return [{**content, "caption": first}, *({"type": "text", "text": part, **shared} for part in rest)]


def _split(text: str, limit: int, content: Mapping[str, Any], limits: ContentLimits) -> Sequence[str]:
    try:
        return split_text(text, limit, can_cut(text, content.get("parseMode")))
    except ValueError as error:
        found = f"the text has {len(text)} characters, and the limit of {limits.name} is {limit}: {error}"
        raise InvalidContent(found, "too-long", "text") from None
