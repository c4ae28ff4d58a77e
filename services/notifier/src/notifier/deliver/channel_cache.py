"""The channels as they are configured now: cached, at most a second old, their secrets revealed."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from filas.contract.channel_circuits import ChannelLimits
from filas.errors import PermanentError, SecretUnreadable
from filas.models import configuration
from filas.observability import logs
from notifier.channels.channel import Channel, Tools, WrongConfiguration
from notifier.channels.channel_types import ChannelType

FRESH_S = 1.0
"""How long what was read is good for: a change of a channel is obeyed within this time."""

MAX_RATE = 10_000

log = logs.get_logger(__name__)


class ChannelSource(Protocol):
    """Where channels are stored (`ChannelRepository`)."""

    async def changed_since(self, revision: int) -> tuple[list[configuration.Channel], list[str], int]:
        """What was put and the ids deleted after `revision` (0: all), and the revision to ask from next time."""


class ChannelUnusable(PermanentError):
    """No channel of that id, or one that can't be used. The message names it and says why."""

    kind = "channel"


class KnownChannel(msgspec.Struct, frozen=True):
    """A channel ready for use, the name of its type, and how much it takes."""

    type: str
    channel: Channel
    limits: ChannelLimits = ChannelLimits()


class ChannelDirectory:
    """Finds channels by id.

    `reveal` turns a stored secret into the secret, or raises SecretUnreadable. `clock` gives seconds that only
    grow.
    """

    def __init__(
        self,
        source: ChannelSource,
        types: Mapping[str, ChannelType],
        tools: Tools,
        reveal: Callable[[str], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._types = types
        self._tools = tools
        self._reveal = reveal
        self._clock = clock
        self._known: dict[str, KnownChannel | ChannelUnusable] = {}
        self._revision = 0
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, channel_id: str) -> KnownChannel:
        """The channel as it was at most FRESH_S ago.

        Raises ChannelUnusable, and StoreUnavailable when the channels can't be read.
        """
        asked_at = self._clock()
        await self._read_unless_newer_than(asked_at - FRESH_S)
        if not isinstance(self._known.get(channel_id), KnownChannel):
            # It may have been put, or put right, since: a message isn't given up on old knowledge.
            await self._read_unless_newer_than(asked_at)
        found = self._known.get(channel_id)
        if found is None:
            raise ChannelUnusable(f"there is no channel {channel_id!r}")
        if isinstance(found, ChannelUnusable):
            raise ChannelUnusable(str(found))
        return found

    async def ids(self) -> list[str]:
        """The channels that could be used at most FRESH_S ago. Raises StoreUnavailable."""
        await self._read_unless_newer_than(self._clock() - FRESH_S)
        return [channel_id for channel_id, known in self._known.items() if isinstance(known, KnownChannel)]

    async def _read_unless_newer_than(self, moment: float) -> None:
        if self._read_at > moment:
            return
        async with self._reading:
            if self._read_at > moment:
                return
            begun_at = self._clock()
            changed, deleted, self._revision = await self._source.changed_since(self._revision)
            for channel in changed:
                self._known[channel.id] = self._open(channel)
            for channel_id in deleted:
                self._known.pop(channel_id, None)
            self._read_at = begun_at

    def _open(self, channel: configuration.Channel) -> KnownChannel | ChannelUnusable:
        kind = self._types.get(channel.type)
        if kind is None:
            return ChannelUnusable(f"the channel {channel.id!r} has the unknown type {channel.type!r}")
        try:
            config = {
                name: self._revealed(value) if name in kind.secret_fields else value
                for name, value in channel.config.items()
            }
            limits = ChannelLimits(
                per_second=_rate(config, "rate", kind.limits.per_second),
                per_recipient=_rate(config, "receiverRate", kind.limits.per_recipient),
            )
            return KnownChannel(channel.type, kind.build(config, self._tools), limits)
        except (SecretUnreadable, WrongConfiguration) as error:
            log.warning("channel.unusable", channel_id=channel.id, type=channel.type, reason=str(error))
            return ChannelUnusable(f"the channel {channel.id!r} can't be used: {error}")

    def _revealed(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._revealed(item) for item in value]
        return self._reveal(value) if isinstance(value, str) else value


def _rate(config: dict[str, Any], field: str, default: float) -> float:
    """The rate that the field names, taken out of `config`. Raises WrongConfiguration."""
    rate = config.pop(field, None)
    if rate is None:
        return default
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= MAX_RATE:
        raise WrongConfiguration(f"`{field}` is a number of messages a second, from 0 (no limit) to {MAX_RATE}")
    return float(rate)
