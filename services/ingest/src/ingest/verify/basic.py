"""`basic`: HTTP basic authentication (RFC 7617)."""

from typing import Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, Secrets
from ingest.verify.scheme import Reveal, revealed


class BasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"basic","secrets":["user:password"]}`."""

    type: Literal["basic"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> CredentialsScheme:
        """The check of `Authorization: Basic …`."""
        return CredentialsScheme(
            "Authorization",
            revealed(self.secrets, reveal),
            word="basic",
            is_base64=True,
            authenticate='Basic realm="webhook", charset="UTF-8"',
        )
