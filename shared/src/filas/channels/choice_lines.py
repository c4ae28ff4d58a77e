"""Choices and addresses as lines of a text, for channels without buttons and lists."""

from collections.abc import Iterator, Mapping
from typing import Any


def with_lines(content: Mapping[str, Any]) -> str:
    """The text of a content with its subject, header, choices and footer as lines.

    Choices are numbered, across the sections of a list. A button that opens an address is a line with the address.
    """
    given = (content.get(name) for name in ("subject", "header", "text"))
    lines = [text for text in given if isinstance(text, str) and text]
    lines += choice_lines(content)
    footer = content.get("footer")
    return "\n".join([*lines, footer] if isinstance(footer, str) and footer else lines)


def choice_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """One line for each button, section and row."""
    number = 0
    for button in objects(content.get("buttons")):
        if button.get("url"):
            yield f"{button.get('title')}: {button['url']}"
        else:
            number += 1
            yield _numbered(number, button)
    for section in objects(content.get("sections")):
        if section.get("title"):
            yield str(section["title"])
        for row in objects(section.get("rows")):
            number += 1
            yield _numbered(number, row)


def _numbered(number: int, choice: Mapping[str, Any]) -> str:
    line = f"{number}. {choice.get('title')}"
    return f"{line} - {choice['description']}" if choice.get("description") else line


def rows(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of all sections of a list."""
    return [row for section in objects(content.get("sections")) for row in objects(section.get("rows"))]


def objects(items: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; nothing of any other value."""
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
