"""`sendgrid`: the signed event webhook. `X-Twilio-Email-Event-Webhook-Signature` is the base64 ECDSA signature (P-256,
SHA-256) of the timestamp in `X-Twilio-Email-Event-Webhook-Timestamp` and the raw body.

The secret is SendGrid's verification key, a public key in base64. The time has no window, because SendGrid repeats a
failed request for a day; a captured body is a duplicate.

Source: twilio.com/docs/sendgrid, "Getting Started with the Event Webhook Security Features".
"""

import binascii
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from filas.contract.storable_text import sent_bytes
from filas.errors import SecretUnreadable
from ingest.verify.credentials import Secrets
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import decoded

_HEADER: Final = "X-Twilio-Email-Event-Webhook-Signature"
_TIME: Final = "X-Twilio-Email-Event-Webhook-Timestamp"


class SendgridAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"sendgrid","secrets":["verification key"]}`."""

    type: Literal["sendgrid"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "SendgridScheme":
        """The check of the signature. Raises SecretUnreadable if no secret is a public key."""
        keys = [key for secret in revealed(self.secrets, reveal) if (key := _public_key(secret)) is not None]
        if not keys:
            raise SecretUnreadable("a verification key of SendGrid is a P-256 public key in base64")
        return SendgridScheme(keys)


class SendgridScheme(PlainScheme):
    """Checks SendGrid's signature."""

    signs_requests = True
    own_key: OwnKey = "unsigned"
    sensitive_headers = frozenset({_HEADER.lower()})

    def __init__(self, keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
        self._keys = keys

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`."""
        headers = received_request.headers
        written, timestamp = headers.get(_HEADER), headers.get(_TIME)
        if written is None or timestamp is None:
            return "signature-missing"
        signature = decoded(sent_bytes(written.strip()), "base64")
        if signature is None:
            return "signature-malformed"
        signed = sent_bytes(timestamp.strip()) + received_request.body
        return None if any(_is_right(key, signature, signed) for key in self._keys) else "signature-wrong"

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The body. A retry is signed with another timestamp."""
        return received_request.body


def _public_key(secret: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        key = serialization.load_der_public_key(binascii.a2b_base64(secret))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def _is_right(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
