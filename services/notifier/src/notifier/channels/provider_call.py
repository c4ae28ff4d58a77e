"""Calling a provider over HTTP: what every such channel does alike."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from filas.errors import OutboundError, OutboundRefused
from notifier.channels.channel import Answer, Never, Outbound, TryAgain
from notifier.channels.retry_after import retry_after_s

TIMEOUT_S = 10.0
"""For one message in all. The job's 15 s leave room to record what became of it."""

MAX_ANSWER_BYTES = 64 * 1024
"""More than any provider says about one message; the rest is never read."""

BUSY = frozenset({429, 503})
"""The answers with which a whole destination asks for a pause."""

_AGAIN = frozenset({408, 425})


class Caller:
    """Makes a channel's calls. `hide` are its secrets: no reason that comes out of here holds them."""

    def __init__(self, outbound: Outbound, hide: Sequence[str] = ()) -> None:
        self._outbound = outbound
        self._hide = [secret for secret in hide if secret]

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, taken_s: float = 0.0
    ) -> Answer | TryAgain | Never:
        """The answer, whatever its status, or what its absence means. `taken_s` of the message's time have passed.

        A redirect is an answer: following it would turn the POST into a GET, or hand the message to somebody whom
        the channel's owner hasn't named.
        """
        try:
            return await self._outbound.request(
                "POST",
                url,
                headers=headers,
                body=body,
                timeout_s=max(TIMEOUT_S - taken_s, 0.0),
                max_bytes=MAX_ANSWER_BYTES,
                follow_redirects=False,
                truncate=True,
            )
        except OutboundRefused as error:
            return Never(reason=self.hidden(str(error)), kind="refused")
        except OutboundError as error:
            return TryAgain(reason=self.hidden(str(error)), kind=error.kind, uncertain=error.sent)

    def hidden(self, reason: str) -> str:
        """`reason` without the channel's secrets."""
        for secret in self._hide:
            reason = reason.replace(secret, "***")
        return reason


def after_s(answer: Answer) -> float | None:
    """When the answer's `Retry-After` wants the next try."""
    return retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))


def by_status(answer: Answer, reason: str, kind: str = "http-status") -> TryAgain | Never:
    """What a status means where the provider's own words say no more."""
    status = answer.status
    if status in BUSY:
        wait = after_s(answer)
        return TryAgain(reason=reason, kind=kind, after_s=wait, wait_for="destination", status_code=status)
    if status >= 500 or status in _AGAIN:
        return TryAgain(reason=reason, kind=kind, after_s=after_s(answer), status_code=status)
    if 300 <= status < 400:
        reason += ", a redirect, which a channel doesn't follow"
    return Never(reason=reason, kind=kind, status_code=status)


def busy(answer: Answer, reason: str) -> TryAgain:
    """The provider's own words for a 429: the whole destination wants a pause."""
    wait, status = after_s(answer), answer.status
    return TryAgain(reason=reason, kind="busy", after_s=wait, wait_for="destination", status_code=status)


def malformed(answer: Answer, who: str) -> TryAgain:
    """A success whose body isn't the provider's: perhaps somebody in between spoke, perhaps it was sent."""
    return TryAgain(
        reason=f"the answer isn't one of {who}'s",
        kind="malformed-answer",
        uncertain=True,
        status_code=answer.status,
    )


def json_object(answer: Answer) -> dict[str, Any] | None:
    """The JSON object of an answer; None for anything else."""
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
