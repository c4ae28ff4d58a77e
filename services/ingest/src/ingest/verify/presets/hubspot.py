"""`hubspot`: version 3 of HubSpot's signature. `X-HubSpot-Signature-v3` is the base64 HMAC-SHA256 of method, URL, body
and the time in `X-HubSpot-Request-Timestamp`, which is in milliseconds and may differ from our clock by 300 s.

Source: developers.hubspot.com, "Validating requests", "Validate the v3 request signature".
"""

import re
from typing import Annotated, Final, Literal
from urllib.parse import unquote

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.credentials import Secrets
from ingest.verify.scheme import OwnKey, PlainScheme, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import TOLERANCE_S, decoded, signed_by_any, time_problem

_HEADER: Final = "X-HubSpot-Signature-v3"
_TIME: Final = "X-HubSpot-Request-Timestamp"
_DECODED: Final = re.compile(r"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
"""The characters that HubSpot decodes in the URL before it signs."""


class HubspotAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"hubspot","secrets":["client secret"],"url":"https://example.com/webhooks/crm"}`.

    `url` is the address that is configured at HubSpot, without the query. By default it is taken from the request.
    """

    type: Literal["hubspot"]
    secrets: Secrets
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^?#]{1,2000}(?!\n)$")] | None = None

    def scheme(self, reveal: Reveal) -> "HubspotScheme":
        """The check of the signature."""
        return HubspotScheme(revealed(self.secrets, reveal), self.url)


class HubspotScheme(PlainScheme):
    """Checks HubSpot's signature."""

    signs_requests = True
    own_key: OwnKey = "unsigned"
    sensitive_headers = frozenset({_HEADER.lower()})

    def __init__(self, secrets: tuple[bytes, ...], url: str | None) -> None:
        self._secrets = secrets
        self._url = url

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-missing`, `-malformed` or `-wrong`, `timestamp-malformed` or `-stale`."""
        headers = received_request.headers
        written, timestamp = headers.get(_HEADER), headers.get(_TIME)
        if written is None or timestamp is None:
            return "signature-missing"
        digest = decoded(sent_bytes(written.strip()), "base64")
        if digest is None:
            return "signature-malformed"
        problem = time_problem(timestamp.strip(), received_request.now, TOLERANCE_S)
        if problem is not None:
            return problem
        head = sent_bytes(received_request.method + self._called(received_request))
        signed = head + received_request.body + sent_bytes(timestamp.strip())
        return None if signed_by_any((digest,), self._secrets, signed, "sha256") else "signature-wrong"

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The URL and the body. A retry is signed with another time."""
        return sent_bytes(self._called(received_request)) + b"\0" + received_request.body

    def _called(self, received_request: ReceivedRequest) -> str:
        called = received_request.url()
        if self._url is not None:
            called = self._url + called[len(called.partition("?")[0]) :]
        return _DECODED.sub(lambda match: unquote(match[0]), called)
