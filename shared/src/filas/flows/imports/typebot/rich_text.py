"""The text of a bubble: rich text, HTML or plain text, with the markup of WhatsApp (`*bold*`, `_italic_`, `~struck~`).

A link is its text and its address in parentheses, an item of a list begins with `- ` or its number.
"""

from html.parser import HTMLParser
from typing import Any, Final

from filas.flows.imports.foreign_fields import Json, objects, text

MAX_DEPTH: Final = 16
_MARKS: Final = (("bold", "*"), ("italic", "_"), ("strikethrough", "~"), ("strikeThrough", "~"))
_TAGS: Final = {"b": "*", "strong": "*", "i": "_", "em": "_", "s": "~", "del": "~", "strike": "~"}
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
        reader = _HtmlReader()
        reader.feed(text(content["html"]))
        reader.close()
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


class _HtmlReader(HTMLParser):
    """Collects the text of the HTML of an older bubble."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._links: list[str] = []
        self.has_marks = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _TAGS:
            self._mark(tag)
        elif tag == "br" or (tag in _BLOCKS and self._parts and not self._parts[-1].endswith("\n")):
            self._parts.append("\n")
        elif tag == "li":
            self._parts.append("- " if not self._parts or self._parts[-1].endswith("\n") else "\n- ")
        elif tag == "a" and len(self._links) < MAX_DEPTH:
            self._links.append(dict(attrs).get("href") or "")
            self._parts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in _TAGS:
            self._mark(tag)
        elif tag in _BLOCKS or tag == "li":
            self._parts.append("\n")
        elif tag == "a" and self._links:
            url = self._links.pop()
            if url and (not self._parts or self._parts[-1].strip() != url):
                self._parts.append(f" ({url})")

    def handle_data(self, data: str) -> None:
        self._parts.append(data)

    def _mark(self, tag: str) -> None:
        self.has_marks = True
        self._parts.append(_TAGS[tag])

    def found(self) -> str:
        """The text without empty lines at its ends."""
        lines = "".join(self._parts).split("\n")
        return "\n".join(line for index, line in enumerate(lines) if line or (index and lines[index - 1])).strip("\n")
