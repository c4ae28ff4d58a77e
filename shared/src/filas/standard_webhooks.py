"""Standard Webhooks: how our outgoing webhooks are signed, and incoming ones of that kind verified.

The specification: https://www.standardwebhooks.com. The signature is over `{id}.{timestamp}.{body}`, the body
being the raw bytes. `v1` is HMAC-SHA256 under the secret, which is written `whsec_` and base64.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

TOLERANCE_S = 300
"""How far a timestamp may lie from now, before it or after."""

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

_PREFIX = "whsec_"


class InvalidSecret(ValueError):
    """A secret is not base64, with or without `whsec_` before it. The message doesn't repeat it."""


class NotVerified(ValueError):
    """The message is not signed with any of the secrets, or too old. The message is one word or two: why."""


def decode_secret(secret: str) -> bytes:
    """The key in a secret as it is handed out: `whsec_` and base64. Raises InvalidSecret."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSecret("a Standard Webhooks secret is whsec_ followed by base64") from None
    if not key:
        raise InvalidSecret("a Standard Webhooks secret is empty")
    return key


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The signature, `v1,` and base64. Raises InvalidSecret."""
    return _signature(decode_secret(secret), message_id, timestamp_s, body)


def signed_headers(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of an outgoing webhook, with one signature a secret, so that a secret can be rotated.

    `message_id` is the same for every try of one message; `timestamp_s` is now. Raises InvalidSecret.
    """
    signatures = " ".join(sign(secret, message_id, timestamp_s, body) for secret in secrets)
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: str(timestamp_s), SIGNATURE_HEADER: signatures}


def verify(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> None:
    """Check an incoming message. `headers` are looked up by lower-case names.

    Any `v1` signature of any of the secrets will do; other versions are passed over. Compares in constant
    time. Raises NotVerified for whatever is wrong with the message, InvalidSecret for a secret of ours.
    """
    message_id, written, given = (headers.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    if not message_id or not written or not given:
        raise NotVerified("missing header")
    if not (written.isascii() and written.isdigit() and len(written) <= 12):
        raise NotVerified("malformed timestamp")
    timestamp_s = int(written)
    if abs(now_s - timestamp_s) > tolerance_s:
        raise NotVerified("timestamp out of range")
    candidates = [part.encode("utf-8", "replace") for part in given.split(" ") if part.startswith("v1,")]
    matched = False
    for secret in secrets:
        expected = _signature(decode_secret(secret), message_id, timestamp_s, body).encode()
        for candidate in candidates:
            # Every pair is compared, so that the time tells nothing about which one matched.
            matched = hmac.compare_digest(expected, candidate) or matched
    if not matched:
        raise NotVerified("wrong signature")


def _signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    signed = b"%b.%d.%b" % (message_id.encode("utf-8", "surrogatepass"), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
