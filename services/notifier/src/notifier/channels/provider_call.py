"""Calls of providers over HTTP: the part that all such channels share."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from filas.contract import bounded_json
from filas.crypto.redaction import Redactor
from filas.decoding.json_body import decode_json
from filas.errors import OutboundError, OutboundRefused
from filas.outbound.outbound_response import OutboundResponse
from filas.outbound.retry_after import delay_s
from notifier.channels.channel import Outbound, PermanentFailure, TemporaryFailure
from notifier.channels.provider_explanation import explained

TIMEOUT_S = 10.0
"""Seconds for one message in total. The job's 15 s leave time to record the outcome."""

MAX_ANSWER_BYTES = 64 * 1024
"""More than any provider's response to one message. The rest is not read."""

BUSY = frozenset({429, 503})
"""The statuses with which a provider asks the whole channel to pause."""

_AGAIN = frozenset({408, 425})


class Caller:
    """Makes the calls of a channel. `hide` are its secrets, which are removed from every reason."""

    def __init__(self, outbound: Outbound, hide: Sequence[str] = ()) -> None:
        self._outbound = outbound
        self._redactor = Redactor()
        for secret in hide:
            self._redactor.hide(secret)

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, taken_s: float = 0.0
    ) -> OutboundResponse | TemporaryFailure | PermanentFailure:
        """Returns the response, whatever its status, or the failure. `taken_s` is the time already used in seconds.

        A redirect is not followed: that could turn the POST into a GET, or send the message to a host that the owner of
        the channel has not named.
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
            return PermanentFailure(reason=self.hidden(str(error)), kind="refused")
        except OutboundError as error:
            return TemporaryFailure(reason=self.hidden(str(error)), kind=error.kind, uncertain=error.sent)

    def hidden(self, reason: str) -> str:
        """Returns `reason` with the channel's secrets replaced, also where they are encoded."""
        return self._redactor.text(reason)

    def explained(self, reason: str, *parts: Any) -> str:
        """Returns `reason` with the explanation in `parts` (see `provider_explanation`), without secrets."""
        return explained(reason, parts, self.hidden)

    def answered(self, answer: OutboundResponse, name: str) -> str:
        """Returns the reason for a response of unknown form: its status, and the beginning of its body."""
        return self.explained(f"{name} answered {answer.status}", answer.body.decode("utf-8", "replace"))


def after_s(answer: OutboundResponse) -> float | None:
    """Returns the seconds of the response's `Retry-After`, or None."""
    return delay_s(answer.headers, datetime.now(UTC))


def by_status(answer: OutboundResponse, reason: str, kind: str = "http-status") -> TemporaryFailure | PermanentFailure:
    """Returns the failure for an HTTP status, for responses without a known error code."""
    status = answer.status
    if status in BUSY:
        wait = after_s(answer)
        return TemporaryFailure(reason=reason, kind=kind, after_s=wait, wait_for="channel", status_code=status)
    if status >= 500 or status in _AGAIN:
        return TemporaryFailure(reason=reason, kind=kind, after_s=after_s(answer), status_code=status)
    if 300 <= status < 400:
        reason += ", a redirect, which channels do not follow"
    return PermanentFailure(reason=reason, kind=kind, status_code=status)


def busy(answer: OutboundResponse, reason: str) -> TemporaryFailure:
    """Returns the failure for an error code that means "too many requests": the whole channel pauses."""
    wait, status = after_s(answer), answer.status
    return TemporaryFailure(reason=reason, kind="busy", after_s=wait, wait_for="channel", status_code=status)


def malformed(answer: OutboundResponse, provider: str) -> TemporaryFailure:
    """Returns the failure for a success status with an unknown body. A proxy may have answered, so the message may have
    been sent."""
    return TemporaryFailure(
        reason=f"the response is not one of {provider}",
        kind="malformed-answer",
        uncertain=True,
        status_code=answer.status,
    )


def json_object(answer: OutboundResponse) -> dict[str, Any] | None:
    """Returns the JSON object of a response, or None if it is something else."""
    try:
        found, _ = decode_json(answer.body, answer.headers.get("content-type", ""))
    except bounded_json.InvalidJson:
        return None
    return found if isinstance(found, dict) else None
