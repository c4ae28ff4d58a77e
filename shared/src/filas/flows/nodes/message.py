"""`message`: sends to the conversation's contact over its channel."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from filas.channels import template_parameters
from filas.channels.invalid_content import InvalidContent
from filas.flows.nodes.message_content import (
    MAX_CHOICES,
    MAX_MEDIA,
    Button,
    Media,
    MessageTemplate,
    ParseMode,
    Section,
    with_placeholders,
)
from filas.flows.nodes.node_data import SendingData, Used
from filas.flows.problems import Add


class MessageData(SendingData, frozen=True, kw_only=True):
    """One of `text`, `media` and `template`. A text may have `buttons`, or a list of `sections`, and with either a
    `header` and a `footer`. `channel` and `to` are those of the conversation by default."""

    text: str | None = None
    media: Media | Annotated[list[Media], Meta(min_length=1, max_length=MAX_MEDIA)] | None = None
    buttons: Annotated[list[Button], Meta(max_length=MAX_CHOICES)] | None = None
    sections: Annotated[list[Section], Meta(min_length=1, max_length=MAX_CHOICES)] | None = None
    list_label: str | None = None
    header: str | None = None
    footer: str | None = None
    parse_mode: ParseMode | None = None
    template: MessageTemplate | None = None
    thread: dict[str, str] | None = None
    channel: str | None = None
    to: str | None = None

    def all_media(self) -> list[Media]:
        """The files, each of which is a message of its own."""
        return self.media if isinstance(self.media, list) else [self.media] if self.media else []

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("text", self.text), ("channel", self.channel), ("to", self.to), ("thread", self.thread))
        yield from (("listLabel", self.list_label), ("header", self.header), ("footer", self.footer))
        if isinstance(self.media, list):
            for index, media in enumerate(self.media):
                yield from media.templates(f"media[{index}]")
        elif self.media:
            yield from self.media.templates("media")
        for index, button in enumerate(self.buttons or ()):
            yield from button.templates(f"buttons[{index}]")
        for index, section in enumerate(self.sections or ()):
            yield from section.templates(f"sections[{index}]")
        if self.template:
            yield from self.template.templates("template")

    def uses(self) -> Iterable[tuple[str, Used, str]]:
        if self.channel is not None:
            yield "channel", "channel", self.channel

    def check(self, add: Add) -> None:
        given = [name for name in ("text", "media", "template") if getattr(self, name) is not None]
        if not given:
            add("text", "a message needs text, media or a template")
        elif len(given) > 1:
            add(given[1], f"a message has one of text, media and template, not {' and '.join(given)}")
        self._check_choices(add)
        if self.template:
            try:
                template_parameters.written(with_placeholders(self.template.parameters))
            except InvalidContent as error:
                add(error.field, str(error))

    def _check_choices(self, add: Add) -> None:
        for field in ("buttons", "sections"):
            if getattr(self, field) is not None and self.text is None:
                add(field, "is allowed only with text")
        if self.buttons is not None and not self.buttons:
            add("buttons", "is empty")
        if self.buttons is not None and self.sections is not None:
            add("sections", "a message has one of buttons and sections")
        if self.list_label is not None and self.sections is None and self.buttons is None:
            add("listLabel", "is allowed only with sections or buttons")
        for field in ("header", "footer"):
            if getattr(self, field) is not None and not (self.buttons or self.sections):
                add(field, "is allowed only with buttons or sections")
        if self.parse_mode is not None and self.template is not None:
            add("parseMode", "is not allowed with a template")
        for index, button in enumerate(self.buttons or ()):
            button.check(f"buttons[{index}]", add)

    def field_of(self, field: str) -> str:
        return {"label": "listLabel", "caption": "media.caption"}.get(field, field)

    def contents(self) -> Iterable[dict[str, Any]]:
        shared = {} if self.parse_mode is None else {"parseMode": self.parse_mode}
        if self.template:
            yield {"type": "template", **msgspec.to_builtins(self.template)}
        for media in self.all_media():
            yield {"type": "media", **msgspec.to_builtins(media), **shared}
        if self.text is None:
            return
        text: dict[str, Any] = {"type": "text", "text": self.text, **shared}
        more = {"header": self.header, "footer": self.footer, "label": self.list_label}
        if self.buttons or self.sections:
            text |= {name: value for name, value in more.items() if value is not None}
        if self.buttons:
            text |= {"type": "buttons", "buttons": [_given(button) for button in self.buttons]}
        elif self.sections:
            text |= {"type": "list", "sections": [_given(section) for section in self.sections]}
        yield text


def _given(part: Button | Section) -> Any:
    """The part without its fields that are null."""
    return _without_nulls(msgspec.to_builtins(part))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
