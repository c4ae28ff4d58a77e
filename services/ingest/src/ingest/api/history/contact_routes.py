"""The route of contacts: shows one with its addresses and conversations."""

from typing import Any

from filas.models.contacts import ContactWithConversations
from ingest.api.routing.problems import not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Call, Query, Route


async def get_contact(call: Call[None, Query]) -> Answer:
    """Returns a contact with its aliases and conversations. The id of a merged contact leads to that one."""
    contact_id = parse_row_id("contact", call.path["id"])
    contact = await call.context.history.contacts.get(contact_id)
    if contact is None:
        raise not_found("contact", contact_id)
    return Answer(contact)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/contacts/{id}",
        handler=get_contact,
        role="viewer",
        summary="One contact with its aliases and conversations.",
        answer=ContactWithConversations,
        query=Query,
    ),
)
