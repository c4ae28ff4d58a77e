"""What counts when a contact's words are compared with an author's texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contract.comparable_text import comparable
from filas.contract.storable_text import is_storable


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["Não", "NAO", "não!", " nâo. ", "na\u0303o"], id="case, accents and punctuation"),
        pytest.param(["Guarda-chuva", "guarda chuva", "guardachuva", "GUARDA - CHUVA"], id="hyphens and blanks"),
        pytest.param(["Sim", "✅ Sim", "sim 👍🏽", "¡sim!", "«Sim»", "\u200bsim\ufeff"], id="symbols"),
        pytest.param(["2", "2\ufe0f\u20e3", "\uff12", "\u2461", "\u0662", "2.", "(2)", "# 2"], id="digits"),
        pytest.param(["10", "🔟", "1\ufe0f\u20e30\ufe0f\u20e3", "\u2469"], id="ten"),
        pytest.param(["1,5 kg", "1.5kg"], id="a decimal"),
        pytest.param(["Straße", "STRASSE"], id="case that changes the length"),
        pytest.param(["İstanbul", "istanbul"], id="a dotted capital"),
        pytest.param(["\ufb01m", "FIM", "\uff46\uff49\uff4d"], id="compatible letters"),
        pytest.param(["👍", " 👍\ufe0f"], id="only a symbol"),
        pytest.param(["?!", "?!"], id="only punctuation"),
    ],
)
def test_these_texts_are_equal(texts: list[str]) -> None:
    forms = {comparable(text) for text in texts}
    assert len(forms) == 1
    assert None not in forms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,5", "15"),
        ("10:30", "1030"),
        ("menu", "menus"),
        ("²", "2"),
        ("👍", "👎"),
        ("C++", "C"),
        ("की", "का"),
        ("?", "!"),
        ("R$", "US$"),
    ],
)
def test_these_texts_differ(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize("text", ["", "  \n", "\u200b", "x" * 201])
def test_a_text_that_names_nothing_has_no_form(text: str) -> None:
    assert comparable(text) is None


@given(st.text(alphabet=st.characters(codec=None, categories=None)))
def test_every_form_can_be_stored(text: str) -> None:
    """Also that of a NUL or of half of a surrogate pair."""
    form = comparable(text)
    assert form is None or is_storable(form)
    assert form is None or comparable(form) == form or len(form) > 200
