"""The routes of the search: what a typed text is and finds."""

import re
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from filas.contacts.phone_numbers import number_of
from filas.contacts.typed_contact import MIN_LAST_DIGITS
from filas.contract import policies
from filas.models.record import Page
from filas.models.search import Entity, SearchResult, SearchState
from filas.repository.conversations.conversation_repository import ConversationFilter
from filas.repository.event_filter import EventFilter
from filas.repository.search.index_state import read_search_state
from ingest.api.routing.problems import invalid_field
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route, Word

_UUID: Final = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
NAMED: Final = 10
"""How many conversations are found beside the events for a text that is no number and no e-mail address."""


class SearchQuery(PageQuery, frozen=True, kw_only=True):
    """What was typed."""

    q: Annotated[Word, msgspec.Meta(description="An id, an address of a contact in any form, or words.")]


async def search(call: Call[None, SearchQuery]) -> Answer:
    """States what a text is: an id, an address of a contact, or words; and what it finds.

    An address without a conversation, and an id that does not exist, are searched as words.
    """
    typed = call.query.q.strip()
    if not typed:
        raise invalid_field("q", "must contain an id, an address or words")
    entities = await _with_id(call, typed)
    if entities:
        return Answer(SearchResult(query=typed, kind="id", entities=entities))
    if _is_address(typed):
        page = await _conversations(call, typed, call.query.limit, call.query.cursor)
        if page.items or (call.query.cursor and (await _conversations(call, typed, 1)).items):
            return Answer(SearchResult(query=typed, kind="contact", conversations=page.items), page.next_cursor)
    wanted = EventFilter(contact=typed) if _is_address(typed) else EventFilter(words=typed.split())
    events = await call.context.history.events.search(wanted, cursor=call.query.cursor, limit=call.query.limit)
    is_first = call.query.cursor is None
    found = SearchResult(
        query=typed,
        kind="words",
        entities=await call.context.entities.definitions(typed) if is_first else [],
        conversations=(await _conversations(call, typed, NAMED)).items if is_first else [],
        events=events.items,
    )
    return Answer(found, events.next_cursor)


async def _with_id(call: Call[None, SearchQuery], typed: str) -> list[Entity]:
    """The rows with this id, or the job."""
    if _UUID.fullmatch(typed):
        return await call.context.history.entities.rows(UUID(typed))
    for policy in policies.QUEUES:
        if typed.startswith(policy.job_id("")) and await call.context.stats.job(policy, typed) is not None:
            return [Entity(kind="job", id=typed)]
    return []


def _is_address(typed: str) -> bool:
    number = number_of(typed)
    return (number is not None and len(number) >= MIN_LAST_DIGITS) or _EMAIL.fullmatch(typed) is not None


async def _conversations(call: Call[None, SearchQuery], typed: str, limit: int, cursor: str | None = None) -> Page:
    wanted = ConversationFilter(contact=typed)
    return await call.context.history.conversations.search(wanted, cursor=cursor, limit=limit)


async def show_search_state(call: Call[None, Query]) -> Answer:
    """Returns how far the index of the words in events is behind."""
    return Answer(await read_search_state(call.context.read_database))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/search",
        handler=search,
        role="viewer",
        summary="What a typed text is (an id, an address, words), and what it finds.",
        answer=SearchResult,
        query=SearchQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/search/state",
        handler=show_search_state,
        role="viewer",
        summary="How far the index of the words in events has come.",
        answer=SearchState,
        query=Query,
    ),
)
