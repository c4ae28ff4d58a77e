"""How flow-runner learns the types of channels."""

import asyncio

from filas.models.configuration import Channel
from flow_runner.stores.channel_types import ChannelTypes
from tests.waiting import eventually


class Source:
    """Channels that a test has stored. Each read takes until `release` is set."""

    def __init__(self) -> None:
        self.stored: dict[str, Channel] = {}
        self.reads = 0
        self.release = asyncio.Event()

    async def changed_since(self, revision: int) -> tuple[list[Channel], list[str], int]:
        self.reads += 1
        found = list(self.stored.values())
        await self.release.wait()
        return found, [], revision + 1


def _channel(channel_id: str) -> Channel:
    return Channel(id=channel_id, type="slack", config={})


async def test_all_who_ask_at_once_share_one_read() -> None:
    source = Source()
    types = ChannelTypes(source, lambda: 0.0)
    source.stored["one"] = _channel("one")
    source.release.set()
    asked = await asyncio.gather(*(types.type_of(name) for name in ("one", "demo", "demo", "one") * 10))
    assert asked == ["slack", None, None, "slack"] * 10
    assert source.reads == 1


async def test_a_new_channel_is_used_at_once() -> None:
    source = Source()
    types = ChannelTypes(source, lambda: 0.0)
    first = asyncio.create_task(types.type_of("new"))
    await eventually(lambda: source.reads == 1)
    # The first read has begun, and does not see the channel.
    source.stored["new"] = _channel("new")
    second = asyncio.create_task(types.type_of("new"))
    source.release.set()
    await first
    assert await second == "slack"
    assert source.reads == 2
