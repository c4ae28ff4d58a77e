"""`shopify`: `X-Shopify-Hmac-Sha256` is the base64 HMAC-SHA256 of the raw body with the app's client secret.

`X-Shopify-Webhook-Id` identifies a delivery; its retries have the same id. Neither it nor the topic is signed.

Source: shopify.dev, "Deliver webhooks through HTTPS".
"""

from typing import Any, Final, Literal

import msgspec

from ingest.verify.credentials import Secrets
from ingest.verify.scheme import OwnKey, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import Signature, SignatureScheme

_ACTIONS: Final = frozenset(
    {
        "activate",
        "cancelled",
        "connect",
        "create",
        "deactivate",
        "disable",
        "enable",
        "fulfilled",
        "paid",
        "partially_fulfilled",
        "publish",
        "update",
        "updated",
    }
)
"""The actions (the topic after the slash) that Shopify reports of one resource at the same moment with the same body:
`orders/create` and `orders/paid`, for example. The topic is not signed, so only these distinguish events: a captured
body is accepted at most once for each of them."""

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

    own_key: OwnKey = "unsigned"

    def duplicate_key(self, received_request: ReceivedRequest, _document: Any, _key: str | None, /) -> str | None:
        """`X-Shopify-Webhook-Id`."""
        return received_request.headers.get("X-Shopify-Webhook-Id") or None

    def signed_content(self, received_request: ReceivedRequest, /) -> bytes | None:
        """The body, and the action if it is one that Shopify reports with the same body as another one."""
        action = received_request.headers.get("X-Shopify-Topic", "").strip().lower().rpartition("/")[2]
        signed = received_request.body
        return b"%b\0%b" % (action.encode(), signed) if action in _ACTIONS else signed
