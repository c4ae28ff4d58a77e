"""`bearer`: a token in the Authorization header (RFC 6750)."""

from typing import Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, Secrets
from ingest.verify.scheme import Reveal, revealed


class BearerAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"bearer","secrets":["token"]}`."""

    type: Literal["bearer"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> CredentialsScheme:
        """The check of `Authorization: Bearer …`."""
        return CredentialsScheme(
            "Authorization", revealed(self.secrets, reveal), word="bearer", authenticate='Bearer realm="webhook"'
        )
