"""Standard Webhooks: how our outgoing webhooks are signed. Ingest's scheme verifies incoming ones.

The specification: https://www.standardwebhooks.com. The signature is over `{id}.{timestamp}.{body}`, the body
being the raw bytes. `v1` is HMAC-SHA256 under the secret, which is written `whsec_` and base64.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from filas.contract.storable_text import lossless_bytes

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

_PREFIX = "whsec_"


class InvalidSecret(ValueError):
    """A secret is not base64, with or without `whsec_` before it. The message doesn't repeat it."""


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


def _signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    signed = b"%b.%d.%b" % (lossless_bytes(message_id), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
