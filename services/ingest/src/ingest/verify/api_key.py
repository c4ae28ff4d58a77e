"""`api-key`: a key in a header, a query parameter or a field of the body that the webhook's definition names."""

from typing import Literal

import msgspec

from ingest.verify.credentials import (
    CredentialsScheme,
    HeaderName,
    Secrets,
    SecretValueScheme,
    ValueName,
    checked_place,
)
from ingest.verify.request_values import Place
from ingest.verify.scheme import Reveal, revealed


class ApiKeyAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"api-key","header":"X-Api-Key","secrets":["key"]}`, or `{"in":"query","name":"token",…}`.

    `name` replaces `header`.
    """

    type: Literal["api-key"]
    secrets: Secrets
    header: HeaderName = "X-Api-Key"
    place: Place = msgspec.field(default="header", name="in")
    name: ValueName | None = None

    def __post_init__(self) -> None:
        checked_place(self.place, self.name)

    def scheme(self, reveal: Reveal) -> CredentialsScheme | SecretValueScheme:
        """The check of the key."""
        secrets = revealed(self.secrets, reveal)
        if self.place == "header" or self.name is None:
            return CredentialsScheme(self.name or self.header, secrets)
        return SecretValueScheme(((self.place, self.name),), secrets)
