"""What a search finds for a text that a user has typed."""

from datetime import datetime
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


class SearchState(Record, frozen=True, kw_only=True):
    """How far the index of the words in events has come. All events are searched; those that are not indexed only more
    slowly.

    | field           | meaning                                                                             |
    |-----------------|-------------------------------------------------------------------------------------|
    | `built`         | a process builds the index now                                                      |
    | `behind_s`      | the age of the oldest new event that is not indexed; 0 if all are                   |
    | `behind_events` | how many new events are not indexed, 10,000 at most                                 |
    | `indexed_until` | events that were received later are not indexed; None if nothing was indexed yet    |
    | `indexed_from`  | events that were received before are not indexed yet; None if all are               |
    | `events`        | how many events are indexed                                                         |
    | `segments`      | the parts of the index; a search reads as many at most                              |
    """

    built: bool
    behind_s: float
    behind_events: int
    indexed_until: datetime | None
    indexed_from: datetime | None
    events: int
    segments: int
