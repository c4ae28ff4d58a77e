"""`stripe`: `Stripe-Signature: t=…,v1=…`. One `v1` is the hex HMAC-SHA256 of `{t}.{body}`, at most 300 s from our
clock.

Other schemes in the header (`v0`) are ignored. The key is the secret as Stripe shows it, including `whsec_`.

Source: docs.stripe.com, "Verify webhook signatures manually".
"""

from typing import Any, Literal

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.credentials import Secrets
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import TOLERANCE_S, decoded, signed_by_any, time_problem

_HEADER = "Stripe-Signature"


class StripeAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"stripe","secrets":["whsec_…"]}`."""

    type: Literal["stripe"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "StripeScheme":
        """The check of the signature."""
        return StripeScheme(revealed(self.secrets, reveal))


class StripeScheme(PlainScheme):
    """Checks Stripe's signatures."""

    demands_json = True
    signs_requests = True
    own_key: OwnKey = "signed"
    sensitive_headers = frozenset({_HEADER.lower()})

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = secrets

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`, `timestamp-malformed` or `-stale`."""
        value = received_request.headers.get(_HEADER)
        if value is None:
            return "signature-missing"
        pairs = [(name.strip(), given.strip()) for name, _, given in (part.partition("=") for part in value.split(","))]
        timestamp = next((given for name, given in pairs if name == "t"), None)
        if timestamp is None:
            return "signature-malformed"
        written = [decoded(sent_bytes(given), "hex") for name, given in pairs if name == "v1"]
        digests = [digest for digest in written if digest is not None]
        if not digests:
            return "signature-malformed"
        problem = time_problem(timestamp, received_request.now, TOLERANCE_S)
        if problem is not None:
            return problem
        signed = b"%b.%b" % (timestamp.encode(), received_request.body)
        return None if signed_by_any(digests, self._secrets, signed, "sha256") else "signature-wrong"

    def duplicate_key(self, _received_request: ReceivedRequest, document: Any, _key: str | None, /) -> str | None:
        """The event's `id`."""
        identity = document.get("id") if isinstance(document, dict) else None
        return identity if isinstance(identity, str) and identity else None

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The body. Stripe signs a retry with another timestamp."""
        return received_request.body

    def lasting_content(self, document: Any, body: bytes, /) -> bytes:
        """The event without `pending_webhooks`, which changes between the attempts of a delivery."""
        if not isinstance(document, dict):
            return body
        return msgspec.json.encode({name: value for name, value in document.items() if name != "pending_webhooks"})
