"""The route that creates a sign-in link of the dashboard."""

from datetime import datetime
from typing import Any

from filas.models.record import Record
from ingest.access.sign_in_links import PATH
from ingest.api.routing.route_types import Answer, Call, Query, Route


class SignInLink(Record, frozen=True, kw_only=True):
    """A link that signs in its creator. `path` follows the address of the API; it contains a secret."""

    path: str
    expires_at: datetime


async def create_sign_in_link(call: Call[None, Query]) -> Answer:
    """Creates a link. It stores nothing: the use of the link is stored."""
    token, expires_at = call.context.access.sign_in_links.create(call.client)
    call.audit.after = {"expiresAt": expires_at}
    return Answer(SignInLink(path=f"{PATH}?once={token}", expires_at=expires_at))


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="POST",
        path="/sign-in-links",
        handler=create_sign_in_link,
        role="admin",
        summary="Create a link to the dashboard that signs you in once, within five minutes, on Filas's own machine.",
        answer=SignInLink,
        query=Query,
    ),
)
