"""The filters of a search for events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from filas.models.events import EventStatus
from filas.repository.postgres import paging

RARE_STATUSES: Final = frozenset({"received", "ignored", "failed"})
"""A status that few events have is stated literally, as in the condition of its index."""

OF_CONVERSATION: Final = "id in (select event_id from executions where conversation_id = {})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """The filters of a search; an event matches all that are given. It was received at `since` or later and before
    `until`, has an execution in the conversation, has each of `words` (see filas.repository.search.event_words), and
    names an address of the contact, which may be typed in any form. `first_run_only`: it was not replayed after it had
    been processed. `replay_of`: it repeats the request of this event with an edited body."""

    event_id: UUID | None = None
    webhook_id: str | None = None
    conversation_id: UUID | None = None
    status: EventStatus | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: Sequence[str] = ()
    contact: str | None = None
    first_run_only: bool = False
    replay_of: UUID | None = None

    @property
    def needs_words(self) -> bool:
        """Whether the words of events are compared."""
        return bool(self.words) or self.contact is not None


def conditions_of(wanted: EventFilter) -> paging.Filter:
    """The conditions on the columns of an event: all but those on its words."""
    search = rarest_conditions(wanted)
    search.add("webhook_id = {}", wanted.webhook_id)
    search.add("received_at >= {}", wanted.since)
    search.add("received_at < {}", wanted.until)
    search.add("run = {}", 0 if wanted.first_run_only else None)
    return search


def rarest_conditions(wanted: EventFilter) -> paging.Filter:
    """Those of the conditions that few events may match. An index finds the events that match them."""
    search = paging.Filter()
    search.add("id = {}", wanted.event_id)
    search.add(OF_CONVERSATION, wanted.conversation_id)
    search.add("status = {}", wanted.status)
    if wanted.status in RARE_STATUSES:
        search.require(f"status = '{wanted.status}'")
    search.add("reason = {}", wanted.reason)
    search.add("replay_of = {}", wanted.replay_of)
    return search


def may_be_few(wanted: EventFilter) -> bool:
    """Whether few events may match `rarest_conditions`."""
    return wanted.status in RARE_STATUSES or any(
        one is not None for one in (wanted.event_id, wanted.conversation_id, wanted.reason, wanted.replay_of)
    )
