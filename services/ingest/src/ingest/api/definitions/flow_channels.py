"""The channels that a flow sends over, looked up when the flow is stored."""

from typing import Protocol

from filas.flows.checks.channel_limits import KnownChannels
from filas.models.configuration import Channel, Webhook


class ChannelChanges(Protocol):
    """The definitions of channels (`ChannelRepository`)."""

    async def changed_since(self, revision: int, /) -> tuple[list[Channel], list[str], int]:
        """Returns the channels stored after `revision` (0: all). Raises StoreUnavailable."""


class WebhookChanges(Protocol):
    """The definitions of webhooks (`WebhookRepository`)."""

    async def changed_since(self, revision: int, /) -> tuple[list[Webhook], list[str], int]:
        """Returns the webhooks stored after `revision` (0: all). Raises StoreUnavailable."""


async def known_channels(flow_id: str, channels: ChannelChanges, webhooks: WebhookChanges) -> KnownChannels:
    """Returns the types of all channels, and the channels that the webhooks of the flow name without a template.
    Raises StoreUnavailable."""
    stored, _, _ = await channels.changed_since(0)
    sources, _, _ = await webhooks.changed_since(0)
    named = {one.conversation.channel for one in sources if one.flow_id == flow_id and one.conversation is not None}
    literal = {name for name in named if name is not None and "{{" not in name and "{%" not in name}
    return KnownChannels({channel.id: channel.type for channel in stored}, literal)
