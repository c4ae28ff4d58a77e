"""A content in the form that a channel type can show."""

from collections.abc import Mapping
from typing import Any

from filas.channels import choice_lines
from filas.channels.content_limits import ContentLimits
from filas.channels.text_escapes import escape_of


def adapted(content: Mapping[str, Any], limits: ContentLimits) -> dict[str, Any]:
    """The content without what the channel cannot show: a list becomes buttons under a text with the titles of its
    sections and its descriptions, and a header or footer becomes a line of the text. A channel without buttons gets
    everything as lines (see `choice_lines`), so its content is not changed."""
    result = dict(content)
    if limits.buttons is None:
        return result
    if result.get("type") == "list" and limits.lists is None:
        rows = choice_lines.rows(result)
        if any(row.get("description") for row in rows) or any(
            section.get("title") for section in choice_lines.objects(result.get("sections"))
        ):
            # The lines are no part of the author's text, so they are not markup.
            escape = escape_of("telegram", None, result.get("parseMode")) or str
            lines = (escape(line) for line in choice_lines.choice_lines(result))
            result["text"] = "\n".join([str(result.get("text") or ""), *lines])
        result["type"] = "buttons"
        result["buttons"] = [{"id": row.get("id"), "title": row.get("title")} for row in rows]
        result.pop("sections", None)
    if not limits.header and result.get("header"):
        result["text"] = f"{result.pop('header')}\n{result.get('text') or ''}"
    if not limits.footer and result.get("footer"):
        result["text"] = f"{result.get('text') or ''}\n{result.pop('footer')}"
    return result
