"""The routes of conversations: search, and show one as a thread."""

from typing import Annotated, Any

import msgspec

from filas.models.conversations import Conversation, ConversationThread
from filas.repository.conversations.conversation_repository import ConversationFilter
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, PageQuery, Route, Word


class ConversationsQuery(PageQuery, frozen=True, kw_only=True):
    """Filters of the list of conversations. A conversation must match all of them."""

    contact: Annotated[
        Word | None,
        msgspec.Meta(description="A contact's address in any form, or the last 7 digits of a number or more."),
    ] = None
    channel: Word | None = None
    text: Annotated[Word | None, msgspec.Meta(description="One message has every one of these words.")] = None


async def list_conversations(call: Call[None, ConversationsQuery]) -> Answer:
    """Lists conversations, those with the newest execution first."""
    query = call.query
    wanted = ConversationFilter(
        contact=query.contact or None, channel=query.channel, words=tuple((query.text or "").split())
    )
    page = await call.context.history.conversations.search(wanted, cursor=query.cursor, limit=query.limit)
    return Answer(page.items, page.next_cursor)


async def get_conversation(call: Call[None, PageQuery]) -> Answer:
    """Returns a conversation with its messages. The id of a merged conversation leads to the one that it is a part
    of."""
    conversation_id = parse_row_id("conversation", call.path["id"])
    found = await call.context.history.conversations.get(
        conversation_id, cursor=call.query.cursor, limit=call.query.limit
    )
    if found is None:
        raise not_found("conversation", conversation_id)
    return Answer(*found)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/conversations",
        handler=list_conversations,
        role="viewer",
        summary="Conversations, those with the newest execution first. A page may be short although more follow.",
        answer=list[Conversation],
        query=ConversationsQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/conversations/{id}",
        handler=get_conversation,
        role="viewer",
        summary="A conversation with its messages (in pages, the newest first), executions and open waits.",
        answer=ConversationThread,
        query=PageQuery,
        paged=True,
    ),
)
