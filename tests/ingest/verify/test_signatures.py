"""`hmac` and `meta`: signatures over the raw body."""

import base64
import hashlib
import hmac
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.verify.scheme import Handshake
from tests.ingest.verify.received_requests import received_request, scheme

GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
GITHUB = {"type": "hmac", "secrets": [GITHUB_SECRET], "header": "X-Hub-Signature-256", "prefix": "sha256="}

META = scheme(type="meta", secrets=["app secret"], verifyToken="a token")
NOW = 1_790_000_000.0


def meta_signature(body: bytes, secret: bytes = b"app secret") -> dict[str, str]:
    """Returns the signature of Meta."""
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}


def test_the_published_case_of_github_passes() -> None:
    """From GitHub's documentation, "Validating webhook deliveries"."""
    request = received_request(b"Hello, World!", {"X-Hub-Signature-256": GITHUB_SIGNATURE})
    assert scheme(**GITHUB).rejection_reason(request) is None
    assert scheme(type="meta", secrets=[GITHUB_SECRET]).rejection_reason(request) is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "signature-missing"),
        ("", "signature-malformed"),
        (GITHUB_SIGNATURE.removeprefix("sha256="), "signature-malformed"),
        (GITHUB_SIGNATURE.replace("sha256", "sha1"), "signature-malformed"),
        (GITHUB_SIGNATURE[:-1], "signature-malformed"),
        (GITHUB_SIGNATURE[:-2], "signature-wrong"),
        (GITHUB_SIGNATURE[:-1] + "z", "signature-malformed"),
        (GITHUB_SIGNATURE[:-1] + "8", "signature-wrong"),
        ("sha256=", "signature-wrong"),
        ("sha256=é\udcff", "signature-malformed"),
    ],
)
def test_a_wrong_signature_header_is_rejected(header: str | None, reason: str) -> None:
    """Missing, malformed (no prefix, odd or foreign digits, non-ASCII) and wrong. None raises an exception."""
    headers = {} if header is None else {"X-Hub-Signature-256": header}
    for auth in (GITHUB, {"type": "meta", "secrets": [GITHUB_SECRET]}):
        assert scheme(**auth).rejection_reason(received_request(b"Hello, World!", headers)) == reason


def test_a_changed_body_and_another_secret_are_rejected() -> None:
    """The signature is for these bytes and this secret."""
    headers = {"X-Hub-Signature-256": GITHUB_SIGNATURE}
    assert scheme(**GITHUB).rejection_reason(received_request(b"Hello, World", headers)) == "signature-wrong"
    other = {**GITHUB, "secrets": ["another secret"]}
    assert scheme(**other).rejection_reason(received_request(b"Hello, World!", headers)) == "signature-wrong"
    rotated = {**GITHUB, "secrets": ["another secret", GITHUB_SECRET]}
    assert scheme(**rotated).rejection_reason(received_request(b"Hello, World!", headers)) is None


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_every_algorithm_and_encoding(algorithm: str, encoding: str) -> None:
    """As an independent implementation signs."""
    digest = hmac.new(b"key", b'{"a":1}', algorithm).digest()
    written = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    check = scheme(type="hmac", secrets=["key"], header="X-Sig", algorithm=algorithm, encoding=encoding)
    assert check.rejection_reason(received_request(b'{"a":1}', {"X-Sig": written})) is None
    assert check.rejection_reason(received_request(b'{"a":2}', {"X-Sig": written})) == "signature-wrong"
    assert check.rejection_reason(received_request(b'{"a":1}', {"X-Sig": written + "="})) == "signature-malformed"


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (str(int(NOW)), None),
        (str(int(NOW) - 300), None),
        (str(int(NOW) + 300), None),
        (str(int(NOW) - 301), "timestamp-stale"),
        (str(int(NOW) + 301), "timestamp-stale"),
        ("soon", "timestamp-malformed"),
        ("١٧٩٠٠٠٠٠٠٠", "timestamp-malformed"),
        ("9" * 400, "timestamp-malformed"),
        ("-1", "timestamp-malformed"),
        ("", "timestamp-malformed"),
        (None, "timestamp-missing"),
    ],
)
def test_a_timestamp_outside_of_the_window_is_rejected(timestamp: str | None, reason: str | None) -> None:
    """300 s on both sides. The timestamp is signed too, so an old request cannot be made recent."""
    check = scheme(
        type="hmac",
        secrets=["key"],
        header="X-Sig",
        template="v0:{timestamp}:{body}",
        timestampHeader="X-Time",
        toleranceSeconds=300,
    )
    body = b'{"amount":"{timestamp}"}'  # what looks like a placeholder in the body is none
    signed = b"v0:" + (timestamp or "").encode() + b":" + body
    headers = {"X-Sig": hmac.new(b"key", signed, "sha256").hexdigest()}
    if timestamp is not None:
        headers["X-Time"] = timestamp
    assert check.rejection_reason(received_request(body, headers, now=NOW)) == reason
    if reason is None:
        headers["X-Time"] = str(int(NOW) - 1)
        assert check.rejection_reason(received_request(body, headers, now=NOW)) == "signature-wrong"


