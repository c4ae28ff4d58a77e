"""`hmac`: a keyed hash over the raw body, written as the sender likes.

Which header, with which prefix, algorithm and encoding, and over which text, is configured. The text is a
template of `{body}` and `{timestamp}`; what stands in `timestampHeader` may be required to be recent.
"""

from typing import Annotated, Literal

import msgspec

from ingest.verify.credentials import HeaderName, Secrets
from ingest.verify.scheme import Reveal, revealed
from ingest.verify.signature import Algorithm, Encoding, Signature, SignatureScheme


class HmacAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"hmac","secrets":[…],"header":"X-Signature","prefix":"sha256=","template":"{timestamp}.{body}",…}`.

    `tolerance_seconds` is how far the timestamp (seconds since 1970) may lie from our clock, before or after.
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
            raise ValueError("`template` must contain {body}: what isn't signed can be changed on its way")
        if self.timestamp_header is None and "{timestamp}" in self.template:
            raise ValueError("`template` has {timestamp}, so `timestampHeader` must be given")
        if self.tolerance_seconds is not None and "{timestamp}" not in self.template:
            raise ValueError("`toleranceSeconds` needs {timestamp} in `template`: an unsigned time proves nothing")

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
