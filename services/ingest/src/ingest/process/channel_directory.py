"""Which channel answers a message: the one of our own number that received it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from filas.contacts.phone_numbers import number_of
from filas.models.configuration import Channel

FRESH_S: Final = 1.0
"""How many seconds a read is used for: a change of a channel takes effect within this time."""

WHATSAPP: Final = "whatsapp"
_NUMBER_FIELDS: Final = {WHATSAPP: "phoneNumberId", "twilio": "from"}


class ChannelSource(Protocol):
    """The table of channels (`ChannelRepository`)."""

    async def changed_since(self, revision: int) -> tuple[list[Channel], list[str], int]:
        """Returns the channels stored and the ids deleted after `revision` (0: all), and the next revision."""


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """The type of a channel, and our own number from which it sends; None if its configuration names none."""

    channel_type: str
    number: str | None


@dataclass(frozen=True, slots=True)
class AnsweringChannel:
    """The channel that answers. `account` is our own number if the channel does not determine it."""

    channel: str
    channel_type: str | None
    account: str | None = None


class ChannelDirectory:
    """The types and own numbers of the channels, as they were at most FRESH_S seconds ago."""

    def __init__(self, source: ChannelSource, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._channels: dict[str, OwnNumber] = {}
        self._revision = 0
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Reads the channels that have changed, if the last read is too old. Raises StoreUnavailable."""
        if self._read_at > self._clock() - FRESH_S:
            return
        async with self._reading:
            if self._read_at > self._clock() - FRESH_S:
                return
            begun_at = self._clock()
            changed, deleted, self._revision = await self._source.changed_since(self._revision)
            for channel in changed:
                self._channels[channel.id] = OwnNumber(channel.type, _own_number(channel.type, channel.config))
            for channel_id in deleted:
                self._channels.pop(channel_id, None)
            self._read_at = begun_at

    def answering(self, channel: str, provider_channel: str | None, account: str | None) -> AnsweringChannel:
        """The channel that answers a message to our number `account`. `channel` is what the rule or the provider names.

        A channel with this number answers, also if another one is named. A channel of a type without own numbers
        (`http`, `console`) remains. WhatsApp is never answered from another number: if no channel has the number, the
        answer fails, because the channel `<channel>-<number>` does not exist.
        """
        known = self._channels.get(channel)
        channel_type = known.channel_type if known is not None else None
        if account is None or provider_channel not in _NUMBER_FIELDS:
            return AnsweringChannel(channel, channel_type)
        if known is not None and known.channel_type != provider_channel:
            return AnsweringChannel(channel, channel_type, account)
        if known is not None and _same(known.number, account):
            return AnsweringChannel(channel, channel_type)
        other = self._of_number(provider_channel, account)
        if other is not None:
            return AnsweringChannel(other, provider_channel)
        if known is not None and provider_channel == WHATSAPP:
            return AnsweringChannel(f"{channel}-{account}", provider_channel)
        return AnsweringChannel(channel, channel_type, account)

    def _of_number(self, channel_type: str, account: str) -> str | None:
        found = [
            (own.number != account, channel)
            for channel, own in self._channels.items()
            if own.channel_type == channel_type and _same(own.number, account)
        ]
        return min(found)[1] if found else None


def _own_number(channel_type: str, config: dict[str, Any]) -> str | None:
    value = config.get(_NUMBER_FIELDS.get(channel_type, ""))
    return value if isinstance(value, str) and value else None


def _same(number: str | None, account: str) -> bool:
    """Whether a channel's number is the one that a provider reports: `whatsapp:+55…` and `+55…` are the same."""
    if number is None:
        return False
    return number == account or (number_of(number) or number) == (number_of(account) or account)
