"""The redactor: a secret is hidden in each common encoding of it, and nothing else is."""

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from filas.crypto.redaction import HIDDEN, Redactor
from tests.cpu_costs import cpu_s

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"

Encode = Callable[[str], str]


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _url_b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _percent_all(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def _some_percent(text: str) -> str:
    """Each second character is encoded."""
    return "".join(_percent_all(one) if index % 2 else quote(one, safe="") for index, one in enumerate(text))


def _html_numbers(text: str) -> str:
    return "".join(f"&#x{ord(one):X};" if index % 3 else f"&#{ord(one)};" for index, one in enumerate(text))


ENCODINGS: dict[str, Encode] = {
    "raw": str,
    "upper": str.upper,
    "json": json.dumps,
    "json-unicode": lambda text: json.dumps(text, ensure_ascii=False),
    "json-slash": lambda text: json.dumps(text).replace("/", "\\/"),
    "json-twice": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "html": html.escape,
    "html-numbers": _html_numbers,
    "quote": lambda text: quote(text, safe=""),
    "quote-lower": lambda text: quote_plus(text).lower() if text.islower() else quote_plus(text),
    "quote-path": quote,
    "form": quote_plus,
    "quote-twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent-all": _percent_all,
    "percent-some": _some_percent,
    "html-of-json": lambda text: html.escape(json.dumps(text)),
    "quote-of-json": lambda text: quote(json.dumps(text)),
    "base64": _b64,
    "base64-url": _url_b64,
    "base64-quoted": lambda text: quote(_b64(text), safe=""),
    "base64-user": lambda text: _b64(f"user:{text}"),
    "base64-after": lambda text: _b64(f"{text}:x"),
    "base64-offset-1": lambda text: _b64(f"u{text}@@"),
    "base64-offset-2": lambda text: _url_b64(f"uv{text}@"),
    "base64-wrapped": lambda text: base64.encodebytes(f"some text before it: {text} and after".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex-upper": lambda text: text.encode().hex().upper(),
}

SECRETS = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=20),
    st.text(st.sampled_from('ab%41&lt;\\"n+ /='), min_size=8, max_size=20),
    st.just(PEM),
)


def _pieces(secret: str) -> set[str]:
    return {secret[at : at + 8] for at in range(len(secret) - 7)}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(secret=SECRETS, before=st.text(max_size=5), after=st.sampled_from(["", " ", '"}', "&x=1", "\n", ";"]))
def test_no_piece_of_a_secret_is_left_in_any_encoding(encoding: str, secret: str, before: str, after: str) -> None:
    """In any context. The encoded text has no piece of 8 characters left either."""
    assume(before.isprintable() and not before.endswith(("%", "\\", "&")))
    assume(len(set(secret)) > 3)
    encoded = ENCODINGS[encoding](secret)
    redactor = Redactor()
    redactor.hide(secret)
    shown = redactor.text(f"{before} {encoded}{after}")
    assert HIDDEN in shown
    left = shown.replace(HIDDEN, "\0")
    assert not any(piece in left for piece in _pieces(secret))
    if encoding in ("hex", "hex-upper", "percent-all", "html-numbers", "base64", "base64-url"):
        assert not any(piece in left for piece in _pieces(encoded[1:-4]))
    assert redactor.clean({"a": [{"b": f"{before} {encoded}{after}"}]})["a"][0]["b"] == shown
    assert list(redactor.clean({f"{before} {encoded}{after}": 1})) == [shown]


@given(secret=st.text(min_size=4, max_size=20), text=st.text(max_size=50))
def test_a_text_without_the_secret_is_not_changed(secret: str, text: str) -> None:
    """Whatever both contain; no text is an error."""
    redactor = Redactor()
    redactor.hide(secret)
    shown = redactor.text(text)
    if HIDDEN not in shown:
        assert shown == text


