"""The routes of the API's own keys: list, create, revoke. The value of a key is in one answer only."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from filas.contract.identity import new_id
from filas.crypto import api_keys
from filas.errors import StoreUnavailable
from filas.models.access import RESERVED_NAMES, ApiKey, NewApiKey, Role
from filas.models.record import Record
from ingest.api.routing.moments import Moment
from ingest.api.routing.problems import conflict, invalid_field, not_found, parse_row_id
from ingest.api.routing.route_types import Answer, Body, Call, PageQuery, Query, Route

NAME_PATTERN = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?(?!\n)$"
"""1 to 100 characters, without control characters, and without blanks at its ends."""


class KeyBody(Body, frozen=True, kw_only=True):
    """A new key. Without `expiresAt`, it is valid until it is revoked."""

    name: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, description="Who or what uses it.")]
    role: Role
    expires_at: Moment | None = None


class CreatedKey(ApiKey, frozen=True, kw_only=True):
    """A new key with its value, which is not shown again."""

    key: str


class CurrentClient(Record, frozen=True, kw_only=True):
    """Who sent the request. `key_id` is null for FILAS_ADMIN_TOKEN."""

    name: str
    role: Role
    key_id: UUID | None
    expires_at: datetime | None


async def list_keys(call: Call[None, PageQuery]) -> Answer:
    """Lists all keys without their values, newest first."""
    page = await call.context.api_keys.list(call.query.cursor, call.query.limit)
    return Answer(page.items, page.next_cursor)


async def get_current_client(call: Call[None, Query]) -> Answer:
    """Returns who sent the request."""
    client = call.client
    key = None if client.key_id is None else await call.context.api_keys.get(client.key_id)
    expires_at = None if key is None else key.expires_at
    return Answer(CurrentClient(name=client.name, role=client.role, key_id=client.key_id, expires_at=expires_at))


async def create_key(call: Call[KeyBody, Query]) -> Answer:
    """Creates a key."""
    body, access = call.body, call.context.access
    if body.name in RESERVED_NAMES:
        raise invalid_field("name", f"{body.name!r} is who uses no key: give another name")
    value = api_keys.new_key()
    new = NewApiKey(
        id=new_id(),
        name=body.name,
        role=body.role,
        prefix=value[: api_keys.SHOWN],
        hash=access.hasher.hash(value),
        created_by=call.client.name,
        expires_at=_expiry(body),
    )
    call.audit.subject = f"keys/{new.id}"
    key = await call.audit.change(lambda: call.context.api_keys.create(new), after=lambda stored: stored)
    await _refresh(call)
    return Answer(CreatedKey(**msgspec.structs.asdict(key), key=value))


async def revoke_key(call: Call[None, Query]) -> Answer:
    """Revokes a key. This process refuses it at once, other processes within a second or two."""
    key_id = parse_row_id("key", call.path["id"])
    keys = call.context.api_keys

    async def revoke() -> ApiKey:
        revoked = await keys.revoke(key_id, call.client.name)
        if revoked is not None:
            return revoked
        if await keys.get(key_id) is None:
            raise not_found("key", key_id)
        raise conflict("the key is revoked already")

    key = await call.audit.change(revoke, before=lambda: keys.get(key_id), after=lambda revoked: revoked)
    await _refresh(call)
    return Answer(key)


def _expiry(body: KeyBody) -> datetime | None:
    if body.expires_at is None:
        return None
    try:
        expires_at = body.expires_at.astimezone(UTC)
    except OverflowError:
        raise invalid_field("expiresAt", "in UTC, the time is outside of the years 1 to 9999") from None
    if expires_at <= datetime.now(UTC):
        raise invalid_field("expiresAt", "the time is in the past")
    return expires_at


async def _refresh(call: Call[Any, Query]) -> None:
    # The change is stored. If Postgres has become unavailable since, the next refresh in the background finds it.
    with suppress(StoreUnavailable):
        await call.context.access.keys.refresh()


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/keys",
        handler=list_keys,
        role="admin",
        summary="The keys of the API without their values, newest first.",
        answer=list[ApiKey],
        query=PageQuery,
        paged=True,
    ),
    Route(
        method="GET",
        path="/keys/current",
        handler=get_current_client,
        role="viewer",
        summary="The key or the token of this request: its name and its role.",
        answer=CurrentClient,
        query=Query,
    ),
    Route(
        method="POST",
        path="/keys",
        handler=create_key,
        role="admin",
        summary="Create a key of the API. This answer is the only one that has its value.",
        answer=CreatedKey,
        query=Query,
        body=KeyBody,
        problems=(409,),
    ),
    Route(
        method="DELETE",
        path="/keys/{id}",
        handler=revoke_key,
        role="admin",
        summary="Revoke a key. It is refused within two seconds.",
        answer=ApiKey,
        query=Query,
        problems=(409,),
    ),
)
