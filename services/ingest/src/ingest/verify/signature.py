"""HMAC signatures in a header.

`SignatureScheme` is the whole check for providers with one signature in one header. `signed_by_any` and `time_problem`
are its two steps, for providers whose header has another format.
"""

import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from filas.contract.storable_text import sent_bytes
from ingest.verify.scheme import PlainScheme, ReceivedRequest

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

TOLERANCE_S = 300
"""The largest difference between a provider's timestamp and our clock, in seconds, unless a webhook configures it."""

_PLACEHOLDER = re.compile(r"(\{body\}|\{timestamp\})")
_TIMESTAMP = re.compile(r"[0-9]{1,15}", re.ASCII)
_MILLISECONDS_FROM = 10**11
"""A number from here on is in milliseconds: in seconds it would be a time after the year 5138, and in milliseconds any
smaller one a time before 1973."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How a sender signs: `header` has `prefix` and the HMAC of the text of `template`.

    In the template, `{body}` is the raw body and `{timestamp}` the value of `timestamp_header`. The timestamp may
    differ from our clock by `tolerance_s` seconds; None: by any time.
    """

    header: str
    prefix: str = ""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    template: str = "{body}"
    timestamp_header: str | None = None
    tolerance_s: float | None = None


class SignatureScheme(PlainScheme):
    """Computes the signature with each secret and compares the digests."""

    signs_requests = True

    def __init__(self, signature: Signature, secrets: tuple[bytes, ...]) -> None:
        self._signature = signature
        self._secrets = secrets
        self._prefix = signature.prefix.encode()
        self._template = [part.encode() for part in _PLACEHOLDER.split(signature.template)]
        self._is_plain = self._template == [b"", b"{body}", b""]
        self.sensitive_headers = frozenset({signature.header.lower()})

    def rejection_reason(self, received_request: ReceivedRequest) -> str | None:
        """`signature-` or `timestamp-missing`, `-malformed`, `signature-wrong` or `timestamp-stale`."""
        signature = self._signature
        value = received_request.headers.get(signature.header)
        if value is None:
            return "signature-missing"
        written = sent_bytes(value.strip())
        if not written.startswith(self._prefix):
            return "signature-malformed"
        digest = decoded(written[len(self._prefix) :], signature.encoding)
        if digest is None:
            return "signature-malformed"
        signed = received_request.body
        if signature.timestamp_header is not None:
            timestamp = received_request.headers.get(signature.timestamp_header)
            if timestamp is None:
                return "timestamp-missing"
            timestamp = timestamp.strip()
            problem = time_problem(timestamp, received_request.now, signature.tolerance_s)
            if problem is not None:
                return problem
            signed = self._signed(sent_bytes(timestamp), signed)
        elif not self._is_plain:
            signed = self._signed(b"", signed)
        return None if signed_by_any((digest,), self._secrets, signed, signature.algorithm) else "signature-wrong"

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The signed text: the body, with the timestamp if it is signed too."""
        if self._is_plain:
            return received_request.body
        timestamp = received_request.headers.get(self._signature.timestamp_header or "", "").strip()
        return self._signed(sent_bytes(timestamp), received_request.body)

    def _signed(self, timestamp: bytes, body: bytes) -> bytes:
        values = {b"{body}": body, b"{timestamp}": timestamp}
        return b"".join(values.get(part, part) for part in self._template)


def decoded(written: bytes, encoding: Encoding) -> bytes | None:
    """The digest that `written` encodes, None if it is not in `encoding`."""
    try:
        if encoding == "hex":
            return binascii.unhexlify(written)
        return binascii.a2b_base64(written, strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def signed_by_any(digests: Sequence[bytes], secrets: Sequence[bytes], signed: bytes, algorithm: Algorithm) -> bool:
    """Whether one of `digests` is the HMAC of `signed` with one of `secrets`. Every pair is compared in constant time,
    so that the time does not show which one fits."""
    found = False
    for secret in secrets:
        expected = hmac.digest(secret, signed, algorithm)
        for digest in digests:
            found |= hmac.compare_digest(digest, expected)
    return found


def time_problem(written: str, now: float, tolerance_s: float | None) -> str | None:
    """`timestamp-malformed` if `written` is not a number of seconds or milliseconds since 1970,
    `timestamp-stale` if it differs from `now` by more than `tolerance_s`, otherwise None.
    A `tolerance_s` of None accepts every text."""
    if tolerance_s is None:
        return None
    if not _TIMESTAMP.fullmatch(written):
        return "timestamp-malformed"
    time = float(written)
    if time >= _MILLISECONDS_FROM:
        time /= 1000
    return None if abs(now - time) <= tolerance_s else "timestamp-stale"
