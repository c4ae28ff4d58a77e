"""Channels: where messages go. Their secrets are sealed when they are put and masked when they are shown."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from filas.models import Channel
from ingest.api.identifiers import Deleted, Identifier, known, to_store
from ingest.api.refusals import absent, invalid_field
from ingest.api.sealing import MASK, masked, names_variable, sealed
from ingest.api.table import Answer, Body, Call, PageQuery, Query, Route


class _Shown(Body, frozen=True, kw_only=True):
    """What an answer shows besides the type's own fields. A PUT may send it back; it changes nothing."""

    id: Identifier | None = None
    revision: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class HttpChannel(_Shown, frozen=True, kw_only=True, tag="http", tag_field="type"):
    """Each message is a POST to `url`, signed by Standard Webhooks with `secret` (`whsec_…` or `env:NAME`)."""

    url: Annotated[str, msgspec.Meta(max_length=2048)]
    secret: Annotated[str, msgspec.Meta(max_length=1024)]


class ConsoleChannel(_Shown, frozen=True, kw_only=True, tag="console", tag_field="type"):
    """Each message is printed in the notifier's log."""


ChannelBody = HttpChannel | ConsoleChannel
TYPES = ("console", "http")
SECRET_FIELDS: dict[str, tuple[str, ...]] = {"http": ("secret",)}
_SHOWN_FIELDS = frozenset({"id", "type", "revision", "createdAt", "updatedAt"})


def shown(channel: Channel) -> dict[str, Any]:
    """The channel as an answer shows it: its type's fields beside its id, secrets masked."""
    secret_fields = SECRET_FIELDS.get(channel.type, ())
    config = {name: masked(value) if name in secret_fields else value for name, value in channel.config.items()}
    return {
        "id": channel.id,
        "type": channel.type,
        **config,
        "revision": channel.revision,
        "createdAt": channel.created_at,
        "updatedAt": channel.updated_at,
    }


def check_type(document: Any) -> None:
    """422 naming the known types where the body is of none of them."""
    if isinstance(document, dict) and document.get("type") not in TYPES:
        raise invalid_field("type", f"the known types are {', '.join(TYPES)}")


async def put_channel(call: Call[ChannelBody, Query]) -> Answer:
    """Create or replace a channel."""
    body = call.body
    channel_id = to_store(call.path["id"], body.id)
    if isinstance(body, HttpChannel):
        _check_http(body)
    fields: dict[str, Any] = msgspec.to_builtins(body)
    stated_type: str = fields["type"]
    config = {name: value for name, value in fields.items() if name not in _SHOWN_FIELDS}
    secret_fields = SECRET_FIELDS.get(stated_type, ())
    stored = await call.context.channels.get(channel_id) if secret_fields else None
    for name in secret_fields:
        before = stored.config.get(name) if stored is not None else None
        config[name] = sealed(call.context.secret_box, name, config[name], before)
    channel = await call.context.channels.put(Channel(id=channel_id, type=stated_type, config=config))
    await call.context.configuration_changed()
    return Answer(shown(channel))


def _check_http(channel: HttpChannel) -> None:
    try:
        address = urlsplit(channel.url)
        complete = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        complete = False
    if not complete or not channel.url.isprintable() or " " in channel.url:
        raise invalid_field("url", "needs an absolute http or https address, such as https://example.com/messages")
    if address.username is not None or address.password is not None:
        raise invalid_field("url", "may not carry a user name or password: the secret has a field of its own")
    if channel.secret == MASK or names_variable(channel.secret):
        return
    try:
        key = base64.b64decode(channel.secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not channel.secret.startswith("whsec_") or len(key) < 16:
        raise invalid_field("secret", "needs `whsec_` followed by at least 16 bytes in base64, or `env:NAME`")


async def get_channel(call: Call[None, Query]) -> Answer:
    """Show a channel, its secrets masked."""
    channel_id = known("channel", call.path["id"])
    channel = await call.context.channels.get(channel_id)
    if channel is None:
        raise absent("channel", channel_id)
    return Answer(shown(channel))


async def delete_channel(call: Call[None, Query]) -> Answer:
    """Remove a channel. Messages still to be sent over it fail."""
    channel_id = known("channel", call.path["id"])
    if not await call.context.channels.delete(channel_id):
        raise absent("channel", channel_id)
    await call.context.configuration_changed()
    return Answer(Deleted(id=channel_id))


async def list_channels(call: Call[None, PageQuery]) -> Answer:
    """List channels by id."""
    page = await call.context.channels.list(call.query.cursor, call.query.limit)
    return Answer([shown(channel) for channel in page.items], page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/channels",
        handler=list_channels,
        role="viewer",
        summary="The channels.",
        answer=list[ChannelBody],
        query=PageQuery,
        paged=True,
    ),
    Route(
        method="PUT",
        path="/channels/{id}",
        handler=put_channel,
        role="admin",
        summary="Create or replace a channel. `***` keeps a stored secret.",
        answer=ChannelBody,
        body=ChannelBody,
        precheck=check_type,
        query=Query,
    ),
    Route(
        method="GET",
        path="/channels/{id}",
        handler=get_channel,
        role="viewer",
        summary="One channel, its secrets masked.",
        answer=ChannelBody,
        query=Query,
    ),
    Route(
        method="DELETE",
        path="/channels/{id}",
        handler=delete_channel,
        role="admin",
        summary="Remove a channel.",
        answer=Deleted,
        query=Query,
    ),
)
