"""`hmac`: a configurable HMAC over the raw body, for senders without a scheme of their own.

The header, prefix, algorithm and encoding are configured, and so is the signed text: a template of `{body}` and
`{timestamp}`. The timestamp comes from `timestampHeader`, and may have to be recent.

Source of the algorithm: RFC 2104.
"""

from typing import Annotated, Literal

import msgspec

from ingest.verify.credentials import HeaderName, Secrets
from ingest.verify.scheme import Reveal, revealed
from ingest.verify.signature import Algorithm, Encoding, Signature, SignatureScheme


class HmacAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"hmac","secrets":[…],"header":"X-Signature","prefix":"sha256=","template":"{timestamp}.{body}",…}`.

    `tolerance_seconds`: the largest difference between the timestamp (seconds since 1970) and our clock.
    """

    type: Literal["hmac"]
    secrets: Secrets
    header: HeaderName
    prefix: Annotated[str, msgspec.Meta(max_length=100)] = ""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    template: Annotated[str, msgspec.Meta(max_length=1000)] = "{body}"
    timestamp_header: HeaderName | None = None
    tolerance_seconds: Annotated[int, msgspec.Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if "{body}" not in self.template:
            raise ValueError("`template` must contain {body}: a body that is not signed can be changed in transit")
        if self.timestamp_header is None and "{timestamp}" in self.template:
            raise ValueError("`template` contains {timestamp}, so `timestampHeader` is required")
        if self.tolerance_seconds is not None and "{timestamp}" not in self.template:
            raise ValueError("`toleranceSeconds` requires {timestamp} in `template`: an unsigned time proves nothing")

    def scheme(self, reveal: Reveal) -> SignatureScheme:
        """The check of the header."""
        signature = Signature(
            header=self.header,
            prefix=self.prefix,
            algorithm=self.algorithm,
            encoding=self.encoding,
            template=self.template,
            timestamp_header=self.timestamp_header,
            tolerance_s=self.tolerance_seconds,
        )
        return SignatureScheme(signature, revealed(self.secrets, reveal))
