"""`github`: `X-Hub-Signature-256: sha256=` and the hex HMAC-SHA256 of the raw body.

GitHub tests a new webhook with an event `ping`, which is answered and starts nothing. A delivery that is sent again by
hand has the same `X-GitHub-Delivery`.

Source: docs.github.com, "Validating webhook deliveries".
"""

from typing import Any, Final, Literal

import msgspec

from ingest.verify.credentials import Secrets
from ingest.verify.scheme import Handshake, OwnKey, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import Signature, SignatureScheme

HUB_SIGNATURE: Final = Signature(header="X-Hub-Signature-256", prefix="sha256=")
"""The signature of GitHub and Meta."""


class GithubAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"github","secrets":["…"]}`."""

    type: Literal["github"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "GithubScheme":
        """The check of the signature."""
        return GithubScheme(HUB_SIGNATURE, revealed(self.secrets, reveal))


class GithubScheme(SignatureScheme):
    """Checks GitHub's signature and answers its ping."""

    own_key: OwnKey = "unsigned"

    def greeting(self, received_request: ReceivedRequest, /) -> Handshake | None:
        """`pong`."""
        return Handshake(200, "pong") if received_request.headers.get("X-GitHub-Event") == "ping" else None

    def duplicate_key(self, received_request: ReceivedRequest, _document: Any, _key: str | None, /) -> str | None:
        """`X-GitHub-Delivery`."""
        return received_request.headers.get("X-GitHub-Delivery") or None
