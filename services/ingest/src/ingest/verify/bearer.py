"""`bearer`: a token in the Authorization header (RFC 6750), in a query parameter or in a field of the body."""

from typing import Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, Secrets, SecretValueScheme, ValueName, checked_place
from ingest.verify.request_values import Place
from ingest.verify.scheme import Reveal, revealed


class BearerAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"bearer","secrets":["token"]}`, or `{"type":"bearer","in":"query","name":"access_token",…}`.

    In a header that `name` names, the word `Bearer` may be left out.
    """

    type: Literal["bearer"]
    secrets: Secrets
    place: Place = msgspec.field(default="header", name="in")
    name: ValueName | None = None

    def __post_init__(self) -> None:
        checked_place(self.place, self.name)

    def scheme(self, reveal: Reveal) -> CredentialsScheme | SecretValueScheme:
        """The check of `Authorization: Bearer …`, or of the named value."""
        secrets = revealed(self.secrets, reveal)
        if self.place != "header" and self.name is not None:
            return SecretValueScheme(((self.place, self.name),), secrets)
        return CredentialsScheme(
            self.name or "Authorization",
            secrets,
            word="bearer",
            word_is_optional=self.name is not None,
            authenticate='Bearer realm="webhook"',
        )
