"""The channel `console`: prints each message in the log of the notifier. For the demo and for trying flows."""

from collections.abc import Mapping
from typing import Any

from filas.channels import choice_lines
from filas.observability import logs
from notifier.channels.channel import Delivered, OutgoingMessage, PrintLine, Result, TemporaryFailure, Tools

SECRET_FIELDS: tuple[str, ...] = ()

log = logs.get_logger(__name__)


class ConsoleChannel:
    """Prints `To: <contact> | <text>`, one line per message, whatever the text contains."""

    def __init__(self, print_line: PrintLine) -> None:
        self._print_line = print_line

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        line = f"To: {one_line(message.to)} | {one_line(as_text(message.content))}"
        try:
            self._print_line(line)
        except OSError as error:
            return TemporaryFailure(reason=f"the output cannot be written: {error.strerror}", kind="communication")
        # The log records that a message was printed, but not its text.
        log.info("console.message_printed", notification_id=str(message.id))
        return Delivered()


def build(_config: dict[str, Any], tools: Tools) -> ConsoleChannel:
    """Returns the channel. It has no configuration."""
    return ConsoleChannel(tools.print_line)


def as_text(content: Mapping[str, Any]) -> str:
    """Returns the content as text; what a terminal cannot show is named in brackets."""
    subject, text = content.get("subject"), content.get("text")
    parts = [f"[{subject}]"] if subject else []
    if text:
        parts.append(str(text))
    if content.get("type") == "media":
        parts.append(f"[{content.get('kind')}] {content.get('url')}")
        parts += [str(content["caption"])] if content.get("caption") else []
    elif content.get("type") == "template":
        parts.append(f"[template {content.get('name')}, {content.get('language')}]")
    parts += [f"[{_shown(choice)}]" for choice in [*_items(content.get("buttons")), *choice_lines.rows(content)]]
    return " ".join(parts)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(choice: Any) -> str:
    if not isinstance(choice, Mapping):
        return str(choice)
    return f"{choice.get('title')}: {choice['url']}" if choice.get("url") else str(choice.get("title"))


def one_line(text: str) -> str:
    """Returns `text` with control characters escaped: it comes from outside, and a terminal would execute them."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
