"""Standard Webhooks: the published case, the reference library as an oracle, and messages made to deceive."""

import base64
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from filas.standard_webhooks import InvalidSecret, NotVerified, decode_secret, sign, signed_headers, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
secrets = st.binary(min_size=1, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())


def test_the_published_case_is_signed_as_published() -> None:
    assert sign(SECRET, MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE
    verify([SECRET], HEADERS, BODY, now_s=TIMESTAMP)


@given(secrets, ids, st.dictionaries(st.text(), st.integers()))
def test_the_reference_library_accepts_what_we_sign(secret: str, message_id: str, content: dict[str, int]) -> None:
    body = json.dumps(content).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = signed_headers([secret], message_id, now, body)
    assert standardwebhooks.Webhook(secret).verify(body, headers) == content


@given(secrets, ids, st.text(max_size=100))
def test_we_accept_what_the_reference_library_signs(secret: str, message_id: str, text: str) -> None:
    now = datetime.fromtimestamp(TIMESTAMP, UTC)
    signature = standardwebhooks.Webhook(secret).sign(message_id, now, text)
    headers = {**HEADERS, "webhook-id": message_id, "webhook-signature": signature}
    verify([secret], headers, text.encode(), now_s=TIMESTAMP + 300)


def test_either_secret_of_a_rotation_verifies() -> None:
    other = "whsec_" + base64.b64encode(b"another").decode()
    headers = signed_headers([SECRET, other], MESSAGE_ID, TIMESTAMP, BODY)
    for known in ([SECRET], [other], [other, SECRET]):
        verify(known, headers, BODY, now_s=TIMESTAMP)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-signature": SIGNATURE[:-3] + "A="}, "wrong signature"),
        ({"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, "wrong signature"),
        ({"webhook-signature": SIGNATURE.removeprefix("v1,")}, "wrong signature"),
        ({"webhook-signature": "v1,ü\udcff"}, "wrong signature"),
        ({"webhook-signature": "v1,"}, "wrong signature"),
        ({"webhook-signature": ""}, "missing header"),
        ({"webhook-id": "msg_other"}, "wrong signature"),
        ({"webhook-id": ""}, "missing header"),
        ({"webhook-timestamp": "soon"}, "malformed timestamp"),
        ({"webhook-timestamp": "-5"}, "malformed timestamp"),
        ({"webhook-timestamp": "9" * 5000}, "malformed timestamp"),
        ({"webhook-timestamp": "١٦"}, "malformed timestamp"),
        ({"webhook-timestamp": str(TIMESTAMP + 1)}, "wrong signature"),
        ({"webhook-timestamp": str(TIMESTAMP - 301)}, "timestamp out of range"),
        ({"webhook-timestamp": str(TIMESTAMP + 301)}, "timestamp out of range"),
    ],
)
def test_a_message_that_was_changed_is_not_verified(change: dict[str, str], why: str) -> None:
    with pytest.raises(NotVerified, match=why):
        verify([SECRET], HEADERS | change, BODY, now_s=TIMESTAMP)


def test_a_changed_body_is_not_verified() -> None:
    with pytest.raises(NotVerified):
        verify([SECRET], HEADERS, BODY + b" ", now_s=TIMESTAMP)


@given(st.dictionaries(st.sampled_from(sorted(HEADERS)), st.text()), st.binary(max_size=50))
def test_no_message_makes_it_fail_otherwise(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(NotVerified):
        verify([SECRET], headers, body, now_s=TIMESTAMP)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_***", "whsec_abc", "ü"])
def test_a_secret_that_is_no_secret_is_named_so_without_repeating_it(secret: str) -> None:
    with pytest.raises(InvalidSecret) as refused:
        decode_secret(secret)
    assert secret.removeprefix("whsec_") in {"", "abc"} or secret not in str(refused.value)