def test_meta_signs_with_the_app_secret_over_the_raw_bytes() -> None:
    """Meta escapes non-ASCII characters before it signs, so the raw bytes are needed."""
    body = rb'{"text":"\u00e1\u00e9 \/"}'
    assert META.rejection_reason(received_request(body, meta_signature(body))) is None
    assert (
        META.rejection_reason(received_request(body.replace(rb"\/", b"/"), meta_signature(body))) == "signature-wrong"
    )
    assert META.rejection_reason(received_request(body, meta_signature(body, b"other"))) == "signature-wrong"


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({"hub.mode": "subscribe", "hub.verify_token": "a token", "hub.challenge": "42"}, Handshake(200, "42")),
        ({"hub.mode": "subscribe", "hub.verify_token": "a guess", "hub.challenge": "42"}, Handshake(403)),
        ({"hub.mode": "subscribe", "hub.verify_token": "é", "hub.challenge": "42"}, Handshake(403)),
        ({"hub.mode": "subscribe", "hub.challenge": "42"}, Handshake(403)),
        ({"hub.mode": "unsubscribe", "hub.verify_token": "a token"}, None),
        ({}, None),
    ],
)
def test_metas_challenge_is_echoed_if_the_token_is_correct(query: dict[str, str], answer: Handshake | None) -> None:
    """Only then, and only by GET."""
    assert META.handshake(received_request(method="GET", query=query)) == answer
    assert META.handshake(received_request(method="POST", query=query)) is None


def test_without_a_verify_token_no_challenge_is_answered() -> None:
    """An empty token of the caller must not equal an absent token."""
    query = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "42"}
    check = scheme(type="meta", secrets=["app secret"])
    assert check.handshake(received_request(method="GET", query=query)) == Handshake(403)


_SCHEMES = [
    scheme(type="basic", secrets=["u:p"]),
    scheme(type="bearer", secrets=["t"]),
    scheme(type="api-key", secrets=["t"]),
    scheme(**GITHUB),
    scheme(
        type="hmac",
        secrets=["k"],
        header="X-Sig",
        encoding="base64",
        template="{timestamp}.{body}",
        timestampHeader="X-Time",
        toleranceSeconds=1,
    ),
    META,
]
_ANY_TEXT = st.text(st.characters(codec=None), max_size=60) | st.text(string.hexdigits + "=,: ", max_size=90)


@given(
    value=_ANY_TEXT,
    prefix=st.sampled_from(["", "sha256=", "Basic ", "Bearer "]),
    timestamp=_ANY_TEXT,
    body=st.binary(max_size=100),
)
def test_any_other_header_is_rejected_without_an_exception(
    value: str, prefix: str, timestamp: str, body: bytes
) -> None:
    """Lone surrogates included, with a reason."""
    names = ("Authorization", "X-Api-Key", "X-Hub-Signature-256", "X-Sig")
    headers = dict.fromkeys(names, prefix + value) | {"X-Time": timestamp}
    query = {"hub.mode": "subscribe", "hub.verify_token": value, "hub.challenge": value}
    for check in _SCHEMES:
        reason = check.rejection_reason(received_request(body, headers))
        assert reason is not None or (prefix + value).split()[-1:] == ["t"] or value.strip() == "t"
        handshake = check.handshake(received_request(method="GET", query=query))
        assert handshake is None or handshake.status == 403 or value == "a token"
