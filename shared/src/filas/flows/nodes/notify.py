"""`notify`: sends to a recipient other than the contact."""

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta

from filas.flows.nodes.message_content import ParseMode
from filas.flows.nodes.node_data import SendingData, Used
from filas.flows.problems import Add

Required = Annotated[str, Meta(min_length=1)]


class NotifyData(SendingData, frozen=True, kw_only=True):
    """Sends `text`, with `subject` if it is given, to the recipient `to` over `channel`. An e-mail also has `html`. The
    notification is not in the order of the conversation's own messages."""

    channel: Required
    to: Required
    text: Required
    subject: str | None = None
    html: str | None = None
    parse_mode: ParseMode | None = None
    thread: dict[str, str] | None = None

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("channel", self.channel), ("to", self.to), ("subject", self.subject), ("text", self.text))
        yield from (("html", self.html), ("thread", self.thread))

    def uses(self) -> Iterable[tuple[str, Used, str]]:
        yield "channel", "channel", self.channel

    def contents(self) -> Iterable[dict[str, Any]]:
        given = {"subject": self.subject, "html": self.html, "parseMode": self.parse_mode}
        yield {"type": "text", "text": self.text, **{name: text for name, text in given.items() if text is not None}}

    def check(self, add: Add) -> None:
        for field in ("channel", "to", "text"):
            if not getattr(self, field).strip():
                add(field, "is empty")
