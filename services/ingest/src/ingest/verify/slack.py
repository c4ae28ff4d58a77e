"""`slack`: `X-Slack-Signature: v0=` and the hex HMAC-SHA256 of `v0:{timestamp}:{body}`, at most 300 s old.

Slack verifies a new address with a body of type `url_verification`; its challenge is echoed after the signature check.

Source: api.slack.com, "Verifying requests from Slack".
"""

from typing import Final, Literal

import msgspec

from ingest.verify.credentials import Secrets
from ingest.verify.scheme import Handshake, OwnKey, ReceivedRequest, Reveal, revealed
from ingest.verify.signature import TOLERANCE_S, Signature, SignatureScheme

_SIGNATURE: Final = Signature(
    header="X-Slack-Signature",
    prefix="v0=",
    template="v0:{timestamp}:{body}",
    timestamp_header="X-Slack-Request-Timestamp",
    tolerance_s=TOLERANCE_S,
)


class SlackAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"slack","secrets":["signing secret"]}`."""

    type: Literal["slack"]
    secrets: Secrets

    def scheme(self, reveal: Reveal) -> "SlackScheme":
        """The check of the signature."""
        return SlackScheme(_SIGNATURE, revealed(self.secrets, reveal))


class _Question(msgspec.Struct):
    type: str
    challenge: str


class SlackScheme(SignatureScheme):
    """Checks Slack's signature and answers its challenge.

    The key is in the body, which is read by its content type, and that is not signed.
    """

    own_key: OwnKey = "unsigned"

    def greeting(self, received_request: ReceivedRequest, /) -> Handshake | None:
        """The challenge of a `url_verification`."""
        if b"url_verification" not in received_request.body:
            return None
        try:
            question = msgspec.json.decode(received_request.body, type=_Question)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return Handshake(200, question.challenge) if question.type == "url_verification" else None
