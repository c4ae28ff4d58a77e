"""Stored secrets: only the key that encrypted a secret decrypts it, and nothing shows a key."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.errors import SecretUnreadable

BOX = SecretBox("a key of the installation")
ANY_TEXT = st.text(st.characters())


@given(ANY_TEXT)
def test_every_encrypted_text_is_decrypted_unchanged(text: str) -> None:
    """Including empty text, NUL and lone surrogates."""
    assert BOX.open(BOX.seal(text)) == text


def test_an_encrypted_text_is_hidden_and_differs_each_time() -> None:
    """Two encryptions of one text differ, so they do not reveal that it is the same."""
    first, second = BOX.seal("hunter2"), BOX.seal("hunter2")
    assert first.startswith("enc:")
    assert "hunter2" not in first
    assert first != second


def test_another_key_decrypts_nothing() -> None:
    """A changed FILAS_SECRET_KEY is an error that names it, and returns no wrong text."""
    with pytest.raises(SecretUnreadable, match="FILAS_SECRET_KEY"):
        SecretBox("another key").open(BOX.seal("text"))


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=255))
def test_a_changed_ciphertext_is_rejected(position: int, change: int) -> None:
    """Every byte of the value is protected: version, nonce, text and tag."""
    raw = bytearray(base64.urlsafe_b64decode(BOX.seal("12 characters")[4:]))
    raw[position] ^= change
    with pytest.raises(SecretUnreadable):
        BOX.open("enc:" + base64.urlsafe_b64encode(bytes(raw)).decode())


@pytest.mark.parametrize("value", ["enc:", "enc:%%%", "enc:AQ==", "enc:é", "plain", "env:NAME", ""])
def test_a_value_that_was_not_encrypted_is_rejected(value: str) -> None:
    """A damaged or foreign value is a SecretUnreadable, whatever its shape."""
    with pytest.raises(SecretUnreadable):
        BOX.open(value)


def test_reveal_reads_the_environment_a_seal_or_the_literal() -> None:
    """`env:` names a variable, `enc:` is decrypted, and any other value is the secret itself."""
    box = SecretBox("a key", SecretVariables({"SECRET_STRIPE": "from outside", "SECRET_EMPTY": ""}))
    assert box.reveal("env:SECRET_STRIPE") == "from outside"
    assert box.reveal("env:SECRET_EMPTY") == ""
    assert box.reveal(box.seal("sealed")) == "sealed"
    assert box.reveal("literal") == "literal"


def test_reveal_names_the_variable_that_is_missing() -> None:
    """The operator learns which one to set."""
    with pytest.raises(SecretUnreadable, match="SECRET_STRIPE"):
        BOX.reveal("env:SECRET_STRIPE")


def test_a_box_never_shows_its_key() -> None:
    """Not even in a traceback's locals."""
    assert "installation" not in repr(BOX)
    assert "installation" not in str(vars(BOX))
