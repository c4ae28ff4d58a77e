"""A text that is too long for one message is divided at the ends of sentences, and nothing of it is lost."""

import random

import pytest

from filas.channels.content_limits import LIMITS
from filas.channels.content_parts import MAX_PARTS, parts_of
from filas.channels.invalid_content import InvalidContent
from filas.channels.open_markup import can_cut
from filas.channels.split_text import split_text

LINK = '<a href="https://shop.example/pedidos">Pedido 5</a>'


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("Curto.", 10, ["Curto."]),
        ("", 10, [""]),
        ("Primeira. Segunda. Terceira.", 20, ["Primeira. Segunda.", "Terceira."]),
        ("Tudo bem? Sim! Claro… Ok", 15, ["Tudo bem? Sim!", "Claro… Ok"]),
        ('Ele disse "oi." E saiu.', 18, ['Ele disse "oi."', "E saiu."]),
        ("O Dr. Silva chegou. Entre.", 22, ["O Dr. Silva chegou.", "Entre."]),
        ("Custa R$ 1.234,50 hoje. Quer?", 25, ["Custa R$ 1.234,50 hoje.", "Quer?"]),
        ("Linha um\nLinha dois\nLinha tres", 20, ["Linha um\nLinha dois", "Linha tres"]),
        ("Um dois.\n\nTres quatro. Cinco seis.", 24, ["Um dois.\n\nTres quatro.", "Cinco seis."]),
        ("Parte um aqui. E mais.\n\nDois. Tres quatro.", 36, ["Parte um aqui. E mais.", "Dois. Tres quatro."]),
        ("uma frase sem ponto que continua", 14, ["uma frase sem", "ponto que", "continua"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("第一句。第二句。第三句。", 8, ["第一句。第二句。", "第三句。"]),
        ("aaa👩‍👩‍👧bbb", 5, ["aaa", "👩‍👩‍👧", "bbb"]),
        ("ab e\u0301f", 4, ["ab", "e\u0301f"]),
        ("1234 &lt;!channel&gt;", 8, ["1234", "&lt;!cha", "nnel&gt;"]),
    ],
)
def test_a_text_ends_at_the_ends_of_sentences(text: str, limit: int, parts: list[str]) -> None:
    assert split_text(text, limit) == parts


def test_no_part_is_too_long_and_no_word_is_lost() -> None:
    letters = "ab c. \n! çã ? 👍 &amp; "
    for seed in range(300):
        chosen = random.Random(seed)
        text = "".join(chosen.choice(letters) for _ in range(chosen.randint(0, 300))).strip()
        limit = chosen.randint(5, 60)
        parts = split_text(text, limit)
        assert all(len(part) <= limit for part in parts), (seed, parts)
        assert "".join("".join(parts).split()) == "".join(text.split()), seed
        assert all(parts) or not text


@pytest.mark.parametrize(
    ("text", "mode", "limit", "parts"),
    [
        ("<b>Um. Dois.</b> Tres. Quatro.", "HTML", 24, ["<b>Um. Dois.</b> Tres.", "Quatro."]),
        (f"Oi {LINK} Ok.", "HTML", 57, [f"Oi {LINK}", "Ok."]),
        ("*Um. Dois.* Tres. Quatro.", "MarkdownV2", 18, ["*Um. Dois.* Tres.", "Quatro."]),
        (
            "Um [Dois. Tres](https://a.example) Ok\\.",
            "MarkdownV2",
            36,
            ["Um [Dois. Tres](https://a.example)", "Ok\\."],
        ),
    ],
)
def test_markup_is_complete_in_each_part(text: str, mode: str, limit: int, parts: list[str]) -> None:
    assert split_text(text, limit, can_cut(text, mode)) == parts


def test_a_marked_text_that_cannot_be_divided_is_refused_with_the_limit() -> None:
    content = {"type": "text", "text": f"<b>{'palavra ' * 600}</b>", "parseMode": "HTML"}
    with pytest.raises(InvalidContent, match="has 4807 characters, and the limit of Telegram is 4096"):
        parts_of(content, "telegram")


def _sentences(count: int) -> str:
    return " ".join(f"Esta e a frase de numero {number:05d}." for number in range(count))


@pytest.mark.parametrize("channel_type", ["whatsapp", "telegram", "twilio", "slack"])
def test_buttons_are_under_the_last_part(channel_type: str) -> None:
    """On a channel without buttons, their lines are at the end of the text."""
    text = _sentences(200)
    content = {"type": "buttons", "text": text, "buttons": [{"id": "y", "title": "Sim"}, {"id": "n", "title": "Não"}]}
    *first, last = parts_of(content, channel_type)
    assert first
    assert {part["type"] for part in first} == {"text"}
    if channel_type == "twilio":
        assert last["text"].endswith("1. Sim\n2. Não")
    else:
        assert (last["type"], last["buttons"]) == ("buttons", content["buttons"])
    shown = " ".join(part["text"] for part in [*first, last]).removesuffix("1. Sim\n2. Não")
    assert shown.rstrip() == text


def test_a_caption_that_is_too_long_continues_in_texts() -> None:
    content = {"type": "media", "kind": "image", "url": "https://a/b.png", "caption": _sentences(40)}
    first, *rest = parts_of(content, "whatsapp")
    assert (first["type"], first["url"]) == ("media", "https://a/b.png")
    assert [part["type"] for part in rest] == ["text"]
    assert " ".join([first["caption"], rest[0]["text"]]) == content["caption"]


def test_a_text_of_too_many_messages_is_refused_with_the_limit() -> None:
    content = {"type": "text", "text": "x" * (LIMITS["twilio"].text * MAX_PARTS + 1)}
    with pytest.raises(InvalidContent, match=r"51 messages of 1600 characters \(the limit of Twilio\); at most 50"):
        parts_of(content, "twilio")


@pytest.mark.parametrize("channel_type", ["http", "console", "email", None])
def test_other_channels_get_the_text_in_one_message(channel_type: str | None) -> None:
    content = {"type": "text", "text": _sentences(500)}
    assert parts_of(content, channel_type) == [content]
