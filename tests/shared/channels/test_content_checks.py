"""The limits of channels, one row for each: the longest content that fits, and one more."""

from collections.abc import Callable
from typing import Any

import pytest

from filas.channels.content_checks import problems
from filas.channels.content_limits import LIMITS
from notifier.channels.channel_types import CHANNEL_TYPES

Make = Callable[[int], dict[str, Any]]


def buttons(count: int = 1, title: int = 3, text: int = 1, id_: int = 1, **more: Any) -> dict[str, Any]:
    items = [{"id": "i" * id_, "title": chr(200 + at) + "t" * (title - 1), **more} for at in range(count)]
    return {"type": "buttons", "text": "x" * text, "buttons": items}


def rows(count: int = 1, sections: int = 1, section_title: int = 5, label: int = 3, **row: int) -> dict[str, Any]:
    lengths = {"id": 1, "title": 1, **row}
    one = {name: "r" * length for name, length in lengths.items()}
    listed = [{"title": "s" * section_title, "rows": [one] * count} for _ in range(sections)]
    return {"type": "list", "text": "x", "label": "l" * label, "sections": listed}


ROWS: list[tuple[str, int, Make, str, str]] = [
    (
        "whatsapp",
        4096,
        lambda n: {"type": "text", "text": "x" * n},
        "text",
        "the text has 4097 characters; the limit of WhatsApp is 4096",
    ),
    ("whatsapp", 1024, lambda n: {"type": "media", "caption": "x" * n}, "caption", "the limit of WhatsApp is 1024"),
    ("whatsapp", 10, buttons, "buttons", "11 buttons; the limit of WhatsApp is 10"),
    (
        "whatsapp",
        24,
        lambda n: buttons(2, n),
        "buttons[0].title",
        "a choice's title has 25 characters; the limit of WhatsApp is 24",
    ),
    ("whatsapp", 24, lambda n: buttons(4, n), "buttons[0].title", "the limit of WhatsApp is 24"),
    ("whatsapp", 256, lambda n: buttons(id_=n), "buttons[0].id", "the limit of WhatsApp is 256"),
    ("whatsapp", 200, lambda n: buttons(4, id_=n), "buttons[0].id", "the limit of WhatsApp is 200"),
    ("whatsapp", 72, lambda n: buttons(description="d" * n), "buttons[0].description", "the limit of WhatsApp is 72"),
    ("whatsapp", 20, lambda n: buttons(title=n, url="https://a"), "buttons[0].title", "the limit of WhatsApp is 20"),
    (
        "whatsapp",
        1,
        lambda n: buttons(n, url="https://a"),
        "buttons",
        "2 buttons with `url`; the limit of WhatsApp is 1",
    ),
    ("whatsapp", 60, lambda n: buttons() | {"header": "h" * n}, "header", "the limit of WhatsApp is 60"),
    ("whatsapp", 60, lambda n: buttons() | {"footer": "h" * n}, "footer", "the limit of WhatsApp is 60"),
    ("whatsapp", 10, rows, "sections", "11 rows; the limit of WhatsApp is 10"),
    ("whatsapp", 5, lambda n: rows(2, n), "sections", "12 rows; the limit of WhatsApp is 10"),
    ("whatsapp", 24, lambda n: rows(title=n), "sections[0].rows[0].title", "the limit of WhatsApp is 24"),
    ("whatsapp", 72, lambda n: rows(description=n), "sections[0].rows[0].description", "the limit of WhatsApp is 72"),
    ("whatsapp", 24, lambda n: rows(section_title=n), "sections[0].title", "the limit of WhatsApp is 24"),
    ("whatsapp", 20, lambda n: rows(label=n), "label", "the limit of WhatsApp is 20"),
    ("telegram", 4096, lambda n: {"type": "text", "text": "x" * n}, "text", "the limit of Telegram is 4096"),
    ("telegram", 1024, lambda n: {"type": "media", "caption": "x" * n}, "caption", "the limit of Telegram is 1024"),
    (
        "telegram",
        64,
        lambda n: buttons(id_=n),
        "buttons[0].id",
        "a button's id has 65 bytes; the limit of Telegram is 64",
    ),
    ("telegram", 100, buttons, "buttons", "101 buttons; the limit of Telegram is 100"),
    ("telegram", 64, lambda n: rows(id=n), "buttons[0].id", "the limit of Telegram is 64"),
    ("slack", 40_000, lambda n: {"type": "text", "text": "x" * n}, "text", "the limit of Slack is 40000"),
    ("slack", 3000, lambda n: buttons(text=n), "text", "the text above the buttons has 3001 characters"),
    ("slack", 25, buttons, "buttons", "26 buttons; the limit of Slack is 25"),
    ("slack", 75, lambda n: buttons(title=n), "buttons[0].title", "the limit of Slack is 75"),
    ("slack", 100, rows, "sections", "101 rows; the limit of Slack is 100"),
    ("slack", 75, lambda n: rows(description=n), "sections[0].rows[0].description", "the limit of Slack is 75"),
    ("twilio", 1600, lambda n: {"type": "text", "text": "x" * n}, "text", "the limit of Twilio is 1600"),
    ("twilio", 1593, lambda n: buttons(text=n), "text", "the text with its choices has 1601 characters"),
]


