"""`hmac`: a configurable HMAC, for senders without a scheme of their own.

The place of the signature, its pattern, algorithm and encoding are configured, and so is the signed text: a template of
the body, the time, the URL, and single headers, query parameters and fields. The time may have to be recent.

Source of the algorithm: RFC 2104.
"""

from typing import Annotated, Literal

import msgspec

from ingest.verify.credentials import HeaderName, Secrets, ValueName, checked_place
from ingest.verify.request_values import Place
from ingest.verify.scheme import Reveal, Scheme, revealed
from ingest.verify.signature import Algorithm, Encoding, Signature, SignatureScheme
from ingest.verify.signature_pattern import SignaturePattern
from ingest.verify.signed_text import PLACEHOLDER, SignedTextScheme, TextSignature, check_template


class SignaturePlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"in":"header","name":"X-Signature","pattern":"ts={timestamp},v1={signature}"}`."""

    place: Place = msgspec.field(default="header", name="in")
    name: ValueName
    pattern: Annotated[str, msgspec.Meta(max_length=200)] = "{signature}"

    def __post_init__(self) -> None:
        checked_place(self.place, self.name)
        SignaturePattern(self.pattern)


class HmacAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"hmac","secrets":[…],"header":"X-Signature","prefix":"sha256=","template":"{timestamp}.{body}",…}`, or
    with `signature` instead of `header` and `prefix`.

    `tolerance_seconds`: the largest difference between the time (in seconds or milliseconds since 1970) and our clock.
    """

    type: Literal["hmac"]
    secrets: Secrets
    header: HeaderName | None = None
    prefix: Annotated[str, msgspec.Meta(max_length=100)] = ""
    signature: SignaturePlace | None = None
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    template: Annotated[str, msgspec.Meta(max_length=1000)] = "{body}"
    timestamp_header: HeaderName | None = None
    tolerance_seconds: Annotated[int, msgspec.Meta(gt=0)] | None = None
    covers_body: bool = True

    def __post_init__(self) -> None:
        if (self.header is None) == (self.signature is None):
            raise ValueError("give `header` or `signature`, which state where the signature is, and not both")
        if self.signature is not None and self.prefix:
            raise ValueError("`prefix` goes with `header`; write it in the `pattern` of `signature`")
        check_template(self.template)
        if ("{body}" in self.template) != self.covers_body:
            raise ValueError(
                "`template` must contain {body}, because a body that is not signed can be changed in transit; if the "
                'sender does not sign it, state `"coversBody":false`'
                if self.covers_body
                else "`template` contains {body}, so `coversBody` must not be false"
            )
        has_time = self.timestamp_header is not None or (
            self.signature is not None and SignaturePattern(self.signature.pattern).has_timestamp
        )
        if not has_time and "{timestamp}" in self.template:
            raise ValueError("`template` contains {timestamp}, so `timestampHeader` or a `pattern` with it is required")
        if self.tolerance_seconds is not None and "{timestamp}" not in self.template:
            raise ValueError("`toleranceSeconds` requires {timestamp} in `template`: an unsigned time proves nothing")

    def scheme(self, reveal: Reveal) -> Scheme:
        """The check of the signature."""
        secrets = revealed(self.secrets, reveal)
        names = set(PLACEHOLDER.findall(self.template))
        if self.header is not None and names <= {"body", "timestamp"}:
            signature = Signature(
                header=self.header,
                prefix=self.prefix,
                algorithm=self.algorithm,
                encoding=self.encoding,
                template=self.template,
                timestamp_header=self.timestamp_header,
                tolerance_s=self.tolerance_seconds,
            )
            return SignatureScheme(signature, secrets)
        place = self.signature or SignaturePlace(name=self.header or "", pattern=self.prefix + "{signature}")
        text = TextSignature(
            place=place.place,
            name=place.name,
            pattern=SignaturePattern(place.pattern),
            template=self.template,
            algorithm=self.algorithm,
            encoding=self.encoding,
            timestamp_header=self.timestamp_header,
            tolerance_s=self.tolerance_seconds,
        )
        return SignedTextScheme(text, secrets)
