"""`api-key`: a key in a header that the webhook's definition names."""

from typing import Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, HeaderName, Secrets
from ingest.verify.scheme import Reveal, revealed


class ApiKeyAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"api-key","header":"X-Api-Key","secrets":["key"]}`."""

    type: Literal["api-key"]
    secrets: Secrets
    header: HeaderName = "X-Api-Key"

    def scheme(self, reveal: Reveal) -> CredentialsScheme:
        """The check of the header."""
        return CredentialsScheme(self.header, revealed(self.secrets, reveal))
