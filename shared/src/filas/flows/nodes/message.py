"""`message`: sends to the conversation's contact over its channel."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta

from filas.channels import template_parameters
from filas.channels.invalid_content import InvalidContent
from filas.flows.nodes.node_data import Part, SendingData, Used
from filas.flows.problems import Add


class Media(Part, frozen=True, kw_only=True):
    """A file that the channel fetches from `url`."""

    kind: Literal["image", "video", "audio", "document", "sticker"]
    url: str
    caption: str | None = None


class Button(Part, frozen=True, kw_only=True):
    """A button under a text. `id` is returned when it is pressed."""

    id: Annotated[str, Meta(min_length=1)]
    title: Annotated[str, Meta(min_length=1)]


class MessageTemplate(Part, frozen=True, kw_only=True):
    """A template that the channel's provider has approved."""

    name: str
    language: str = "en"
    parameters: list[Any] | dict[str, Any] | None = None


class MessageData(SendingData, frozen=True, kw_only=True):
    """One of `text`, `media` and `template`. `buttons` are allowed with `text`. `channel` and `to` are those of the
    conversation by default."""

    text: str | None = None
    media: Media | None = None
    buttons: list[Button] | None = None
    template: MessageTemplate | None = None
    channel: str | None = None
    to: str | None = None

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("text", self.text), ("channel", self.channel), ("to", self.to))
        if self.media:
            yield from (("media.url", self.media.url), ("media.caption", self.media.caption))
        for index, button in enumerate(self.buttons or ()):
            yield from ((f"buttons[{index}].id", button.id), (f"buttons[{index}].title", button.title))
        if self.template:
            yield from (
                ("template.name", self.template.name),
                ("template.language", self.template.language),
                ("template.parameters", self.template.parameters),
            )

    def uses(self) -> Iterable[tuple[str, Used, str]]:
        if self.channel is not None:
            yield "channel", "channel", self.channel

    def check(self, add: Add) -> None:
        given = [name for name in ("text", "media", "template") if getattr(self, name) is not None]
        if not given:
            add("text", "a message needs text, media or a template")
        elif len(given) > 1:
            add(given[1], f"a message has one of text, media and template, not {' and '.join(given)}")
        if self.buttons is not None and self.text is None:
            add("buttons", "is allowed only with text")
        if self.buttons is not None and not self.buttons:
            add("buttons", "is empty")
        if self.template:
            try:
                template_parameters.written(with_placeholders(self.template.parameters))
            except InvalidContent as error:
                add(error.field, str(error))


def with_placeholders(value: Any) -> Any:
    """JSON in which a letter replaces each text with templates, whose value only an execution has."""
    if isinstance(value, str):
        return "x" if "{{" in value or "{%" in value else value
    if isinstance(value, dict):
        return {name: with_placeholders(item) for name, item in value.items()}
    return [with_placeholders(item) for item in value] if isinstance(value, list) else value
