"""`env:NAME`: which variables a secret may name, and which never."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.crypto.secret_box import SecretBox
from filas.crypto.secret_variables import SecretVariables
from filas.errors import SecretUnreadable
from filas.settings.process_settings import PROCESSES
from filas.settings.settings_reader import variables

OWN = sorted({variable.name for process in PROCESSES for variable in variables(process)})


@pytest.mark.parametrize("name", [*OWN, "FILAS_ANYTHING", "REDISCLI_AUTH", "PGPASSWORD", "POSTGRES_PASSWORD"])
@pytest.mark.parametrize("allow", [("*",), ("SECRET_*",), ("FILAS_*", "DATABASE_URL", "REDIS*", "SECRET_ENV_ALLOW")])
def test_no_pattern_allows_a_setting(name: str, allow: tuple[str, ...]) -> None:
    """Otherwise the API could show the key that encrypts the secrets."""
    for written in (name, name.lower()):
        box = SecretBox("a key", SecretVariables({written: "the value"}, allow))
        with pytest.raises(SecretUnreadable, match=f"{written} .*SECRET_ENV_ALLOW") as refused:
            box.reveal(f"env:{written}")
        assert "the value" not in str(refused.value)


def test_only_a_variable_that_matches_a_pattern_is_read() -> None:
    environ = {"SECRET_A": "a", "STRIPE_KEY": "b", "HOME": "c", "secret_b": "d"}
    default, other = SecretVariables(environ), SecretVariables(environ, ("STRIPE_*",))
    assert default.read("SECRET_A") == "a"
    assert other.read("STRIPE_KEY") == "b"
    for allowed, name in ((default, "STRIPE_KEY"), (default, "HOME"), (default, "secret_b"), (other, "SECRET_A")):
        with pytest.raises(SecretUnreadable, match=f"{name} does not match SECRET_ENV_ALLOW"):
            allowed.read(name)


def test_a_variable_that_is_not_utf_8_is_unreadable() -> None:
    """The operating system returns its bytes as lone surrogates, which no request can carry."""
    variables_ = SecretVariables({"SECRET_X": b"pa\xff55".decode("utf-8", "surrogateescape")})
    with pytest.raises(SecretUnreadable, match="SECRET_X of a secret is not UTF-8"):
        variables_.read("SECRET_X")
    box = SecretBox("a key")
    with pytest.raises(SecretUnreadable, match="not valid Unicode"):
        box.reveal(box.seal("\udcff"))


@given(st.text(), st.text())
def test_every_name_is_read_or_unreadable(name: str, value: str) -> None:
    """No name and no value causes another error."""
    box = SecretBox("a key", SecretVariables({name: value}, ("*",)))
    with suppress(SecretUnreadable):
        assert box.reveal(f"env:{name}") == value
