"""The configured channels, cached for at most a second, with their secrets decrypted."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from filas.contract.channel_circuits import ChannelLimits
from filas.contract.channel_retry import ChannelRetry
from filas.errors import NewerVersionRequired, PermanentError, SecretOfNewerVersion, SecretUnreadable
from filas.models import configuration
from filas.observability import logs
from notifier.channels.channel import Channel, InvalidConfiguration, Tools
from notifier.channels.channel import configuration as configuration_of
from notifier.channels.channel_types import ChannelType

FRESH_S = 1.0
"""How many seconds a read is used for: a change of a channel takes effect within this time."""

MAX_RATE = 10_000

log = logs.get_logger(__name__)


class ChannelSource(Protocol):
    """The table of channels (`ChannelRepository`)."""

    async def changed_since(self, revision: int) -> tuple[list[configuration.Channel], list[str], int]:
        """Returns the channels stored and the ids deleted after `revision` (0: all), and the next revision."""


class ChannelUnusable(PermanentError):
    """There is no channel of that id, or it cannot be used. The message names the channel and the reason."""

    kind = "channel"


class ChannelOfNewerVersion(NewerVersionRequired):
    """Only a newer version can use the channel: its type, or a field of it, is not known here."""


class KnownChannel(msgspec.Struct, frozen=True):
    """A channel that is ready for use, the name of its type, its rate limits and its retries."""

    type: str
    channel: Channel
    limits: ChannelLimits = ChannelLimits()
    retry: ChannelRetry = ChannelRetry()


class ChannelCache:
    """Finds channels by id.

    `reveal` decrypts a stored secret, or raises SecretUnreadable. `clock` returns monotonic seconds.
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
        self._known: dict[str, KnownChannel | ChannelUnusable | ChannelOfNewerVersion] = {}
        self._revision = 0
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, channel_id: str) -> KnownChannel:
        """Returns the channel as it was at most FRESH_S seconds ago.

        Raises ChannelUnusable, ChannelOfNewerVersion, and StoreUnavailable if the channels cannot be read.
        """
        asked_at = self._clock()
        await self._read_unless_newer_than(asked_at - FRESH_S)
        if not isinstance(self._known.get(channel_id), KnownChannel):
            # The channel may have been stored or corrected since then. A message does not fail because of an old read.
            await self._read_unless_newer_than(asked_at)
        found = self._known.get(channel_id)
        if found is None:
            raise ChannelUnusable(f"there is no channel {channel_id!r}")
        if isinstance(found, ChannelUnusable):
            raise ChannelUnusable(str(found))
        if isinstance(found, ChannelOfNewerVersion):
            raise ChannelOfNewerVersion(str(found))
        return found

    async def ids(self) -> list[str]:
        """Returns the ids of all channels that were usable at most FRESH_S seconds ago. Raises StoreUnavailable."""
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

    def _open(self, channel: configuration.Channel) -> KnownChannel | ChannelUnusable | ChannelOfNewerVersion:
        if channel.type == configuration.UNREADABLE:
            return ChannelUnusable(f"the channel {channel.id!r} cannot be used: its definition is invalid")
        kind = self._types.get(channel.type)
        if kind is None:
            return ChannelOfNewerVersion(f"the channel {channel.id!r} has the unknown type {channel.type!r}")
        try:
            config = {
                name: self._revealed(value) if name in kind.secret_fields else value
                for name, value in channel.config.items()
            }
            limits = ChannelLimits(
                per_second=_rate(config, "rate", kind.limits.per_second),
                per_recipient=_rate(config, "receiverRate", kind.limits.per_recipient),
            )
            retry = configuration_of(config.pop("retry", None) or {}, ChannelRetry)
            return KnownChannel(channel.type, kind.build(config, self._tools), limits, retry)
        except (NewerVersionRequired, SecretOfNewerVersion) as error:
            return ChannelOfNewerVersion(f"the channel {channel.id!r} needs a newer version: {error}")
        except (SecretUnreadable, InvalidConfiguration) as error:
            log.warning("channel.unusable", channel_id=channel.id, type=channel.type, reason=str(error))
            return ChannelUnusable(f"the channel {channel.id!r} cannot be used: {error}")
        except Exception as error:  # whatever is wrong with one channel, the others stay in use
            # The message of an unknown error may contain a secret.
            log.error("channel.unusable", channel_id=channel.id, type=channel.type, reason=type(error).__name__)
            return ChannelUnusable(f"the channel {channel.id!r} cannot be used: its definition is invalid")

    def _revealed(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._revealed(item) for item in value]
        return self._reveal(value) if isinstance(value, str) else value


def _rate(config: dict[str, Any], field: str, default: float) -> float:
    """Removes the field from `config` and returns its rate, or `default`. Raises InvalidConfiguration."""
    rate = config.pop(field, None)
    if rate is None:
        return default
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= MAX_RATE:
        raise InvalidConfiguration(
            f"`{field}` must be a number of messages per second, from 0 (no limit) to {MAX_RATE}"
        )
    return float(rate)
