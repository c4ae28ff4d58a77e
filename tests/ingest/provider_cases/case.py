"""One documented event and what Filas makes of it."""

from dataclasses import dataclass, field
from typing import Any

from ingest.providers.message import Media

ANY: Any = object()
"""The data of a case that only states its kind and text."""


@dataclass(frozen=True)
class Case:
    """`kind`, `text`, `data` and `media` are those of the message that `document` contains."""

    name: str
    document: Any
    kind: str
    text: str | None = None
    data: Any = ANY
    media: Media | None = None
    contact: str | None = ANY
    more: dict[str, Any] = field(default_factory=dict)
