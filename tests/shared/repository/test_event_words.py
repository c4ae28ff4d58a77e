"""The words of an event, and the words of what a user types."""

from typing import Any

import pytest

from filas.repository.search.event_words import (
    MAX_WORDS,
    TEXT_BYTES,
    address_terms,
    matches,
    terms_of,
    words_of,
)


def words(body: bytes | str, **changes: Any) -> frozenset[bytes]:
    """The words of an event with this body."""
    columns = {
        "body": body.encode() if isinstance(body, str) else body,
        "content_type": "application/json",
        "query_params": "{}",
        "duplicate_key": None,
        "group_key": None,
        "webhook_id": "shop",
    }
    return words_of(columns | changes)


FOUND = [
    pytest.param('{"city":"Recife"}', "recife", True, id="case is ignored"),
    pytest.param('{"city":"Recife"}', "reci", True, id="the beginning of a word"),
    pytest.param('{"city":"Recife"}', "cife", False, id="not the end of a word"),
    pytest.param('{"n":"ab abc"}', "ab", True, id="a short word as a whole"),
    pytest.param('{"n":"abc"}', "ab", False, id="not the beginning, if it is short"),
    pytest.param('{"name":"João"}', "JOAO", True, id="accents are ignored"),
    pytest.param('{"name":"joao"}', "João", True, id="also those that were typed"),
    pytest.param('{"name":"Jo\\u00e3o"}', "joão", True, id="escaped in JSON"),
    pytest.param('{"name":"Joa\u0303o"}', "joão", True, id="decomposed"),
    pytest.param('{"t":"line\\nnext"}', "next", True, id="after an escaped line feed"),
    pytest.param('{"id":"wamid.HBgLNTU="}', "wamid.HBgLNTU=", True, id="an id with punctuation"),
    pytest.param('{"id":"pedido_1042"}', "1042", True, id="the part after an underscore"),
    pytest.param('{"id":"ORD-1042"}', "ord-104", True, id="words with a hyphen"),
    pytest.param('{"n":9007199254740993}', "9007199254740993", True, id="a 64-bit number"),
    pytest.param('{"t":"\u0645\u0631\u062d\u0628\u0627"}', "\u0645\u0631\u062d\u0628\u0627", True, id="another script"),
    pytest.param('{"t":"x"}', "shop", False, id="the webhook is no word that is typed"),
    pytest.param('{"t":"\\ud800 word"}', "word", True, id="beside a lone surrogate"),
    pytest.param(b"\xff\x00Order-7\xfe", "order-7", True, id="in bytes that are no text"),
    pytest.param(rb"C:\temp\x", "c:\\TEMP", True, id="a backslash outside of JSON"),
]


@pytest.mark.parametrize(("body", "typed", "expected"), FOUND)
def test_words_are_compared_as_people_write_them(body: str | bytes, typed: str, expected: bool) -> None:
    """A typed word finds the words that begin with it."""
    assert matches(((terms_of(typed),),), words(body)) is expected


NUMBERS = [
    pytest.param('{"from":"5511987654321"}', id="digits"),
    pytest.param('{"from":"551187654321"}', id="without the ninth digit"),
    pytest.param('{"from":"+55 (11) 98765-4321"}', id="with punctuation"),
    pytest.param('{"from":"whatsapp:+5511987654321"}', id="with a scheme"),
    pytest.param('{"from":"0055 11 98765 4321"}', id="with 00"),
]


@pytest.mark.parametrize("body", NUMBERS)
def test_a_number_is_found_in_any_spelling(body: str) -> None:
    """By its canonical form, which the words contain."""
    assert matches(((address_terms("5511987654321"),),), words(body))


def test_a_number_matches_as_a_whole() -> None:
    """Not the beginning of a longer one."""
    assert not matches(((address_terms("5511987654321"),),), words('{"n":"55119876543210"}'))


def test_the_words_of_an_event_are_those_of_its_other_fields_too() -> None:
    """The query, the duplicate key, the contact of its group, and forms without their escapes."""
    found = words("{}", query_params='{"ref":["abc-9"]}', duplicate_key="evt_77", group_key="http:maria@example.com")
    assert {b"abc", b"9", b"evt", b"77", b"maria", b"example"} <= found
    assert b"shop" not in words("{}", group_key="webhook:shop")
    assert b"ola" in words("text=ol%C3%A1+mundo", content_type="application/x-www-form-urlencoded; charset=utf-8")


def test_each_clause_must_match_and_one_alternative_is_enough() -> None:
    """Alternatives are the addresses of one contact."""
    found = words('{"a":"one","b":"two"}')
    one, two, three = terms_of("one"), terms_of("two"), terms_of("three")
    assert matches(((one,), (two,)), found)
    assert matches(((three, two),), found)
    assert not matches(((one,), (three,)), found)


def test_a_large_body_costs_a_bounded_number_of_words() -> None:
    """10,000 keys, and a body of one word."""
    body = "{" + ",".join(f'"key{number}":{number}' for number in range(10_000)) + "}"
    assert len(words(body[:TEXT_BYTES])) <= 3 * MAX_WORDS
    assert max(map(len, words("x" * TEXT_BYTES))) == 64
    assert matches(((terms_of("x" * 200),),), words("x" * 300))