@pytest.mark.parametrize(("channel_type", "most", "make", "field", "message"), ROWS)
def test_the_longest_content_fits_and_one_more_is_refused(
    channel_type: str, most: int, make: Make, field: str, message: str
) -> None:
    assert list(problems(make(most), channel_type)) == []
    found = list(problems(make(most + 1), channel_type))
    assert found[0][0] == field
    assert message in found[0][1]
    assert found[0][2] == "too-long"


@pytest.mark.parametrize(
    ("channel_type", "content", "message"),
    [
        (
            "whatsapp",
            {"type": "buttons", "text": "x", "buttons": [{"id": "a", "title": "Sim"}, {"id": "b", "title": "Sim "}]},
            'two buttons have the title "Sim"; WhatsApp refuses it',
        ),
        *(
            (name, buttons() | {"buttons": [{"id": "a", "title": " "}]}, f"the title of a button is empty; {called}")
            for name, called in (("whatsapp", "WhatsApp"), ("telegram", "Telegram"), ("slack", "Slack"))
        ),
        (
            "whatsapp",
            buttons() | {"buttons": [{"id": str(at), "title": "x" * at} for at in range(5)]},
            "the title of a choice is empty; WhatsApp refuses it",
        ),
        ("slack", rows(title=0), "the title of a choice is empty; Slack refuses it"),
        ("telegram", {"type": "template", "name": "x"}, "Telegram has no approved templates"),
        (
            "whatsapp",
            {
                "type": "buttons",
                "text": "x",
                "buttons": [{"title": "a", "url": "https://a"}, {"title": "b", "id": "b"}],
            },
            "WhatsApp cannot show a button with `url` beside other buttons",
        ),
        (
            "whatsapp",
            {"type": "list", "text": "x", "sections": [{"rows": [{"id": "1", "title": "a"}]}] * 2},
            "each section needs a title if there are several",
        ),
    ],
)
def test_what_a_channel_cannot_show_is_refused(channel_type: str, content: dict[str, Any], message: str) -> None:
    assert message in next(problems(content, channel_type))[1]


def test_the_same_title_may_be_in_a_list_and_on_other_channels() -> None:
    twice = [{"id": "a", "title": "Sim"}, {"id": "b", "title": "Sim"}]
    assert list(problems({"type": "buttons", "text": "x", "buttons": twice}, "telegram")) == []
    listed = {"type": "list", "text": "x", "label": "l", "sections": [{"rows": twice}]}
    assert list(problems(listed, "whatsapp")) == []


@pytest.mark.parametrize("channel_type", ["http", "console", None, "unknown"])
def test_a_channel_without_limits_refuses_nothing(channel_type: str | None) -> None:
    assert list(problems(buttons(500, 500, 50_000), channel_type)) == []


def test_every_provider_has_limits() -> None:
    assert set(CHANNEL_TYPES) - set(LIMITS) == {"http", "console"}


@pytest.mark.parametrize("channel_type", ["whatsapp", "telegram", "slack", "twilio"])
def test_a_list_without_sections_has_a_problem_and_no_fault(channel_type: str) -> None:
    """The content may have any fields."""
    assert all(message for _, message, _ in problems({"type": "list", "text": "a"}, channel_type))
