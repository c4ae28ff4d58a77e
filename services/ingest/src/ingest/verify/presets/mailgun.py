"""`mailgun`: the hex HMAC-SHA256 of `timestamp` and `token`, in the object `signature` of the JSON body or, for routes,
in fields of the form.

The token is used once, so it is the key of the event and a captured request is a duplicate. The time has no window:
Mailgun repeats a failed request for eight hours. The rest of the body is not signed.

Source: documentation.mailgun.com, "Securing Webhooks".
"""

from typing import Any, Literal

import msgspec

from ingest.verify.credentials import Secrets
from ingest.verify.presets.document_ids import id_at
from ingest.verify.request_values import RequestValues
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import decoded, signed_by_any


class MailgunAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"mailgun","secrets":["HTTP webhook signing key"]}`."""

    type: Literal["mailgun"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "MailgunScheme":
        """The check of the signature."""
        return MailgunScheme(revealed(self.secrets, reveal))


class MailgunScheme(PlainScheme):
    """Checks Mailgun's signature."""

    signs_requests = True
    reads_fields = True
    own_key: OwnKey = "unsigned"

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = secrets

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`."""
        timestamp, token, written = (_value(received_request, name) for name in ("timestamp", "token", "signature"))
        if not timestamp or not token or not written:
            return "signature-missing"
        digest = decoded(written, "hex")
        if digest is None:
            return "signature-malformed"
        is_signed = signed_by_any((digest,), self._secrets, timestamp + token, "sha256")
        return None if is_signed else "signature-wrong"

    def duplicate_key(self, received_request: ReceivedRequest, document: Any, _key: str | None, /) -> str | None:
        """The id of the event, otherwise the token."""
        token = _value(received_request, "token") or b""
        return id_at(document, "event-data", "id") or token.decode("utf-8", "replace") or None

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The time and the token."""
        return (_value(received_request, "timestamp") or b"") + (_value(received_request, "token") or b"")


def _value(received_request: ReceivedRequest, name: str) -> bytes | None:
    values = RequestValues(received_request)
    return values.member(f"signature.{name}") or values.value("form", name)
