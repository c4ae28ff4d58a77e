"""Slack's markup as plain text.

Source: docs.slack.dev, "Formatting text for app surfaces", "Retrieving formatted messages".
"""

import html
import re
from typing import Final

_MARKUP: Final = re.compile(r"<([^<>\s|][^<>|]*)(?:\|([^<>]*))?>")
_LEADING_MENTION: Final = re.compile(r"\s*<@([A-Z0-9]+)(?:\|[^<>]*)?>[\s:,]*")


def plain_text(written: str) -> str:
    """`written` without markup: links, mentions and dates as a person reads them, and `&amp;`, `&lt;` and `&gt;` as
    characters. A link whose label is not a part of its address becomes `label (address)`."""
    if "<" not in written and "&" not in written:
        return written.strip()
    return html.unescape(_MARKUP.sub(_written_out, written)).strip()


def without_leading_mention(written: str, own_ids: frozenset[str] | None) -> tuple[str, bool]:
    """`written` without a mention of the app at its beginning, and whether there was one. `own_ids` are the ids of the
    app; None: any mention is one of the app."""
    match = _LEADING_MENTION.match(written)
    if match is None or (own_ids is not None and match[1] not in own_ids):
        return written, False
    return written[match.end() :], True


def _written_out(match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    if target.startswith("@"):
        return f"@{(label or target[1:]).lstrip('@')}"
    if target.startswith("#"):
        return f"#{(label or target[1:]).lstrip('#')}"
    if target.startswith("!"):
        name = target[1:].partition("^")[0]
        return label or f"@{name}"
    address = re.sub(r"^(mailto|tel):", "", target)
    if not label or label in target:
        return label or address
    return f"{label} ({address})"
