"""`kiwify`: the query parameter `signature` is the hex HMAC-SHA1 of the raw body with the webhook's token.

Source: ajuda.kiwify.com.br, "Como funcionam os webhooks".
"""

from typing import Any, Literal

import msgspec

from ingest.verify.credentials import Secrets
from ingest.verify.presets.document_ids import id_at
from ingest.verify.request_values import RequestValues
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import decoded, signed_by_any


class KiwifyAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"kiwify","secrets":["token"]}`."""

    type: Literal["kiwify"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "KiwifyScheme":
        """The check of the signature."""
        return KiwifyScheme(revealed(self.secrets, reveal))


class KiwifyScheme(PlainScheme):
    """Checks Kiwify's signature."""

    signs_requests = True
    own_key: OwnKey = "signed"
    sensitive_query = frozenset({"signature"})

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = secrets

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`."""
        written = RequestValues(received_request).value("query", "signature")
        if not written:
            return "signature-missing"
        digest = decoded(written, "hex")
        if digest is None:
            return "signature-malformed"
        is_signed = signed_by_any((digest,), self._secrets, received_request.body, "sha1")
        return None if is_signed else "signature-wrong"

    def duplicate_key(self, _received_request: ReceivedRequest, document: Any, _key: str | None, /) -> str | None:
        """The id of the order and what happened to it."""
        order = id_at(document, "order_id")
        kind = id_at(document, "webhook_event_type") or id_at(document, "order_status")
        return f"{order}:{kind}" if order is not None and kind is not None else None

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The body."""
        return received_request.body
