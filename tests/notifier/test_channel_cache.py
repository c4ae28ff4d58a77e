"""Finding channels: fresh within a second, secrets revealed, and a plain word on what can't be used."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.errors import StoreUnavailable
from filas.models import configuration
from filas.repository.definitions.channels import ChannelRepository
from notifier.channels.channel import Channel, Delivered, InvalidConfiguration, OutgoingMessage, Result, Tools
from notifier.channels.channel import configuration as configuration_of
from notifier.channels.channel_types import ChannelType
from notifier.deliver.channel_cache import ChannelCache, ChannelOfNewerVersion, ChannelUnusable
from tests.notifier.rows import opened

BOX = SecretBox("key-of-the-tests", SecretVariables({"SECRET_TOKEN": "from the environment"}))


class Remembering:
    """A channel that only knows its configuration."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    async def deliver(self, message: OutgoingMessage) -> Result:
        return Delivered()


class Security(msgspec.Struct):
    """A configuration with an enumeration."""

    url: str
    security: Literal["tls", "none"]


def build(config: dict[str, Any], _tools: Tools) -> Channel:
    if "url" not in config:
        raise InvalidConfiguration("`url` is missing")
    if "security" in config:
        configuration_of(config, Security)
    if "explode" in config:
        raise KeyError(config["secret"])
    return Remembering(config)


class Counting:
    """A source of channels that counts its reads and can be unavailable."""

    def __init__(self, channels: ChannelRepository) -> None:
        self.channels = channels
        self.reads = 0
        self.unavailable = False

    async def changed_since(self, revision: int) -> tuple[list[configuration.Channel], list[str], int]:
        self.reads += 1
        if self.unavailable:
            raise StoreUnavailable("postgres", "connection refused")
        return await self.channels.changed_since(revision)


class World:
    """Channels in Postgres, a cache over them, and a clock that the test moves."""

    def __init__(self, channels: ChannelRepository) -> None:
        self.channels = channels
        self.source = Counting(channels)
        self.now = 1000.0
        types = {"remembering": ChannelType(build, ("secret",))}
        tools = Tools(None, print, None)  # type: ignore[arg-type]
        self.directory = ChannelCache(self.source, types, tools, BOX.reveal, clock=lambda: self.now)

    async def put(self, channel_id: str, channel_type: str = "remembering", **config: object) -> None:
        await self.channels.store(configuration.Channel(id=channel_id, type=channel_type, config=config))

    async def config(self, channel_id: str) -> dict[str, Any]:
        known = await self.directory.find(channel_id)
        assert isinstance(known.channel, Remembering)
        return known.channel.config


@pytest.fixture
async def world(postgres_dsn: str) -> AsyncIterator[World]:
    async with opened(postgres_dsn) as database:
        yield World(ChannelRepository(database))


async def test_secrets_are_revealed_whether_sealed_or_in_the_environment(world: World) -> None:
    await world.put("a", url="u", secret=BOX.seal("sealed"))
    await world.put("b", url="env:SECRET_TOKEN", secret=["env:SECRET_TOKEN", BOX.seal("second")])
    assert await world.config("a") == {"url": "u", "secret": "sealed"}
    assert await world.config("b") == {"url": "env:SECRET_TOKEN", "secret": ["from the environment", "second"]}


async def test_a_change_is_obeyed_within_a_second_and_not_asked_for_more_often(world: World) -> None:
    await world.put("a", url="one")
    assert (await world.config("a"))["url"] == "one"
    await world.put("a", url="two")
    world.now += 0.9
    assert (await world.config("a"))["url"] == "one"
    assert world.source.reads == 1
    world.now += 0.1
    assert (await world.config("a"))["url"] == "two"
    assert world.source.reads == 2


async def test_many_that_ask_at_once_share_one_read(world: World) -> None:
    await world.put("a", url="one")
    await asyncio.gather(*(world.config("a") for _ in range(50)))
    assert world.source.reads == 1


async def test_a_channel_put_just_now_is_found_though_the_cache_is_fresh(world: World) -> None:
    with pytest.raises(ChannelUnusable):
        await world.config("a")
    world.now += 0.01
    await world.put("a", url="one")
    assert (await world.config("a"))["url"] == "one"


