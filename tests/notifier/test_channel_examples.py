"""The examples in docs/reference/channels.md: PUT accepts each channel, and a message is sent as it is shown."""

import json
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from filas.outbound.client import OutboundClient
from flow_runner.flow_test.flow_test_run import FlowTest
from ingest.api.definitions import channel_fields
from ingest.api.definitions.channel_fields import ChannelBody
from notifier.channels.channel import Delivered, Tools
from notifier.channels.channel_types import CHANNEL_TYPES
from tests.flow_runner.harness import TRIGGER, KnownChannels, KnownFlows, KnownSecrets
from tests.flow_runner.test_flow_test import job
from tests.flow_runner.test_node_examples import includes
from tests.notifier.mail import mail_server
from tests.notifier.providers import CONFIGS, HOME, TAKEN, document, form, imitated_provider, message, responds
from tests.reference.channel_examples import EXAMPLES, Example

TOKENS = {"env:SECRET_CRM": CONFIGS["http"]["secret"]}
"""The values of the variables that the examples name; `TOKEN` for others."""


async def payload_of(example: Example) -> dict[str, Any]:
    """The message as the flow-runner records it, made by the node of the example."""
    node = {"id": "send", "type": example.node, "data": {"channel": "example", **example.message}}
    flow = {"nodes": [TRIGGER, node], "edges": [{"source": TRIGGER["id"], "target": "send"}]}
    channels = KnownChannels()
    channels.types["example"] = example.channel["type"]
    trigger = {"body": example.event, "headers": {}, "queryParams": {}}
    result = await FlowTest(job(flow, trigger=trigger), KnownSecrets(), KnownFlows(), channels).run()
    assert result.error is None
    (call,) = result.calls
    assert call.payload is not None
    return call.payload


def config_of(example: Example, **local: Any) -> dict[str, Any]:
    """The fields of the channel, with the values of its secrets, and with the address of the local server."""
    secrets = {
        name: TOKENS.get(value, "TOKEN")
        for name, value in example.channel.items()
        if isinstance(value, str) and value.startswith("env:")
    }
    return {name: value for name, value in {**example.channel, **secrets, **local}.items() if name != "type"}


def test_every_type_of_channel_has_an_example() -> None:
    """A new type needs an entry in tests/reference/channel_examples.json."""
    assert EXAMPLES.keys() == CHANNEL_TYPES.keys()
    assert all(example.channel["type"] == name for name, example in EXAMPLES.items())


@pytest.mark.parametrize("name", EXAMPLES)
def test_put_accepts_an_example(name: str) -> None:
    """Its fields and their values; secrets are named, so that an example contains none."""
    example = EXAMPLES[name]
    channel_fields.check(msgspec.convert(example.channel, ChannelBody))
    for field in set(channel_fields.SECRET_FIELDS.get(name, ())) & example.channel.keys():
        assert example.channel[field].startswith("env:SECRET_")


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example.request])
async def test_an_example_is_sent_as_a_request(name: str) -> None:
    """To a local server that answers as the provider does."""
    example = EXAMPLES[name]
    async with imitated_provider(responds(200, TAKEN.get(name, {}))) as (outside, outbound):
        own = outside.url + urlsplit(example.channel.get("url", "")).path
        config = config_of(example, **({"url": own} if name == "http" else {"baseUrl": outside.url}))
        channel = CHANNEL_TYPES[name].build(config, Tools(outbound, print, outbound.open_socket))
        result = await channel.deliver(message(await payload_of(example), example.message["to"]))
    assert isinstance(result, Delivered), result
    (got,) = outside.received
    assert f"POST {got.path}" == example.request
    sent = form(got) if name == "twilio" else document(got)
    assert includes(sent, example.sent), json.dumps(sent, indent=1, ensure_ascii=False)


async def test_the_example_of_the_console_is_printed() -> None:
    example, lines = EXAMPLES["console"], list[str]()
    async with OutboundClient(HOME) as outbound:
        tools = Tools(outbound, lines.append, outbound.open_socket)
        channel = CHANNEL_TYPES["console"].build(config_of(example), tools)
        await channel.deliver(message(await payload_of(example), example.message["to"]))
    assert lines == [example.sent]


async def test_the_example_of_the_email_is_mailed() -> None:
    """Without TLS and without a login, which the local server does not have."""
    example = EXAMPLES["email"]
    async with mail_server() as server, OutboundClient(HOME) as outbound:
        local = {"host": "127.0.0.1", "port": server.port, "security": "none"}
        config = config_of(example, **local)
        del config["username"], config["password"]
        channel = CHANNEL_TYPES["email"].build(config, Tools(outbound, print, outbound.open_socket))
        result = await channel.deliver(message(await payload_of(example), example.message["to"]))
    assert isinstance(result, Delivered), result
    (mail,) = server.mails
    assert isinstance(example.sent, dict)
    got = {name: mail[name] for name in example.sent if name != "text"}
    assert got | {"text": mail.get_content().strip()} == example.sent
    assert server.recipients == ["ana@example.com", "team@example.com"]
