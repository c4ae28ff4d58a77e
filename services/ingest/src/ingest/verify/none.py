"""`none`: anybody may post."""

from typing import Any, Literal

import msgspec

from ingest.verify.scheme import Handshake, Presented, Reveal


class NoAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`{"type":"none"}`."""

    type: Literal["none"]

    def scheme(self, _reveal: Reveal) -> "NoScheme":
        """The check that lets everybody through."""
        return NoScheme()


class NoScheme:
    """Refuses nobody."""

    sensitive_headers: frozenset[str] = frozenset()
    demands_json = False
    authenticate: str | None = None

    def handshake(self, _presented: Presented) -> Handshake | None:
        """There is none."""
        return None

    def refusal(self, _presented: Presented) -> str | None:
        """Always None."""
        return None

    def duplicate_key(self, _presented: Presented, _document: Any) -> str | None:
        """As the webhook's `dedupe` says, not as the scheme does."""
        return None
