"""Checks a content against the limits of a channel type: each problem names the limit."""

from collections.abc import Iterator, Mapping
from typing import Any

from filas.channels import choice_lines
from filas.channels.adapted_content import adapted
from filas.channels.content_limits import ButtonLimits, ContentLimits, ListLimits, Unit, limits_of
from filas.channels.invalid_content import InvalidContent
from filas.contract.storable_text import lossless_bytes

Problem = tuple[str, str, str]
"""The field of the content, a sentence, and the kind of the error."""

MAIL_FIELDS = ("cc", "bcc", "replyTo", "attachments")

TOO_LONG, UNSUPPORTED, INVALID = "too-long", "unsupported", "invalid"


def refuse_beyond_limits(content: Mapping[str, Any], channel_type: str) -> None:
    """Raises InvalidContent with the first problem of the content."""
    for field, message, kind in problems(content, channel_type):
        raise InvalidContent(message, kind, field)


def problems(content: Mapping[str, Any], channel_type: str | None) -> Iterator[Problem]:
    """Every problem of the content. A channel type without limits has none."""
    limits = limits_of(channel_type)
    if limits is None:
        return
    if channel_type != "email":
        for field in MAIL_FIELDS:
            if content.get(field):
                yield field, f"{limits.name} has no `{field}`; it is for e-mail", UNSUPPORTED
    content = adapted(content, limits)
    form = content.get("type") or "text"
    if form == "template":
        if not limits.templates:
            yield "template", f"{limits.name} has no approved templates; send a text", UNSUPPORTED
    elif form == "media":
        yield from _too_long(content.get("caption"), limits.caption, "caption", "the caption", limits)
    elif form in ("buttons", "list"):
        yield from _choices(content, limits)
    elif form == "text":
        yield from _too_long(choice_lines.with_lines(content), limits.text, "text", "the text", limits)


def shown_as_list(content: Mapping[str, Any], limits: ContentLimits) -> bool:
    """Whether the choices are shown as a list: it is one, or it has more or longer choices than buttons can have."""
    if content.get("type") == "list":
        return True
    buttons, limit = choice_lines.objects(content.get("buttons")), limits.buttons
    if limits.lists is None or limit is None or any(one.get("url") for one in buttons):
        return False
    if any(one.get("description") for one in buttons):
        return True
    # WhatsApp's lists allow more and longer titles than its buttons do. Elsewhere buttons allow as much as lists.
    if limit.count >= limits.lists.rows or limit.title >= limits.lists.title:
        return False
    text = str(content.get("text") or "")
    too_long = len(text) > limit.text or any(len(str(one.get("title"))) > limit.title for one in buttons)
    return too_long or len(buttons) > limit.count


def rows_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices as sections of a list: those of the content, or one section with the buttons."""
    if content.get("type") == "list":
        return [dict(section) for section in choice_lines.objects(content.get("sections"))]
    return [{"rows": [dict(button) for button in choice_lines.objects(content.get("buttons"))]}]


def _choices(content: Mapping[str, Any], limits: ContentLimits) -> Iterator[Problem]:
    for field, limit in (("header", limits.header), ("footer", limits.footer)):
        if limit:
            yield from _too_long(content.get(field), limit, field, f"the {field}", limits)
    if limits.buttons is None:
        lines = choice_lines.with_lines(content)
        yield from _too_long(lines, limits.text, "text", "the text with its choices", limits)
    elif limits.lists is not None and shown_as_list(content, limits):
        yield from _list(content, limits.lists, limits)
    else:
        yield from _buttons(content, limits.buttons, limits)


def _buttons(content: Mapping[str, Any], limit: ButtonLimits, limits: ContentLimits) -> Iterator[Problem]:
    buttons = choice_lines.objects(content.get("buttons"))
    opening = [one for one in buttons if one.get("url")]
    yield from _too_many(len(buttons), limit.count, "buttons", "buttons", limits)
    if opening and len(buttons) > len(opening) and not limit.mixed:
        yield "buttons", f"{limits.name} cannot show a button with `url` beside other buttons", UNSUPPORTED
    if len(opening) > limit.urls:
        found = f"{len(opening)} buttons with `url`; the limit of {limits.name} is {limit.urls}"
        yield "buttons", found, TOO_LONG
    yield from _too_long(content.get("text"), limit.text, "text", "the text above the buttons", limits)
    titles: set[str] = set()
    for index, button in enumerate(buttons):
        field = f"buttons[{index}]"
        yield from _missing_title(button, f"{field}.title", "a button", limits)
        title = _title(button)
        if limit.distinct_titles and title in titles:
            yield f"{field}.title", f'two buttons have the title "{title[:80]}"; {limits.name} refuses it', INVALID
        titles.add(title)
        yield from _too_long(button.get("title"), limit.title, f"{field}.title", "a button's title", limits)
        if button.get("url"):
            yield from _too_long(button["url"], limit.url, f"{field}.url", "a button's address", limits)
        else:
            yield from _too_long(button.get("id"), limit.id, f"{field}.id", "a button's id", limits, limit.id_unit)


def _list(content: Mapping[str, Any], limit: ListLimits, limits: ContentLimits) -> Iterator[Problem]:
    is_list = content.get("type") == "list"
    sections = rows_of(content)
    count = sum(len(choice_lines.objects(section.get("rows"))) for section in sections)
    what = "rows" if is_list else "buttons"
    yield from _too_many(count, limit.rows, "sections" if is_list else "buttons", what, limits)
    yield from _too_many(len(sections), limit.sections, "sections", "sections", limits)
    yield from _too_long(content.get("text"), limit.text, "text", "the text above the list", limits)
    yield from _too_long(content.get("label"), limit.label, "label", "the label that opens the list", limits)
    if len(sections) > 1 and not all(section.get("title") for section in sections):
        yield "sections", f"each section needs a title if there are several ({limits.name})", INVALID
    for number, section in enumerate(sections):
        field = f"sections[{number}]"
        title = section.get("title")
        yield from _too_long(title, limit.section_title, f"{field}.title", "a section's title", limits)
        place = f"{field}.rows" if is_list else "buttons"
        for index, row in enumerate(choice_lines.objects(section.get("rows"))):
            yield from _missing_title(row, f"{place}[{index}].title", "a choice", limits)
            for name, most in (("title", limit.title), ("description", limit.description), ("id", limit.id)):
                yield from _too_long(row.get(name), most, f"{place}[{index}].{name}", f"a choice's {name}", limits)


def _missing_title(choice: Mapping[str, Any], field: str, what: str, limits: ContentLimits) -> Iterator[Problem]:
    if "title" in choice and not _title(choice):
        yield field, f"the title of {what} is empty; {limits.name} refuses it", INVALID


def _title(choice: Mapping[str, Any]) -> str:
    return str(choice.get("title") or "").strip()


def _too_many(count: int, limit: int, field: str, what: str, limits: ContentLimits) -> Iterator[Problem]:
    if count > limit:
        yield field, f"{count} {what}; the limit of {limits.name} is {limit}", TOO_LONG


def _too_long(
    text: Any, limit: int, field: str, what: str, limits: ContentLimits, unit: Unit = "characters"
) -> Iterator[Problem]:
    if not isinstance(text, str):
        return
    length = len(lossless_bytes(text)) if unit == "bytes" else len(text)
    if length > limit:
        found = f'{what} has {length} {unit}; the limit of {limits.name} is {limit}: "{text[:80]}"'
        yield field, found, TOO_LONG
