"""The channel `http`: each message is a POST to an address of the user's, signed by Standard Webhooks."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from filas.errors import OutboundError, OutboundRefused
from filas.standard_webhooks import InvalidSecret, decode_secret, signed_headers
from notifier.channels.channel import (
    Answer,
    Delivered,
    Never,
    Outbound,
    OutgoingMessage,
    Result,
    Tools,
    TryAgain,
    WrongConfiguration,
)
from notifier.channels.retry_after import retry_after_s

SECRET_FIELDS = ("secret",)

TIMEOUT_S = 10.0
"""For one call in all. The job's 15 s leave room to record what became of it."""

MAX_ANSWER_BYTES = 64 * 1024
"""Nothing in the answer's body is needed; this much is read so that the connection can be used again."""

_TRY_AGAIN = frozenset({429})
_OWN_FIELDS = frozenset({"id", "to", "executionId"})


class HttpConfig(msgspec.Struct, frozen=True):
    """`secret` may be a list while a secret is being changed: the message then carries a signature of each."""

    url: str
    secret: str | list[str]


class HttpChannel:
    """Posts `{"id":…,"to":…,"type":"text","text":…,"executionId":…}` to the configured address.

    2xx is delivered; 429 and 5xx are tried again, at `Retry-After` where it is given; every other status is
    final. A redirect is final too: following it would turn the POST into a GET, or hand the signed message
    to somebody whom the channel's owner hasn't named.
    """

    def __init__(self, config: HttpConfig, outbound: Outbound) -> None:
        self._url = config.url
        self._secrets = [config.secret] if isinstance(config.secret, str) else config.secret
        self._outbound = outbound
        if not self._secrets:
            raise WrongConfiguration("`secret` is empty")
        try:
            for secret in self._secrets:
                decode_secret(secret)
        except InvalidSecret as error:
            raise WrongConfiguration(f"`secret`: {error}") from None

    async def deliver(self, message: OutgoingMessage) -> Result:
        """See `Channel.deliver`."""
        body = msgspec.json.encode(_document(message))
        headers = signed_headers(self._secrets, str(message.id), int(time.time()), body)
        headers |= {"Content-Type": "application/json", "Idempotency-Key": message.idempotency_key}
        try:
            answer = await self._outbound.request(
                "POST",
                self._url,
                headers=headers,
                body=body,
                timeout_s=TIMEOUT_S,
                max_bytes=MAX_ANSWER_BYTES,
                follow_redirects=False,
                truncate=True,
            )
        except OutboundRefused as error:
            return Never(reason=str(error), kind="refused")
        except OutboundError as error:
            return TryAgain(reason=str(error), kind=error.kind, uncertain=error.sent)
        return _result(answer)


def build(config: dict[str, Any], tools: Tools) -> HttpChannel:
    """The channel that `config` describes, its secrets revealed. Raises WrongConfiguration."""
    try:
        return HttpChannel(msgspec.convert(config, HttpConfig), tools.outbound)
    except msgspec.ValidationError as error:
        raise WrongConfiguration(str(error)) from None


def _document(message: OutgoingMessage) -> dict[str, Any]:
    content = {name: value for name, value in message.content.items() if name not in _OWN_FIELDS}
    execution = str(message.execution_id) if message.execution_id else None
    return {"id": str(message.id), "to": message.to, **content, "executionId": execution}


def _result(answer: Answer) -> Result:
    status = answer.status
    if 200 <= status < 300:
        return Delivered(status_code=status)
    reason = f"the receiver answered {status}"
    if status in _TRY_AGAIN or status >= 500:
        after_s = retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))
        return TryAgain(reason=reason, kind="http-status", after_s=after_s, status_code=status)
    if 300 <= status < 400:
        reason += ", a redirect, which a channel doesn't follow"
    return Never(reason=reason, kind="http-status", status_code=status)
