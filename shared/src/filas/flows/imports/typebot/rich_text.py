"""The text of a bubble: rich text, HTML or plain text, with the markup of WhatsApp (`*bold*`, `_italic_`, `~struck~`).

A link is its text and its address in parentheses, an item of a list begins with `- ` or its number.
"""

import re
from html import unescape
from typing import Any, Final

from filas.flows.imports.foreign_fields import Json, objects, text

MAX_DEPTH: Final = 16
_MARKS: Final = (("bold", "*"), ("italic", "_"), ("strikethrough", "~"), ("strikeThrough", "~"))
_TAGS: Final = {"b": "*", "strong": "*", "i": "_", "em": "_", "s": "~", "del": "~", "strike": "~"}
_TAG: Final = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9]{0,20})(?P<attributes>[^<>]*)>")
_ADDRESS: Final = re.compile(r"""href\s*=\s*["'](?P<url>[^"']*)["']""")
_BLOCKS: Final = frozenset({"div", "p", "h1", "h2", "h3", "ul", "ol"})
_PARAGRAPHS: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "lic"})
_LISTS: Final = frozenset({"ul", "ol"})


def bubble_text(content: Json) -> tuple[str, bool]:
    """The text of a bubble's content, and whether it has markup."""
    rich = objects(content.get("richText"))
    if rich:
        marks: list[str] = []
        lines = [line for element in rich for line in _lines(element, 0, marks)]
        return "\n".join(lines).strip("\n"), bool(marks)
    if text(content.get("html")):
        reader = _HtmlText(text(content["html"]))
        return reader.found(), reader.has_marks
    return text(content.get("plainText")).strip("\n"), False


def _lines(element: dict[str, Any], depth: int, marks: list[str], prefix: str = "") -> list[str]:
    """The lines of an element that begins its own line."""
    kind, children = text(element.get("type")), objects(element.get("children"))
    if depth > MAX_DEPTH:
        return []
    if kind in _LISTS:
        lines: list[str] = []
        for index, item in enumerate(children, 1):
            mark = f"{index}. " if kind == "ol" else "- "
            lines += _item_lines(item, depth + 1, marks, prefix + mark)
        return lines
    if any(text(child.get("type")) in _PARAGRAPHS | _LISTS for child in children):
        return [line for child in children for line in _lines(child, depth + 1, marks, prefix)]
    inline = _inline(element, depth + 1, marks)
    return [prefix + line if index == 0 else line for index, line in enumerate(inline.split("\n"))]


def _item_lines(item: dict[str, Any], depth: int, marks: list[str], prefix: str) -> list[str]:
    lines: list[str] = []
    for child in objects(item.get("children")) or [item]:
        is_list = text(child.get("type")) in _LISTS
        indent = "  " if is_list else prefix if not lines else "  "
        lines += _lines(child, depth + 1, marks, indent)
    return lines


def _inline(element: dict[str, Any], depth: int, marks: list[str]) -> str:
    if depth > MAX_DEPTH:
        return ""
    if isinstance(element.get("text"), str):
        return _marked(element, marks)
    inner = "".join(_inline(child, depth + 1, marks) for child in objects(element.get("children")))
    url = text(element.get("url"))
    if text(element.get("type")) != "a" or not url:
        return inner
    return url if inner.strip() in ("", url) else f"{inner} ({url})"


def _marked(leaf: dict[str, Any], marks: list[str]) -> str:
    written = text(leaf["text"])
    core = written.strip()
    if not core:
        return written
    marked = core
    for name, mark in _MARKS:
        if leaf.get(name) is True:
            marks.append(mark)
            marked = f"{mark}{marked}{mark}"
    return written.replace(core, marked, 1)


class _HtmlText:
    """The text of the HTML of an older bubble. Its tags are found in linear time."""

    def __init__(self, written: str) -> None:
        self._parts: list[str] = []
        self._links: list[str] = []
        self.has_marks = False
        position = 0
        for tag in _TAG.finditer(written):
            self._parts.append(unescape(written[position : tag.start()]))
            self._add_tag(tag["name"].lower(), tag["attributes"], is_end=bool(tag["end"]))
            position = tag.end()
        self._parts.append(unescape(written[position:]))

    def _add_tag(self, name: str, attributes: str, *, is_end: bool) -> None:
        if name in _TAGS:
            self.has_marks = True
            self._parts.append(_TAGS[name])
        elif name == "br" or name in _BLOCKS:
            self._break_line(always=name == "br" or is_end)
        elif name == "li":
            self._break_line(always=is_end)
            self._parts.append("" if is_end else "- ")
        elif name == "a":
            self._add_link(attributes, is_end=is_end)

    def _break_line(self, *, always: bool) -> None:
        written = next((part for part in reversed(self._parts[-4:]) if part), "\n")
        if always or not written.endswith("\n"):
            self._parts.append("\n")

    def _add_link(self, attributes: str, *, is_end: bool) -> None:
        if not is_end:
            found = _ADDRESS.search(attributes)
            self._links = [*self._links[-MAX_DEPTH:], unescape(found["url"]) if found else ""]
        elif self._links:
            url = self._links.pop()
            if url and self._parts[-1].strip() != url:
                self._parts.append(f" ({url})")

    def found(self) -> str:
        """The text without empty lines at its ends, and with at most one between others."""
        lines = "".join(self._parts).split("\n")
        return "\n".join(line for index, line in enumerate(lines) if line or (index and lines[index - 1])).strip("\n")
