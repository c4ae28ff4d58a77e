"""Signs outgoing webhooks according to Standard Webhooks. Ingest verifies incoming ones.

Source: https://www.standardwebhooks.com. The signature covers `{id}.{timestamp}.{body}` with the raw bytes of the body.
`v1` is HMAC-SHA256 with the secret, which is written as `whsec_` and base64.
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
    """A secret is not base64, with or without the prefix `whsec_`. The message does not repeat it."""


def decode_secret(secret: str) -> bytes:
    """Returns the key of a secret that is written as `whsec_` and base64. Raises InvalidSecret."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSecret("a Standard Webhooks secret is whsec_ followed by base64") from None
    if not key:
        raise InvalidSecret("a Standard Webhooks secret is empty")
    return key


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Returns the signature: `v1,` and base64. Raises InvalidSecret."""
    return _signature(decode_secret(secret), message_id, timestamp_s, body)


def signed_headers(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Returns the three headers of an outgoing webhook, with one signature per secret, so that secrets can be rotated.

    `message_id` is the same for every attempt of one message. `timestamp_s` is the present time. Raises InvalidSecret.
    """
    signatures = " ".join(sign(secret, message_id, timestamp_s, body) for secret in secrets)
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: str(timestamp_s), SIGNATURE_HEADER: signatures}


def _signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    signed = b"%b.%d.%b" % (lossless_bytes(message_id), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
