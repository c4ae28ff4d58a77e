"""Text from outside that UTF-8, JSON or Postgres cannot hold."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract import storable_text

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
"""Every code point, lone surrogates and NUL included."""

LONE = "a\ud800b\udcffc\x00"


class Named(msgspec.Struct):
    """A record with text in it."""

    name: str


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", True), ("olá", True), ("a\x00", False), ("\ud800", False), ("b\udcff", False), ("\U0001f600", True)],
)
def test_text_is_storable_without_nul_and_lone_surrogates(text: str, expected: bool) -> None:
    assert storable_text.is_storable(text) is expected


def test_each_conversion_treats_a_lone_surrogate_as_the_table_states() -> None:
    """The table in the module's docstring."""
    assert storable_text.to_storable(LONE) == "a\ufffdb\ufffdc\ufffd"
    assert storable_text.to_storable("\ud83d\ude00") == "\U0001f600"
    assert storable_text.escape_surrogates(LONE) == "a\\ud800b\\udcffc\x00"
    assert storable_text.mark_surrogates(LONE) == "a?b?c\x00"
    assert storable_text.json_bytes({"a": LONE}) == b'{"a": "a\\ud800b\\udcffc\\u0000"}'
    assert storable_text.header_text(LONE) == "a?b?c\ufffd", "a lone surrogate that aiohttp does not make"
    assert storable_text.lossless_bytes(LONE) == b"a\xed\xa0\x80b\xed\xb3\xbfc\x00"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"plain", "plain"),
        ("olá".encode(), "olá"),
        (b"ol\xe1", "olá"),
        ("olá".encode() + b"\xff", "ol\u00c3\u00a1\u00ff"),
        (b"a\x00b", "a\ufffdb"),
        (b"\xff\x00", "\u00ff\ufffd"),
    ],
)
def test_a_header_that_is_not_utf_8_is_stored_as_latin_1(sent: bytes, stored: str) -> None:
    """aiohttp gives its bytes as lone surrogates."""
    text = sent.decode("utf-8", "surrogateescape")
    assert storable_text.header_text(text) == stored
    assert storable_text.sent_bytes(text) == sent


def test_a_response_header_that_is_not_utf_8_has_replacement_characters() -> None:
    assert storable_text.response_text(b"ol\xe1\xff".decode("utf-8", "surrogateescape")) == "ol\ufffd\ufffd"


@given(text=ANY_TEXT)
def test_what_is_made_storable_is_storable(text: str) -> None:
    """Storable text stays as it is."""
    for made in (storable_text.to_storable(text), storable_text.header_text(text)):
        assert storable_text.is_storable(made)
    if storable_text.is_storable(text):
        assert storable_text.to_storable(text) == storable_text.header_text(text) == text


@given(text=ANY_TEXT)
def test_no_conversion_fails(text: str) -> None:
    """The results are UTF-8, and the lossless bytes have a way back."""
    storable_text.escape_surrogates(text).encode()
    storable_text.mark_surrogates(text).encode()
    storable_text.sent_bytes(text)
    assert storable_text.from_lossless_bytes(storable_text.lossless_bytes(text)) == text


@given(value=st.dictionaries(ANY_TEXT, ANY_TEXT | st.integers(-9, 9) | st.lists(ANY_TEXT, max_size=2), max_size=3))
def test_json_with_lone_surrogates_decodes_to_the_same_value(value: dict[str, Any]) -> None:
    """Records too."""
    assert json.loads(storable_text.json_bytes(value)) == value
    assert json.loads(storable_text.json_bytes(Named("\ud800"))) == {"name": "\ud800"}


@given(data=st.binary(max_size=20))
def test_the_sent_bytes_of_a_header_come_back(data: bytes) -> None:
    """A signature in a header is compared as bytes."""
    assert storable_text.sent_bytes(data.decode("utf-8", "surrogateescape")) == data
