"""`notify`: tells somebody other than the contact."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from filas.flows.nodes.node_data import FallibleData
from filas.flows.problems import Add

Required = Annotated[str, Meta(min_length=1)]


class NotifyData(FallibleData, frozen=True, kw_only=True):
    """Sends `text`, under `subject` where one is given, `to` somebody over a configured `channel`; an e-mail shows
    `html` in its place where it can. It waits for nobody: the conversation's own messages don't come after it."""

    channel: Required
    to: Required
    text: Required
    subject: str | None = None
    html: str | None = None

    def templates(self) -> Iterable[tuple[str, object]]:
        yield from (("channel", self.channel), ("to", self.to), ("subject", self.subject), ("text", self.text))
        yield "html", self.html

    def check(self, add: Add) -> None:
        for field in ("channel", "to", "text"):
            if not getattr(self, field).strip():
                add(field, "is empty")
