"""`hmac`: a keyed hash over the raw body, written as the sender likes.

Which header, with which prefix, algorithm and encoding, and over which text, is configured. The text is a
template of `{body}` and `{timestamp}`; what stands in `timestampHeader` may be required to be recent.
"""

import binascii
import hmac
import re
from typing import Annotated, Any, Literal

import msgspec

from ingest.verify.credentials import HeaderName, Secrets
from ingest.verify.scheme import Handshake, Presented, Reveal, presented_bytes, revealed

_PLACEHOLDER = re.compile(r"(\{body\}|\{timestamp\})")
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class HmacAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"hmac","secrets":[…],"header":"X-Signature","prefix":"sha256=","template":"{timestamp}.{body}",…}`.

    `tolerance_seconds` is how far the timestamp (seconds since 1970) may lie from our clock, before or after.
    """

    type: Literal["hmac"]
    secrets: Secrets
    header: HeaderName
    prefix: Annotated[str, msgspec.Meta(max_length=100)] = ""
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    template: Annotated[str, msgspec.Meta(max_length=1000)] = "{body}"
    timestamp_header: HeaderName | None = None
    tolerance_seconds: Annotated[int, msgspec.Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if "{body}" not in self.template:
            raise ValueError("`template` must contain {body}: what isn't signed can be changed on its way")
        if self.timestamp_header is None and "{timestamp}" in self.template:
            raise ValueError("`template` has {timestamp}, so `timestampHeader` must be given")
        if self.tolerance_seconds is not None and "{timestamp}" not in self.template:
            raise ValueError("`toleranceSeconds` needs {timestamp} in `template`: an unsigned time proves nothing")

    def scheme(self, reveal: Reveal) -> "HmacScheme":
        """The check of the header."""
        return HmacScheme(self, revealed(self.secrets, reveal))


class HmacScheme:
    """Computes the signature with each secret and compares the digests."""

    demands_json = False
    authenticate: str | None = None

    def __init__(self, configuration: HmacAuth, secrets: tuple[bytes, ...]) -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._prefix = configuration.prefix.encode()
        self._template = [part.encode() for part in _PLACEHOLDER.split(configuration.template)]
        self.sensitive_headers = frozenset({configuration.header.lower()})

    def handshake(self, _presented: Presented) -> Handshake | None:
        """There is none."""
        return None

    def refusal(self, presented: Presented) -> str | None:
        """`signature-` or `timestamp-missing`, `-malformed`, `signature-wrong` or `timestamp-stale`."""
        value = presented.headers.get(self._configuration.header)
        if value is None:
            return "signature-missing"
        signature = self._decoded(presented_bytes(value.strip()))
        if signature is None:
            return "signature-malformed"
        timestamp = b""
        if self._configuration.timestamp_header is not None:
            text = presented.headers.get(self._configuration.timestamp_header)
            if text is None:
                return "timestamp-missing"
            timestamp = presented_bytes(text.strip())
            problem = self._timestamp_problem(text.strip(), presented.now)
            if problem is not None:
                return problem
        if not signed_by_any(signature, self._secrets, self._signed(timestamp, presented.body), self._algorithm):
            return "signature-wrong"
        return None

    def duplicate_key(self, _presented: Presented, _document: Any) -> str | None:
        """As the webhook's `dedupe` says, not as the scheme does."""
        return None

    @property
    def _algorithm(self) -> str:
        return self._configuration.algorithm

    def _decoded(self, value: bytes) -> bytes | None:
        if not value.startswith(self._prefix):
            return None
        encoded = value[len(self._prefix) :]
        try:
            if self._configuration.encoding == "hex":
                return binascii.unhexlify(encoded)
            return binascii.a2b_base64(encoded, strict_mode=True)
        except (binascii.Error, ValueError):
            return None

    def _timestamp_problem(self, text: str, now: float) -> str | None:
        tolerance = self._configuration.tolerance_seconds
        if tolerance is None:
            return None
        if not _TIMESTAMP.fullmatch(text):
            return "timestamp-malformed"
        return None if abs(now - int(text)) <= tolerance else "timestamp-stale"

    def _signed(self, timestamp: bytes, body: bytes) -> bytes:
        if self._template == [b"", b"{body}", b""]:
            return body  # the usual case, without a copy of the body
        values = {b"{body}": body, b"{timestamp}": timestamp}
        return b"".join(values.get(part, part) for part in self._template)


def signed_by_any(signature: bytes, secrets: tuple[bytes, ...], signed: bytes, algorithm: str) -> bool:
    """Whether `signature` (decoded) is the HMAC of `signed` under one of `secrets`; in constant time."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(signature, hmac.digest(secret, signed, algorithm))
    return found
