"""Escapes text from outside for the channel that it is sent to, so that it is shown as it is and is not markup.

| channel                     | escaped                                                                                |
|-----------------------------|----------------------------------------------------------------------------------------|
| Slack                       | `&`, `<` and `>` (source: Slack, "Formatting text for app surfaces"), so that          |
|                             | `<!channel>` and `<@U1>` notify no one                                                 |
| Telegram with a parse mode  | the reserved characters of the mode (source: Bot API, "Formatting options")            |
| WhatsApp (also over Twilio) | `*`, `_`, `~` and backticks at the edge of a word, and a quote or list mark at the     |
|                             | beginning of a line: zero-width spaces separate them from the text                     |
| `html` of an e-mail         | `&`, `<`, `>` and quotation marks, once                                                |
| others                      | nothing                                                                                |

WhatsApp has no escape character. A mark formats a text only if a word begins directly behind it or ends directly
before it, so an invisible character that is no part of a word separates them. Addresses of pages and of e-mail stay as
they are.
"""

import re
from collections.abc import Callable
from typing import Final

Escape = Callable[[str], str]

ZERO_WIDTH_SPACE: Final = "\u200b"

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_HTML: Final = re.compile(r"&(?!(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]\w{1,31});)|[<>\"']")
_ANGLES: Final = re.compile(r"[&<>]")
_MARKDOWN_V2: Final = re.compile(r"[_*\[\]()~`>#+\-=|{}.!\\]")
_MARKDOWN: Final = re.compile(r"[_*`\[]")
_WHATSAPP_MARK: Final = re.compile(
    r"((?:https?://|www\.)\S+|(?<![\w.+-])[^\W_][\w.+-]*@(?:[\w-]+\.)+[\w-]*[^\W_])"
    r"|(?<![^\W_])[*_~`]+(?=\S)|(?<=\S)[*_~`]+(?![^\W_])"
)
_WHATSAPP_LINE: Final = re.compile(r"^([ \t]*)([>*-]|\d{1,3}\.)(?=[ \t])|^([ \t]*)(>)", re.MULTILINE)


def escape_of(channel_type: str | None, to: str | None = None, parse_mode: str | None = None) -> Escape | None:
    """The function that escapes values in a text for the channel. None: it needs none. `parse_mode` is Telegram's."""
    if channel_type == "slack":
        return slack
    if channel_type == "whatsapp" or (channel_type == "twilio" and (to or "").startswith("whatsapp:")):
        return whatsapp
    if channel_type == "telegram":
        return _TELEGRAM.get(parse_mode or "")
    return None


def slack(text: str) -> str:
    """For Slack's `mrkdwn`, and for its texts with `<…>` references."""
    return _ANGLES.sub(lambda found: _ENTITIES[found.group()], text)


def unescaped_slack(text: str) -> str:
    """The inverse of `slack`, for a plain text."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def html(text: str) -> str:
    """For HTML. An entity is not escaped again: the author may have used the filter `escape`."""
    return _HTML.sub(lambda found: _ENTITIES[found.group()], text)


def markdown_v2(text: str) -> str:
    """For Telegram's MarkdownV2."""
    return _MARKDOWN_V2.sub(r"\\\g<0>", text)


def markdown(text: str) -> str:
    """For Telegram's older Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def whatsapp(text: str) -> str:
    """For WhatsApp: an invisible character separates each mark that would format from its word."""
    text = _WHATSAPP_MARK.sub(lambda found: found.group(1) or _apart(found.group()), text)
    return _WHATSAPP_LINE.sub(lambda found: found.group() + ZERO_WIDTH_SPACE, text)


def _apart(marks: str) -> str:
    return ZERO_WIDTH_SPACE + "".join(mark + ZERO_WIDTH_SPACE for mark in marks)


_TELEGRAM: Final[dict[str, Escape]] = {"HTML": html, "MarkdownV2": markdown_v2, "Markdown": markdown}
