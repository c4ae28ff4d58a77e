"""The limits of a channel are checked at publication, as far as the channel and the content are known."""

from typing import Any

import pytest

from filas.flows.checks.channel_limits import KnownChannels
from filas.flows.publishing_checks import check
from tests.flow_runner.harness import chain, node

CHANNELS = KnownChannels({"wa": "whatsapp", "tg": "telegram", "team": "slack", "sms": "twilio", "out": "http"}, {"wa"})
CHOICES = [{"id": f"c{number}", "title": f"Opção {number}"} for number in range(11)]
LONG_TITLE = [{"id": "a", "title": "t" * 25}]
LONGER_TITLE = [{"id": "a", "title": "t" * 76}]
SAME_TITLE = [{"id": "a", "title": "Sim"}, {"id": "b", "title": "Sim"}]
LONG_ID = [{"id": "i" * 65, "title": "t"}]
LINK = [{"title": "t" * 21, "url": "https://a"}]
ROWS = [{"id": f"r{number}", "title": "Plano"} for number in range(6)]
SECTIONS = [{"title": "A", "rows": ROWS}, {"title": "B", "rows": ROWS}]
VARS = [{"name": "x", "default": "a"}]


def found(*nodes: dict[str, Any], channels: KnownChannels = CHANNELS) -> list[tuple[str | None, str, str, str]]:
    _, problems = check(chain(*nodes, variables=VARS), channels=channels)
    return [(one.node_id, one.field, one.code, one.message) for one in problems]


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"text": "?", "buttons": CHOICES}, "buttons", "11 buttons; the limit of WhatsApp is 10"),
        ({"text": "?", "buttons": LONG_TITLE}, "buttons[0].title", "WhatsApp is 24"),
        ({"text": "?", "sections": SECTIONS}, "sections", "12 rows; the limit of WhatsApp is 10"),
        ({"text": "?", "buttons": SAME_TITLE}, "buttons[1].title", 'two buttons have the title "Sim"'),
        ({"text": "?", "buttons": LINK}, "buttons[0].title", "WhatsApp is 20"),
        ({"text": "?", "buttons": LONG_TITLE, "channel": "wa"}, "buttons[0].title", "WhatsApp is 24"),
        ({"text": "?", "buttons": LONG_TITLE, "channel": "whatsapp"}, "buttons[0].title", "WhatsApp is 24"),
        ({"text": "?", "buttons": LONG_ID, "channel": "tg"}, "buttons[0].id", "Telegram is 64"),
        ({"text": "?", "buttons": LONGER_TITLE, "channel": "team"}, "buttons[0].title", "Slack is 75"),
        ({"template": {"name": "x"}, "channel": "tg"}, "template", "Telegram has no approved templates"),
        ({"text": "x" * 81_000, "channel": "sms"}, "text", "51 messages of 1600 characters (the limit of Twilio)"),
        ({"text": "?", "sections": SECTIONS[:1], "listLabel": "l" * 21}, "listLabel", "WhatsApp is 20"),
    ],
)
def test_a_message_beyond_a_limit_is_refused(data: dict[str, Any], field: str, message: str) -> None:
    [(node_id, at, code, text)] = found(node("m", "message", **data))
    assert (node_id, at, code) == ("m", field, "beyond-channel-limit")
    assert message in text


def test_choices_of_an_input_are_checked() -> None:
    ask = node("ask", "input", prompt="?", kind="choice", choices=CHOICES)
    assert [one[:3] for one in found(ask)] == [("ask", "choices", "beyond-channel-limit")]
    ask = node("ask", "input", prompt="?", kind="choice", choices=LONG_TITLE)
    assert [one[:3] for one in found(ask)] == [("ask", "choices[0].title", "beyond-channel-limit")]


@pytest.mark.parametrize(
    "data",
    [
        {"text": "?", "buttons": CHOICES[:10]},
        {"text": "?", "buttons": [{"id": "a", "title": "t" * 24}]},
        {"text": "Long. " * 2000},
        {"text": "?", "buttons": [{"id": "a", "title": "{{ vars.x }}"}, {"id": "b", "title": "{{ vars.x | upcase }}"}]},
        {"text": "{{ vars.x }}", "buttons": [{"id": "{{ vars.x }}", "title": "{{ vars.x }} and 24 characters"}]},
        {"text": "?", "buttons": CHOICES, "channel": "{{ vars.x }}"},
        {"text": "?", "buttons": CHOICES, "channel": "out"},
        {"text": "?", "buttons": CHOICES, "channel": "not-stored"},
        {"text": "?", "buttons": CHOICES, "channel": "sms"},
    ],
)
def test_what_fits_or_is_known_only_in_a_run_is_accepted(data: dict[str, Any]) -> None:
    assert found(node("m", "message", **data)) == []


def test_without_a_known_channel_nothing_is_checked() -> None:
    assert found(node("m", "message", text="?", buttons=CHOICES), channels=KnownChannels()) == []


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"text": "?", "buttons": [{"title": "t"}]}, "buttons[0]"),
        ({"text": "?", "buttons": [{"id": "a", "title": "t", "url": "https://a"}]}, "buttons[0]"),
        ({"text": "?", "buttons": [{"title": "t", "url": "https://a", "description": "d"}]}, "buttons[0].description"),
        ({"text": "?", "buttons": CHOICES[:1], "sections": SECTIONS[:1]}, "sections"),
        ({"text": "?", "listLabel": "x"}, "listLabel"),
        ({"text": "?", "header": "x"}, "header"),
        ({"template": {"name": "x"}, "parseMode": "HTML"}, "parseMode"),
        ({"media": {"kind": "image", "url": "https://a"}, "sections": SECTIONS[:1]}, "sections"),
        ({"media": []}, "media"),
        ({"text": "?", "sections": [{"rows": []}]}, "sections[0].rows"),
        ({"text": "?", "parseMode": "Markdown2"}, "parseMode"),
    ],
)
def test_contents_that_contradict_themselves_are_refused(data: dict[str, Any], field: str) -> None:
    assert [one[1] for one in found(node("m", "message", **data))][:1] == [field]
