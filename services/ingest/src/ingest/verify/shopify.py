"""`shopify`: `X-Shopify-Hmac-Sha256` is the base64 HMAC-SHA256 of the raw body with the app's client secret.

`X-Shopify-Webhook-Id` identifies a delivery; its retries have the same id.

Source: shopify.dev, "Deliver webhooks through HTTPS".
"""

from typing import Any, Final, Literal

import msgspec

from ingest.verify.credentials import Secrets
from ingest.verify.scheme import ReceivedRequest, Reveal, revealed
from ingest.verify.signature import Signature, SignatureScheme

_SIGNATURE: Final = Signature(header="X-Shopify-Hmac-Sha256", encoding="base64")


class ShopifyAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"shopify","secrets":["client secret"]}`."""

    type: Literal["shopify"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "ShopifyScheme":
        """The check of the signature."""
        return ShopifyScheme(_SIGNATURE, revealed(self.secrets, reveal))


class ShopifyScheme(SignatureScheme):
    """Checks Shopify's signature."""

    def duplicate_key(self, received_request: ReceivedRequest, _document: Any, _key: str | None, /) -> str | None:
        """`X-Shopify-Webhook-Id`."""
        return received_request.headers.get("X-Shopify-Webhook-Id") or None
