"""Which channel answers a message to one of our own numbers."""

from typing import Any

import pytest

from filas.models.configuration import Channel
from ingest.process.channel_directory import FRESH_S, AnsweringChannel, ChannelDirectory

CHANNELS: dict[str, tuple[str, dict[str, Any]]] = {
    "whatsapp": ("whatsapp", {"phoneNumberId": "111"}),
    "branch": ("whatsapp", {"phoneNumberId": "222"}),
    "crm": ("http", {"url": "https://crm.example"}),
    "twilio": ("twilio", {"from": "+1 415 523 8886"}),
    "twilio-wa": ("twilio", {"from": "whatsapp:+14155238887"}),
}


class Channels:
    """The table of channels. Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.deleted: list[str] = []

    async def changed_since(self, revision: int) -> tuple[list[Channel], list[str], int]:
        self.reads += 1
        found = [Channel(id=name, type=kind, config=config) for name, (kind, config) in CHANNELS.items()]
        return [] if revision else found, self.deleted, 1


@pytest.mark.parametrize(
    ("channel", "provider_channel", "account", "expected"),
    [
        pytest.param("whatsapp", "whatsapp", "111", AnsweringChannel("whatsapp", "whatsapp"), id="its own number"),
        pytest.param("whatsapp", "whatsapp", "222", AnsweringChannel("branch", "whatsapp"), id="another number"),
        pytest.param(
            "branch", "whatsapp", "111", AnsweringChannel("whatsapp", "whatsapp"), id="the rule names another"
        ),
        pytest.param(
            "whatsapp", "whatsapp", "333", AnsweringChannel("whatsapp-333", "whatsapp"), id="a number without a channel"
        ),
        pytest.param(
            "whatsapp", "whatsapp", None, AnsweringChannel("whatsapp", "whatsapp"), id="no number is reported"
        ),
        pytest.param("crm", "whatsapp", "333", AnsweringChannel("crm", "http", "333"), id="a channel without numbers"),
        pytest.param("none", "whatsapp", "222", AnsweringChannel("branch", "whatsapp"), id="no such channel, but one"),
        pytest.param("none", "whatsapp", "333", AnsweringChannel("none", None, "333"), id="no channel at all"),
        pytest.param("twilio", "twilio", "+14155238886", AnsweringChannel("twilio", "twilio"), id="written otherwise"),
        pytest.param("twilio", "twilio", "+14155238887", AnsweringChannel("twilio-wa", "twilio"), id="with a scheme"),
        pytest.param(
            "twilio", "twilio", "+15550000000", AnsweringChannel("twilio", "twilio", "+15550000000"), id="sms"
        ),
        pytest.param("crm", "slack", "T1", AnsweringChannel("crm", "http"), id="a workspace is no number"),
        pytest.param("crm", None, None, AnsweringChannel("crm", "http"), id="no provider"),
    ],
)
async def test_the_channel_of_our_number_answers(
    channel: str, provider_channel: str | None, account: str | None, expected: AnsweringChannel
) -> None:
    """WhatsApp is never answered from another number."""
    directory = ChannelDirectory(Channels())
    await directory.refresh()
    assert directory.answering(channel, provider_channel, account) == expected


async def test_a_change_takes_effect_within_a_second() -> None:
    now, source = [0.0], Channels()
    directory = ChannelDirectory(source, clock=lambda: now[0])
    for _ in range(5):
        await directory.refresh()
    assert source.reads == 1
    source.deleted = ["branch"]
    now[0] += FRESH_S
    await directory.refresh()
    assert directory.answering("whatsapp", "whatsapp", "222").channel == "whatsapp-222"
