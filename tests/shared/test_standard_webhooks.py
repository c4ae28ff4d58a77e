"""Standard Webhooks: the published case, and signatures checked by the reference library."""

import base64
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from filas.crypto.standard_webhooks import InvalidSecret, decode_secret, sign, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
secrets = st.binary(min_size=1, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())


def test_the_published_case_is_signed_as_published() -> None:
    assert sign(SECRET, MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE


@given(secrets, ids, st.dictionaries(st.text(), st.integers()))
def test_the_reference_library_accepts_what_we_sign(secret: str, message_id: str, content: dict[str, int]) -> None:
    body = json.dumps(content).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = signed_headers([secret], message_id, now, body)
    assert standardwebhooks.Webhook(secret).verify(body, headers) == content


@given(secrets, secrets)
def test_either_secret_of_a_rotation_verifies(old: str, new: str) -> None:
    headers = signed_headers([old, new], MESSAGE_ID, int(datetime.now(UTC).timestamp()), BODY)
    for known in (old, new):
        standardwebhooks.Webhook(known).verify(BODY, headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_***", "whsec_abc", "ü"])
def test_an_invalid_secret_is_an_error_that_does_not_contain_it(secret: str) -> None:
    with pytest.raises(InvalidSecret) as refused:
        decode_secret(secret)
    assert secret.removeprefix("whsec_") in {"", "abc"} or secret not in str(refused.value)