def test_the_text_around_a_secret_is_kept() -> None:
    redactor = Redactor()
    redactor.hide('pass"word/1')
    body = {"a": 'x pass"word/1 y', "b": json.dumps({"k": 'pass"word/1', "n": 1}), "c": 5, "d": ["x", None, True]}
    assert redactor.clean(body) == {
        "a": f"x {HIDDEN} y",
        "b": f'{{"k": "{HIDDEN}", "n": 1}}',
        "c": 5,
        "d": ["x", None, True],
    }
    assert redactor.text("https://h/p?key=pass%22word%2F1&n=1") == f"https://h/p?key={HIDDEN}&n=1"
    assert redactor.text("a 50% discount & more \\o/ 1+1") == "a 50% discount & more \\o/ 1+1"


def test_a_multi_line_secret_is_hidden_by_line_and_without_its_line_breaks() -> None:
    redactor = Redactor()
    redactor.hide(PEM)
    for text in (
        "MIIEvQIBADANBgkqhkiG9w0B",
        PEM.replace("\n", "\r\n    "),
        PEM.replace("\n", ""),
        json.dumps(PEM),
        json.dumps({"key": json.dumps(PEM)}),
        _b64(PEM),
    ):
        assert "AQEFAASCBKcw" not in redactor.text(text)
        assert "MIIEvQIB" not in redactor.text(text)
    assert redactor.text("-----BEGIN CERTIFICATE-----") == "-----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize("secret", ["1", "abc", 7, 0, "é"])
def test_a_short_secret_is_hidden_only_as_a_whole_value(secret: object) -> None:
    """A part of an ordinary text is not."""
    redactor = Redactor()
    redactor.hide(secret)
    text = f"x{secret}y {secret}"
    assert redactor.clean({"k": secret, "t": text, "n": [True, None]}) == {"k": HIDDEN, "t": text, "n": [True, None]}


def test_numbers_and_values_of_objects_are_hidden() -> None:
    redactor = Redactor()
    redactor.hide({"pin": 4711.0, "nested": [{"card": "4111-1111"}], "flag": True, "none": None})
    shown = redactor.clean({"a": 4711, "b": "pin 4711", "c": "4111-1111", "4111-1111": 1, "d": True, "e": 47110})
    assert shown == {"a": HIDDEN, "b": f"pin {HIDDEN}", "c": HIDDEN, HIDDEN: 1, "d": True, "e": 47110}


def test_a_secret_that_was_cut_is_hidden() -> None:
    """Its first half: a library may cut a value before it is redacted."""
    redactor = Redactor()
    redactor.hide("sk_live_0123456789abcdefghijklmn")
    assert (
        redactor.text("cannot convert 'sk_live_0123456789…' to a number") == f"cannot convert '{HIDDEN}…' to a number"
    )
    redactor.hide("x1".join(map(str, range(100))))
    assert "x1" not in redactor.text("x1".join(map(str, range(100)))[:80])
    assert redactor.text("keys begin with sk_live_0") == "keys begin with sk_live_0"


def test_a_prefix_of_webhook_secrets_is_not_needed() -> None:
    redactor = Redactor()
    redactor.hide("whsec_cGxhbnRlZC10b2tlbi1vZi1odHRw")
    assert redactor.text("the key is cGxhbnRlZC10b2tlbi1vZi1odHRw.") == f"the key is {HIDDEN}."


def test_an_empty_redactor_returns_the_same_object() -> None:
    """Flows without secrets pay nothing."""
    value: Any = {"a": ["b"] * 10}
    assert Redactor().clean(value) is value
    redactor = Redactor()
    redactor.hide("a secret of ours")
    assert redactor.clean(value) is value


def test_the_cost_is_linear() -> None:
    """CPU time for 1 MiB of escapes, with twenty secrets: hidden or not. Four times the text costs about four times."""
    redactor = Redactor()
    for number in range(20):
        redactor.hide(f'secret number {number} of the tests / & "quoted"')

    def cost(unit: str, size: int, limit: float | None = None) -> float:
        text = unit * (size // len(unit))
        return cpu_s(lambda: redactor.clean({"text": text}), limit)

    for unit in (
        "plain text ",
        '\\"',
        "%25",
        "&amp;",
        "\\\\",
        "\n",
        "secret number 7 of the tests / &amp; &quot;quoted&quot; ",
    ):
        limit = 12 * cost(unit, 1 << 16) + 0.02
        assert cost(unit, 1 << 18, limit) < limit, unit
