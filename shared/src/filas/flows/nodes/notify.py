"""`notify`: sends to a recipient other than the contact."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from filas.flows.nodes.message_content import ParseMode
from filas.flows.nodes.node_data import Part, SendingData, Used
from filas.flows.problems import Add

Required = Annotated[str, Meta(min_length=1)]


class Attachment(Part, frozen=True, kw_only=True):
    """A file of an e-mail, fetched from `url`. `name` is by default the last part of the address."""

    url: Required
    name: str | None = None
    content_type: str | None = None


Addresses = str | list[str]
"""One or several e-mail addresses: a text in which a comma separates them, or a list."""


class NotifyData(SendingData, frozen=True, kw_only=True):
    """Sends `text`, with `subject` if it is given, to the recipient `to` over `channel`. An e-mail also has `html`,
    copies, an address for answers, and attachments. The notification is not in the order of the conversation's own
    messages."""

    channel: Required
    to: Required
    text: Required
    subject: str | None = None
    html: str | None = None
    cc: Addresses | None = None
    bcc: Addresses | None = None
    reply_to: Addresses | None = None
    attachments: Annotated[list[Attachment], Meta(max_length=10)] | None = None
    parse_mode: ParseMode | None = None
    thread: dict[str, str] | None = None

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("channel", self.channel), ("to", self.to), ("subject", self.subject), ("text", self.text))
        yield from (("html", self.html), ("thread", self.thread))
        yield from (("cc", self.cc), ("bcc", self.bcc), ("replyTo", self.reply_to))
        for index, one in enumerate(self.attachments or ()):
            yield from ((f"attachments[{index}].url", one.url), (f"attachments[{index}].name", one.name))

    def uses(self) -> Iterable[tuple[str, Used, str]]:
        yield "channel", "channel", self.channel

    def contents(self) -> Iterable[dict[str, Any]]:
        given: dict[str, Any] = {"subject": self.subject, "html": self.html, "parseMode": self.parse_mode}
        given |= {"cc": self.cc, "bcc": self.bcc, "replyTo": self.reply_to}
        if self.attachments:
            files = [msgspec.to_builtins(one) for one in self.attachments]
            given["attachments"] = [{name: text for name, text in file.items() if text is not None} for file in files]
        yield {"type": "text", "text": self.text, **{name: text for name, text in given.items() if text is not None}}

    def check(self, add: Add) -> None:
        for field in ("channel", "to", "text"):
            if not getattr(self, field).strip():
                add(field, "is empty")
