"""A keyed hash in a header: the check behind every scheme that signs.

`SignatureScheme` does the whole of it for the providers that sign with one hash in one header. `signed_by_any`
and `time_problem` are the two steps of it for those who write their headers in a way of their own.
"""

import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from filas.contract.storable_text import sent_bytes
from ingest.verify.scheme import PlainScheme, Presented

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

TOLERANCE_S = 300
"""How far a provider's timestamp may lie from our clock, before or after, unless a webhook says otherwise."""

_PLACEHOLDER = re.compile(r"(\{body\}|\{timestamp\})")
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How a sender signs: in `header`, after `prefix`, the hash of `template`'s text.

    `{body}` in the template is the raw body and `{timestamp}` what stands in `timestamp_header`, which may not
    be farther than `tolerance_s` seconds from our clock; None: at any distance.
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

    def __init__(self, signature: Signature, secrets: tuple[bytes, ...]) -> None:
        self._signature = signature
        self._secrets = secrets
        self._prefix = signature.prefix.encode()
        self._template = [part.encode() for part in _PLACEHOLDER.split(signature.template)]
        self._is_plain = self._template == [b"", b"{body}", b""]
        self.sensitive_headers = frozenset({signature.header.lower()})

    def refusal(self, presented: Presented) -> str | None:
        """`signature-` or `timestamp-missing`, `-malformed`, `signature-wrong` or `timestamp-stale`."""
        signature = self._signature
        value = presented.headers.get(signature.header)
        if value is None:
            return "signature-missing"
        written = sent_bytes(value.strip())
        if not written.startswith(self._prefix):
            return "signature-malformed"
        digest = decoded(written[len(self._prefix) :], signature.encoding)
        if digest is None:
            return "signature-malformed"
        signed = presented.body
        if signature.timestamp_header is not None:
            timestamp = presented.headers.get(signature.timestamp_header)
            if timestamp is None:
                return "timestamp-missing"
            timestamp = timestamp.strip()
            problem = time_problem(timestamp, presented.now, signature.tolerance_s)
            if problem is not None:
                return problem
            signed = self._signed(sent_bytes(timestamp), signed)
        elif not self._is_plain:
            signed = self._signed(b"", signed)
        return None if signed_by_any((digest,), self._secrets, signed, signature.algorithm) else "signature-wrong"

    def _signed(self, timestamp: bytes, body: bytes) -> bytes:
        values = {b"{body}": body, b"{timestamp}": timestamp}
        return b"".join(values.get(part, part) for part in self._template)


def decoded(written: bytes, encoding: Encoding) -> bytes | None:
    """The digest that is written in `encoding`, None if it isn't."""
    try:
        if encoding == "hex":
            return binascii.unhexlify(written)
        return binascii.a2b_base64(written, strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def signed_by_any(digests: Sequence[bytes], secrets: Sequence[bytes], signed: bytes, algorithm: Algorithm) -> bool:
    """Whether one of `digests` is the HMAC of `signed` under one of `secrets`. Compares every pair, each in
    constant time, so that nothing can be learnt from which one fits."""
    found = False
    for secret in secrets:
        expected = hmac.digest(secret, signed, algorithm)
        for digest in digests:
            found |= hmac.compare_digest(digest, expected)
    return found


def time_problem(written: str, now: float, tolerance_s: float | None) -> str | None:
    """`timestamp-malformed` for what is no whole number of seconds since 1970, `timestamp-stale` for one that is
    too far from `now` on either side, else None. A `tolerance_s` of None allows anything."""
    if tolerance_s is None:
        return None
    if not _TIMESTAMP.fullmatch(written):
        return "timestamp-malformed"
    return None if abs(now - int(written)) <= tolerance_s else "timestamp-stale"
