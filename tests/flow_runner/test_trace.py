"""A trace is bounded and shows no secret, in no encoding."""

import base64
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.crypto.redaction import HIDDEN
from flow_runner.engine.redaction import MAX_BYTES, Redactor, bounded, headers_shown

SECRET = "s3cret/value+"


def _hiding(secret: str) -> Redactor:
    redactor = Redactor()
    redactor.hide(secret)
    return redactor


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"Bearer {SECRET}",
        f"https://a/?k={quote(SECRET, safe='')}",
        base64.b64encode(SECRET.encode()).decode(),
        f"{SECRET}{SECRET}",
    ],
)
def test_a_secret_is_hidden_in_every_encoding(text: str) -> None:
    shown = _hiding(SECRET).clean({"a": [text], text: 1})
    assert SECRET not in repr(shown)
    assert quote(SECRET, safe="") not in repr(shown)
    assert HIDDEN in repr(shown)


def test_a_short_secret_is_hidden_if_it_is_the_whole_value() -> None:
    assert _hiding("42").clean({"a": "42", "b": 42, "c": "1423"}) == {"a": HIDDEN, "b": HIDDEN, "c": "1423"}


def test_the_values_in_a_secret_object_are_hidden() -> None:
    redactor = Redactor()
    redactor.hide({"user": "ana-maria", "codes": ["abcdef"]})
    assert redactor.clean(["ana-maria", "x abcdef y"]) == [HIDDEN, f"x {HIDDEN} y"]


def test_headers_with_credentials_are_hidden_by_name() -> None:
    shown = headers_shown({"Authorization": "a", "X-Api-Key": "b", "X-Hub-Signature-256": "c", "Accept": "d"})
    assert shown == {"Authorization": HIDDEN, "X-Api-Key": HIDDEN, "X-Hub-Signature-256": HIDDEN, "Accept": "d"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5000),
    lambda inner: st.lists(inner, max_size=80) | st.dictionaries(st.text(max_size=20), inner, max_size=10),
    max_leaves=40,
)


@given(value=JSON)
def test_a_shown_value_is_bounded(value: Any) -> None:
    """Small values are unchanged."""
    encoded = msgspec.json.encode(value)
    shown = bounded(value)
    assert len(msgspec.json.encode(shown)) <= MAX_BYTES + 1024
    if len(encoded) <= MAX_BYTES:
        assert shown == value


def test_a_cut_value_states_how_much_is_missing() -> None:
    assert bounded({"a": "x" * 20_000})["a"].endswith("… (18976 characters more)")
    assert bounded([["x" * 1000] * 100] * 100)["truncated"] is True