@pytest.mark.parametrize("config", ["[]", "5", "null", '"text"', '{"url": "u", "secret": {"a": 1}}', '{"rate": []}'])
async def test_a_broken_row_affects_its_own_channel_only(world: World, config: str) -> None:
    await world.put("a", url="one")
    await world.put("b", url="two")
    await world.channels._database.fetch("update channels set config = $1::json where id = 'a'", config)
    assert (await world.config("b"))["url"] == "two"
    world.now += 2
    await world.put("b", url="three")
    assert (await world.config("b"))["url"] == "three"
    if "secret" not in config:
        with pytest.raises(ChannelUnusable, match="'a'"):
            await world.config("a")


async def test_an_unknown_fault_of_a_channels_module_affects_its_own_channel_only(world: World) -> None:
    """Its error may contain a secret, so the message does not repeat it."""
    await world.put("a", url="one", secret="hunter2", explode=True)
    await world.put("b", url="two")
    assert (await world.config("b"))["url"] == "two"
    with pytest.raises(ChannelUnusable) as unusable:
        await world.config("a")
    assert "hunter2" not in str(unusable.value)


async def test_a_deleted_channel_is_gone_within_a_second(world: World) -> None:
    await world.put("a", url="one")
    await world.config("a")
    await world.channels.delete("a")
    world.now += 1.0
    with pytest.raises(ChannelUnusable, match="'a'"):
        await world.config("a")


@pytest.mark.parametrize(
    ("channel_type", "config", "words"),
    [
        ("remembering", {}, "`url` is missing"),
        ("remembering", {"url": "u", "secret": "env:SECRET_UNSET"}, "SECRET_UNSET"),
        ("remembering", {"url": "u", "secret": SecretBox("another key").seal("pa55word")}, "FILAS_SECRET_KEY"),
    ],
)
async def test_a_channel_that_cannot_be_used_reports_the_reason_and_affects_no_other(
    world: World, channel_type: str, config: dict[str, object], words: str
) -> None:
    await world.put("bad", channel_type, **config)
    await world.put("good", url="u")
    with pytest.raises(ChannelUnusable, match=words) as refused:
        await world.config("bad")
    assert "'bad'" in str(refused.value)
    assert await world.config("good") == {"url": "u"}
    world.now += 0.01
    await world.put("bad", url="put right")
    assert await world.config("bad") == {"url": "put right"}


@pytest.mark.parametrize(
    ("channel_type", "config", "words"),
    [
        ("pigeon", {"secret": "enc:x"}, "unknown type 'pigeon'"),
        ("remembering", {"url": "u", "secret": "enc:Ag=="}, "a format that this version does not know"),
        ("remembering", {"url": "u", "security": "quantum"}, "Invalid enum value 'quantum'"),
    ],
)
async def test_a_channel_of_a_newer_version_is_left_to_a_newer_notifier(
    world: World, channel_type: str, config: dict[str, object], words: str
) -> None:
    """Its notifications wait. Other channels are not affected."""
    await world.put("newer", channel_type, **config)
    await world.put("good", url="u")
    for _ in range(2):
        with pytest.raises(ChannelOfNewerVersion, match=words):
            await world.config("newer")
    assert await world.config("good") == {"url": "u"}
    assert await world.directory.ids() == ["good"]


async def test_channels_that_cannot_be_read_are_not_reported_as_missing(world: World) -> None:
    await world.put("a", url="one")
    world.source.unavailable = True
    with pytest.raises(StoreUnavailable):
        await world.config("a")
    world.source.unavailable = False
    assert (await world.config("a"))["url"] == "one"


async def test_the_channels_that_can_be_used_are_known_before_the_first_is_asked_for(world: World) -> None:
    """And no longer than a second after they are gone."""
    await world.put("good", url="u")
    await world.put("bad")
    assert await world.directory.ids() == ["good"]
    await world.channels.delete("good")
    assert await world.directory.ids() == ["good"]
    world.now += 1.5
    assert await world.directory.ids() == []
