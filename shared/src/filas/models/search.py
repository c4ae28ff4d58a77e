"""What a search finds for a text that a user has typed."""

from typing import Literal

import msgspec

from filas.models.conversations import Conversation
from filas.models.events import Event
from filas.models.record import Record

EntityKind = Literal[
    "event",
    "execution",
    "notification",
    "conversation",
    "contact",
    "dead-letter",
    "job",
    "flow",
    "webhook",
    "channel",
    "schedule",
]

TextKind = Literal["id", "contact", "words"]


class Entity(Record, frozen=True, kw_only=True):
    """Something that has the id that was typed."""

    kind: EntityKind
    id: str


class SearchResult(Record, frozen=True, kw_only=True):
    """What a text is, and what it finds.

    | `kind`    | the text is                                                | what it finds                      |
    |-----------|------------------------------------------------------------|------------------------------------|
    | `id`      | the id of a row or a job                                   | `entities`                         |
    | `contact` | a number or an e-mail address of a contact, however typed  | `conversations`, in pages          |
    | `words`   | anything else                                              | `events`, in pages; on the first   |
    |           |                                                            | page also `entities` (definitions) |
    |           |                                                            | and `conversations` with this name |
    """

    query: str
    kind: TextKind
    entities: list[Entity] = msgspec.field(default_factory=list)
    conversations: list[Conversation] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)
