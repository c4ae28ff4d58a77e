"""`none`: every request is accepted."""

from typing import Literal

import msgspec

from ingest.verify.scheme import PlainScheme, ReceivedRequest, Reveal


class NoAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"none"}`."""

    type: Literal["none"]

    def scheme(self, _reveal: Reveal) -> "NoScheme":
        """The check that accepts every request."""
        return NoScheme()


class NoScheme(PlainScheme):
    """Accepts every request."""

    def rejection_reason(self, _received_request: ReceivedRequest) -> str | None:
        """Always None."""
        return None
