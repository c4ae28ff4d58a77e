"""The content of a message as a node defines it: media, buttons, lists and approved templates."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from filas.flows.nodes.node_data import Part
from filas.flows.problems import Add

ParseMode = Literal["HTML", "MarkdownV2", "Markdown"]

MAX_MEDIA = 10
MAX_CHOICES = 100

Title = Annotated[str, Meta(min_length=1)]


class Media(Part, frozen=True, kw_only=True):
    """A file that the channel fetches from `url`."""

    kind: Literal["image", "video", "audio", "document", "sticker"]
    url: str
    caption: str | None = None

    def templates(self, field: str) -> Iterable[tuple[str, object]]:
        yield from ((f"{field}.url", self.url), (f"{field}.caption", self.caption))


class Button(Part, frozen=True, kw_only=True):
    """A button under a text. `id` is returned when it is pressed; a button with `url` opens the address instead."""

    id: Title | None = None
    title: Title
    url: Title | None = None
    description: str | None = None

    def templates(self, field: str) -> Iterable[tuple[str, object]]:
        for name in ("id", "title", "url", "description"):
            yield f"{field}.{name}", getattr(self, name)

    def check(self, field: str, add: Add) -> None:
        if (self.id is None) == (self.url is None):
            add(field, "a button needs one of `id` and `url`")
        if self.url is not None and self.description is not None:
            add(f"{field}.description", "is allowed only with `id`")


class Row(Part, frozen=True, kw_only=True):
    """A row of a list. `id` is returned when it is chosen."""

    id: Title
    title: Title
    description: str | None = None

    def templates(self, field: str) -> Iterable[tuple[str, object]]:
        for name in ("id", "title", "description"):
            yield f"{field}.{name}", getattr(self, name)


class Section(Part, frozen=True, kw_only=True):
    """A part of a list, with a title if there are several."""

    title: str | None = None
    rows: Annotated[list[Row], Meta(min_length=1, max_length=MAX_CHOICES)]

    def templates(self, field: str) -> Iterable[tuple[str, object]]:
        yield f"{field}.title", self.title
        for index, row in enumerate(self.rows):
            yield from row.templates(f"{field}.rows[{index}]")


class MessageTemplate(Part, frozen=True, kw_only=True):
    """A template that the channel's provider has approved."""

    name: str
    language: str = "en"
    parameters: list[Any] | dict[str, Any] | None = None

    def templates(self, field: str) -> Iterable[tuple[str, object]]:
        for name in ("name", "language", "parameters"):
            yield f"{field}.{name}", getattr(self, name)


_FIRST_LETTER: Final = 0x4E00
"""The first of many thousand letters."""


def with_placeholders(value: Any) -> Any:
    """JSON in which a letter replaces each text with templates, whose value only an execution has. It is another letter
    for each item of a list, because the values may differ."""
    return _with_letter(value, "x")


def _with_letter(value: Any, letter: str) -> Any:
    if isinstance(value, str):
        return letter if "{{" in value or "{%" in value else value
    if isinstance(value, dict):
        return {name: _with_letter(item, letter) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_letter(item, chr(_FIRST_LETTER + index)) for index, item in enumerate(value)]
    return value
