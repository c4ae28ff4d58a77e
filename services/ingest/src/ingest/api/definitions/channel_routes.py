"""The routes of channels. Secrets are encrypted when a channel is stored and masked in answers."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from filas.contract.channel_circuits import CircuitStatus
from filas.errors import StoreUnavailable
from filas.models.configuration import Channel
from filas.queue.channel_circuits import ChannelCircuits
from filas.repository.diagnosis import DiagnosisRepository
from ingest.api.definitions.channel_fields import (
    SECRET_FIELDS,
    SHOWN_FIELDS,
    TYPES,
    ChannelBody,
    ChannelDelivery,
    check,
)
from ingest.api.definitions.references import DeleteQuery, delete_unused
from ingest.api.definitions.secret_masking import masked, sealed
from ingest.api.routing.api_context import ApiContext
from ingest.api.routing.identifiers import Deleted, definition_id, existing_id
from ingest.api.routing.problems import invalid_field, not_found
from ingest.api.routing.route_types import Answer, Call, PageQuery, Query, Route

DAY_S: Final = 86_400.0


def shown(
    channel: Channel, circuit: CircuitStatus | None = None, delivery: ChannelDelivery | None = None
) -> dict[str, Any]:
    """Returns the channel as an answer shows it: the fields of its type, its id and revision, secrets masked.

    Of a type that a newer version has stored, every text is masked, because it may be a secret.
    """
    secret_fields = SECRET_FIELDS.get(channel.type, ()) if channel.type in TYPES else channel.config
    config = {
        name: masked(value) if name in secret_fields and isinstance(value, str) else value
        for name, value in channel.config.items()
    }
    return {
        "id": channel.id,
        "type": channel.type,
        **config,
        "revision": channel.revision,
        "createdAt": channel.created_at,
        "updatedAt": channel.updated_at,
        "circuit": circuit,
        "delivery": delivery,
    }


async def circuits(call: Call[None, Any], channels: Sequence[Channel]) -> list[CircuitStatus | None]:
    """Returns the circuit of each channel; None for each while Redis is unavailable."""
    try:
        return list(await ChannelCircuits(call.context.redis).status_many([channel.id for channel in channels]))
    except StoreUnavailable:
        return [None] * len(channels)


async def deliveries(context: ApiContext) -> dict[str, ChannelDelivery]:
    """Returns the messages of each channel that has some that wait or failed in the last day."""
    # The role that reads has no right to the table of channels.
    rows = DiagnosisRepository(context.database)
    found = {
        one.channel_id: ChannelDelivery(waiting=one.count, waiting_since=one.since, error=one.error)
        for one in await rows.waiting_by_channel()
    }
    for failed in await rows.failed_by_channel(DAY_S):
        before = found.get(failed.channel_id, ChannelDelivery())
        found[failed.channel_id] = msgspec.structs.replace(
            before, failed=failed.count, failed_at=failed.last, error=before.error or failed.error
        )
    return found


def check_type(document: Any) -> None:
    """Raises the 422 that lists the types, for a body of none of them."""
    if isinstance(document, dict) and document.get("type") not in TYPES:
        raise invalid_field("type", f"the known types are {', '.join(TYPES)}")


async def put_channel(call: Call[ChannelBody, Query]) -> Answer:
    """Creates or replaces a channel."""
    body = call.body
    channel_id = definition_id(call.path["id"], body.id)
    check(body)
    fields: dict[str, Any] = msgspec.to_builtins(body)
    stated_type: str = fields["type"]
    config = {name: value for name, value in fields.items() if name not in SHOWN_FIELDS and value is not None}
    secret_fields = [name for name in SECRET_FIELDS.get(stated_type, ()) if name in config]
    channels = call.context.channels
    stored = await channels.get(channel_id) if secret_fields else None
    for name in secret_fields:
        before = stored.config.get(name) if stored is not None else None
        config[name] = sealed(call.context.secret_box, name, config[name], before)
    new = Channel(id=channel_id, type=stated_type, config=config)
    channel = await call.audit.change(
        lambda: channels.store(new), before=lambda: _before(call, channel_id), after=shown
    )
    await call.context.configuration_changed()
    return Answer(shown(channel))


async def get_channel(call: Call[None, Query]) -> Answer:
    """Returns a channel with its secrets masked, its circuit (null while Redis is unavailable), and its messages."""
    channel_id = existing_id("channel", call.path["id"])
    channel = await call.context.channels.get(channel_id)
    if channel is None:
        raise not_found("channel", channel_id)
    [circuit] = await circuits(call, [channel])
    found = await deliveries(call.context)
    return Answer(shown(channel, circuit, found.get(channel_id, ChannelDelivery())))


async def delete_channel(call: Call[None, DeleteQuery]) -> Answer:
    """Deletes a channel, unless a webhook, a schedule, a flow or an alert refers to it. Its unsent notifications
    fail."""
    channel_id = existing_id("channel", call.path["id"])

    channels = call.context.channels

    async def delete() -> bool:
        return await delete_unused(
            call.context, "channel", channel_id, lambda: channels.delete(channel_id), force=call.query.force
        )

    if not await call.audit.change(delete, before=lambda: _before(call, channel_id)):
        raise not_found("channel", channel_id)
    await call.context.configuration_changed()
    return Answer(Deleted(id=channel_id))


async def _before(call: Call[Any, Any], channel_id: str) -> dict[str, Any] | None:
    channel = await call.context.channels.get(channel_id)
    return None if channel is None else shown(channel)


async def list_channels(call: Call[None, PageQuery]) -> Answer:
    """List channels by id, each with the state of its circuit and its messages."""
    page = await call.context.channels.list(call.query.cursor, call.query.limit)
    states = await circuits(call, page.items)
    found = await deliveries(call.context)
    items = [
        shown(channel, circuit, found.get(channel.id, ChannelDelivery()))
        for channel, circuit in zip(page.items, states, strict=True)
    ]
    return Answer(items, page.next_cursor)


ROUTES: tuple[Route[Any, Any], ...] = (
    Route(
        method="GET",
        path="/channels",
        handler=list_channels,
        role="viewer",
        summary="The channels, their secrets masked, and the state of their circuits.",
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
        summary="One channel, its secrets masked, and the state of its circuit.",
        answer=ChannelBody,
        query=Query,
    ),
    Route(
        method="DELETE",
        path="/channels/{id}",
        handler=delete_channel,
        role="admin",
        summary="Delete a channel, unless other definitions refer to it.",
        answer=Deleted,
        query=DeleteQuery,
        problems=(409,),
    ),
)
