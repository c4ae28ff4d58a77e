"""`asaas`, `hotmart` and `pagarme`: providers that send a token or a password with each request.

| type      | proof                                              | duplicate key |
|-----------|----------------------------------------------------|---------------|
| `asaas`   | the header `asaas-access-token`                    | `id`          |
| `hotmart` | the header `X-HOTMART-HOTTOK`, or the field `hottok` | `id`        |
| `pagarme` | basic authentication; a secret is `user:password`  | `id`          |

Sources: docs.asaas.com, "Webhooks"; developers.hotmart.com, "Webhook"; docs.pagar.me, "Webhooks".
"""

from typing import Any, Literal

import msgspec

from ingest.verify.credentials import CredentialsScheme, Secrets, SecretValueScheme
from ingest.verify.presets.document_ids import id_at
from ingest.verify.scheme import OwnKey, ReceivedRequest, Reveal, revealed


class AsaasAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"asaas","secrets":["token"]}`."""

    type: Literal["asaas"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "TokenScheme":
        """The check of the token."""
        return TokenScheme((("header", "asaas-access-token"),), revealed(self.secrets, reveal))


class HotmartAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"hotmart","secrets":["hottok"]}`."""

    type: Literal["hotmart"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "TokenScheme":
        """The check of the token."""
        return TokenScheme((("header", "X-HOTMART-HOTTOK"), ("form", "hottok")), revealed(self.secrets, reveal))


class PagarmeAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"pagarme","secrets":["user:password"]}`."""

    type: Literal["pagarme"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "PasswordScheme":
        """The check of `Authorization: Basic …`."""
        secrets = revealed(self.secrets, reveal)
        return PasswordScheme(
            "Authorization", secrets, word="basic", is_base64=True, authenticate='Basic realm="webhook"'
        )


class TokenScheme(SecretValueScheme):
    """Checks the token. The id of the event is the duplicate key."""

    own_key: OwnKey = "unsigned"

    def duplicate_key(self, _received_request: ReceivedRequest, document: Any, _key: str | None, /) -> str | None:
        """`id`."""
        return id_at(document, "id")


class PasswordScheme(CredentialsScheme):
    """Checks the password. The id of the event is the duplicate key."""

    own_key: OwnKey = "unsigned"

    def duplicate_key(self, _received_request: ReceivedRequest, document: Any, _key: str | None, /) -> str | None:
        """`id`."""
        return id_at(document, "id")
