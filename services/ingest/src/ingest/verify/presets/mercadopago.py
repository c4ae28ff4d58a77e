"""`mercadopago`: `x-signature: ts=…,v1=…`, where `v1` is the hex HMAC-SHA256 of
`id:{data.id};request-id:{x-request-id};ts:{ts};`.

`data.id` is the query parameter, in lower case. A part whose value is absent is left out. The body is not signed, so a
flow should read the payment from Mercado Pago's API. The time may differ from our clock by 300 s.

Source: mercadopago.com.br/developers, "Webhooks", "Validate the origin of a notification".
"""

from typing import Any, Final, Literal

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.credentials import Secrets
from ingest.verify.presets.document_ids import id_at
from ingest.verify.request_values import RequestValues
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import TOLERANCE_S, decoded, signed_by_any, time_problem

_HEADER: Final = "x-signature"


class MercadoPagoAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"mercadopago","secrets":["…"]}`."""

    type: Literal["mercadopago"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "MercadoPagoScheme":
        """The check of the signature."""
        return MercadoPagoScheme(revealed(self.secrets, reveal))


class MercadoPagoScheme(PlainScheme):
    """Checks Mercado Pago's signature."""

    signs_requests = True
    own_key: OwnKey = "unsigned"
    sensitive_headers = frozenset({_HEADER})

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = secrets

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`, `timestamp-malformed` or `-stale`."""
        parts = _parts(received_request)
        if not parts:
            return "signature-missing"
        digest = decoded(sent_bytes(parts.get("v1", "")), "hex")
        if not digest or "ts" not in parts:
            return "signature-malformed"
        problem = time_problem(parts["ts"], received_request.now, TOLERANCE_S)
        if problem is not None:
            return problem
        signed = _signed(received_request, parts["ts"])
        return None if signed_by_any((digest,), self._secrets, signed, "sha256") else "signature-wrong"

    def duplicate_key(self, _received_request: ReceivedRequest, document: Any, _key: str | None, /) -> str | None:
        """The `id` of the notification."""
        return id_at(document, "id")

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The signed text: the id of the resource, of the request, and the time."""
        return _signed(received_request, _parts(received_request).get("ts", ""))


def _parts(received_request: ReceivedRequest) -> dict[str, str]:
    written = received_request.headers.get(_HEADER, "")[:1000]
    pairs = (part.partition("=") for part in written.split(","))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _signed(received_request: ReceivedRequest, ts: str) -> bytes:
    values = RequestValues(received_request)
    resource, request_id = values.value("query", "data.id"), values.value("header", "x-request-id")
    parts = (("id", resource.lower() if resource else None), ("request-id", request_id), ("ts", sent_bytes(ts)))
    return b"".join(b"%b:%b;" % (name.encode(), value) for name, value in parts if value)
