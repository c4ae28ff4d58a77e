"""`meta`: WhatsApp, Messenger and Instagram.

The header `X-Hub-Signature-256` is `sha256=` and the hex HMAC-SHA256 of the raw body with the app secret. Meta verifies
an address with a GET that has `hub.mode=subscribe`, the configured `hub.verify_token`, and a `hub.challenge`, which is
echoed.

Source: developers.facebook.com, Graph API, Webhooks, "Getting started".
"""

import hmac
from typing import Literal

import msgspec

from filas.contract.storable_text import sent_bytes
from ingest.verify.credentials import Secrets
from ingest.verify.github import HUB_SIGNATURE
from ingest.verify.scheme import Handshake, OwnKey, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import SignatureScheme


class MetaAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`{"type":"meta","secrets":["app secret"],"verifyToken":"…"}`. Without a token, every challenge is answered with
    403."""

    type: Literal["meta"]
    secrets: Secrets
    verify_token: str | None = None

    def scheme(self, reveal: Reveal) -> "MetaScheme":
        """The check of the signature, and of the token in a challenge."""
        token = revealed([self.verify_token], reveal)[0] if self.verify_token else None
        return MetaScheme(revealed(self.secrets, reveal), token)


class MetaScheme(SignatureScheme):
    """Checks Meta's signature and answers its challenge."""

    demands_json = True
    own_key: OwnKey = "signed"

    def __init__(self, secrets: tuple[bytes, ...], verify_token: bytes | None) -> None:
        super().__init__(HUB_SIGNATURE, secrets)
        self._verify_token = verify_token

    def handshake(self, received_request: ReceivedRequest, /) -> Handshake | None:
        """Echoes the challenge if the token is correct, otherwise 403."""
        if received_request.method != "GET" or received_request.query.get("hub.mode") != "subscribe":
            return None
        token = sent_bytes(received_request.query.get("hub.verify_token", ""))
        if self._verify_token is None or not hmac.compare_digest(token, self._verify_token):
            return Handshake(403)
        return Handshake(200, received_request.query.get("hub.challenge", ""))
