"""An HMAC over a text that is made of parts of the request, with its signatures at a configurable place."""

import re
from dataclasses import dataclass
from typing import Final, cast

from filas.contract.storable_text import sent_bytes
from ingest.verify.request_values import Place, RequestValues
from ingest.verify.scheme import PlainScheme, ReceivedRequest
from ingest.verify.signature import Algorithm, Encoding, decoded, signed_by_any, time_problem
from ingest.verify.signature_pattern import SignaturePattern

_SIMILAR: Final = re.compile(r"\{\s*\w[^{}]*\}")
PLACEHOLDER: Final = re.compile(r"\{(body|timestamp|url|(?:header|query|form|json):[^{}]{1,200})\}")


def check_template(template: str) -> None:
    """Raises ValueError for a template of a signed text that has no placeholder, or a misspelt one."""
    unknown = [one for one in _SIMILAR.findall(template) if not PLACEHOLDER.fullmatch(one)]
    if unknown:
        raise ValueError(
            f"`template` contains {unknown[0][:60]}, which is unknown; it may contain {{body}}, {{timestamp}}, "
            "{url}, {header:NAME}, {query:NAME}, {form:NAME} and {json:PATH}"
        )
    if not PLACEHOLDER.search(template):
        raise ValueError("`template` must contain a part of the request, such as {body}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSignature:
    """How a sender signs: the value at `place` has signatures, and perhaps the time, as `pattern` states.

    The time is that of `timestamp_header` if there is one. It is in seconds or in milliseconds since 1970.
    """

    place: Place
    name: str
    pattern: SignaturePattern
    template: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    timestamp_header: str | None = None
    tolerance_s: float | None = None


class SignedTextScheme(PlainScheme):
    """Computes the signature with each secret and compares the digests."""

    signs_requests = True

    def __init__(self, signature: TextSignature, secrets: tuple[bytes, ...]) -> None:
        self._signature = signature
        self._secrets = secrets
        self._template = PLACEHOLDER.split(signature.template)
        parts = {place.partition(":")[0] for place in self._template[1::2]}
        self.reads_fields = signature.place == "form" or not parts.isdisjoint(("form", "json"))
        if signature.place == "header":
            self.sensitive_headers = frozenset({signature.name.lower()})
        elif signature.place == "query":
            self.sensitive_query = frozenset({signature.name})

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-` or `timestamp-missing`, `-malformed`, `signature-wrong` or `timestamp-stale`."""
        signature = self._signature
        values = RequestValues(received_request)
        written = values.value(signature.place, signature.name)
        if written is None:
            return "signature-missing"
        timestamp, signatures = signature.pattern.read(written)
        digests = [digest for one in signatures if (digest := decoded(one, signature.encoding)) is not None]
        if not digests:
            return "signature-malformed"
        if signature.timestamp_header is not None:
            timestamp = values.value("header", signature.timestamp_header)
        if timestamp is None and "timestamp" in self._template[1::2]:
            return "timestamp-missing"
        problem = time_problem((timestamp or b"").decode("latin-1"), received_request.now, signature.tolerance_s)
        if problem is not None:
            return problem
        signed = self._signed(values, received_request, timestamp or b"")
        if signed is None:
            return "signature-malformed"
        return None if signed_by_any(digests, self._secrets, signed, signature.algorithm) else "signature-wrong"

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The signed text. It does not have the body if the template has none."""
        signature, values = self._signature, RequestValues(received_request)
        timestamp, _ = signature.pattern.read(values.value(signature.place, signature.name) or b"")
        if signature.timestamp_header is not None:
            timestamp = values.value("header", signature.timestamp_header)
        return self._signed(values, received_request, timestamp or b"")

    def _signed(self, values: RequestValues, received_request: ReceivedRequest, timestamp: bytes) -> bytes | None:
        """The text; None if the request lacks a part of it."""
        parts: list[bytes] = []
        for index, part in enumerate(self._template):
            place, _, name = part.partition(":")
            found: bytes | None
            if index % 2 == 0:
                found = part.encode()
            elif part == "body":
                found = received_request.body
            elif part == "timestamp":
                found = timestamp
            elif part == "url":
                found = sent_bytes(received_request.url())
            elif place == "json":
                found = values.member(name)
            else:
                found = values.value(cast("Place", place), name)
            if found is None:
                return None
            parts.append(found)
        return b"".join(parts)
